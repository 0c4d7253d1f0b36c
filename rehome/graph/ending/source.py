"""The text of one file, edited in places: what no edit names stays byte for byte."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")

COMMA = re.compile(r"\s*,[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r)?[ \t]*")
"""Behind a part of a list, with what is written beside it."""


class Source:
    """A file as it is on the disk: its encoding and its kind of newline are kept."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        self.encoding = encoding
        self.text = content.decode(encoding)
        self.newline = next((end for end in ("\r\n", "\n", "\r") if end in self.text), "\n")

    def encoded(self, text: str) -> bytes:
        return text.encode(self.encoding)


class Text:
    """Python code, and where its nodes are in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self.lines = [0]
        for found in LINE.finditer(text):
            self.lines.append(found.end())

    def at(self, line: int, column: int) -> int:
        """Python counts columns in bytes."""
        begin = self.lines[line - 1]
        return begin + len(self.text[begin : self.lines[line]].encode()[:column].decode())

    def span(self, node: Any) -> tuple[int, int]:
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def remains_of(self, node: Any, *, comments: bool = False) -> tuple[tuple[int, int], str]:
        """The place of a statement that goes, and what has to stand there.

        Its lines go whole, with the blank ones above it where others are below, and with `comments` what is written
        right above it.
        """
        shared = [one for one in self.tree.body if one is not node and node.lineno <= one.end_lineno
                  and one.lineno <= node.end_lineno]  # fmt: skip
        if shared:
            return self.span(node), "pass"
        first = int(node.lineno)
        while comments and first > 1 and self.line(first - 1).startswith("#"):
            first -= 1
        if not self.line(node.end_lineno + 1):
            while first > 1 and not self.line(first - 1):
                first -= 1
        return (self.lines[first - 1], self.lines[node.end_lineno]), ""

    def line(self, number: int) -> str:
        """Without its spaces; empty behind the last one."""
        if number >= len(self.lines):
            return ""
        return self.text[self.lines[number - 1] : self.lines[number]].strip()

    def indent(self, node: Any) -> int:
        line = self.text[self.lines[node.lineno - 1] : self.lines[node.lineno]]
        return len(line) - len(line.lstrip(" "))


class Edits:
    """What is put in the place of parts of a text."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.found: list[tuple[int, int, str]] = []

    def replace(self, span: tuple[int, int], by: str = "") -> None:
        self.found.append((*span, by))

    def remove_parts(self, nodes: Sequence[Any], gone: Callable[[Any], bool]) -> bool:
        """Take parts out of a list that commas separate; whether any part is left, else nothing is taken out."""
        kept = [number for number, node in enumerate(nodes) if not gone(node)]
        if not kept:
            return False
        spans = [self.text.span(node) for node in nodes]
        for number in range(kept[-1]):
            if number not in kept:
                begin, end = spans[number]
                between = self.text.text[end : spans[number + 1][0]]
                comma = COMMA.match(between)
                self.replace((begin, end + len(comma[0] if comma else between)))
        if kept[-1] + 1 < len(nodes):
            self.replace((spans[kept[-1]][1], spans[-1][1]))
        return True

    def result(self) -> str:
        text = self.text.text
        for begin, end, by in sorted(self.found, reverse=True):
            text = text[:begin] + by + text[end:]
        return text


def loaded(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that code reads."""
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
