#!/usr/bin/env python
"""Writes docs/messages.md: every sentence of `rehome` that a person reads, by the module that says it.

Read from the source: literals of several words, but for docstrings, SQL and what only Python reads. A value that stands
in a sentence is shown as the expression that gives it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "messages.md"
HEADING = """\
# What rehome says

Every sentence, help text and hint, by the module that says it; a value is shown as `{the expression that gives it}`.
`make messages` writes this page from the code, and a test holds it to the code. The words follow the
[glossary](architecture.md#one-name-for-one-thing).
"""
SQL_CALLS = {"SQL", "query", "rows", "execute", "compile"}
"""What is handed to these is for the server, or a pattern."""
SQL_TEXT = re.compile(
    r"\s*(DECLARE|SELECT|INSERT|UPDATE|DELETE|SHOW|WITH|CASE|CAST|COPY|COMMENT ON|CREATE|ADD|MODIFY)\s"
)
PYTHON_TEXT = re.compile(r"[\w.]*\[\w+, |.*[\\|]\(|from \w+|\s*def \w+\(")
"""Types, patterns and templates."""


def literals(tree: ast.AST) -> Iterator[str]:
    """Each sentence once, in the order of the code; parts that Python joins are one."""
    for node in ast.walk(without_what_no_person_reads(tree)):
        text = text_of(node)
        if text is not None and is_sentence(text):
            yield " ".join(text.split())


def without_what_no_person_reads(tree: ast.AST) -> ast.AST:
    return Reader().visit(tree)


class Reader(ast.NodeTransformer):
    """Takes docstrings and SQL out, and makes one literal of an f-string."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:  # noqa: N802  The name is Python's.
        """A literal that stands alone documents what is above it."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:  # noqa: N802
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in SQL_CALLS:
            node.args = [argument for argument in node.args if text_of(argument) is None]
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:  # noqa: N802
        return ast.copy_location(ast.Constant(text_of(node)), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:  # noqa: N802
        """Of a module's constants, those that are queries go."""
        text = text_of(node.value)
        return None if text and SQL_TEXT.match(text) else self.generic_visit(node)


def text_of(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(
                f"{{{ast.unparse(part.value)}}}" if isinstance(part, ast.FormattedValue) else text_of(part) or ""
                for part in parts
            )
    return None


def is_sentence(text: str) -> bool:
    """Of SQL, a person is shown what begins with words of English."""
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\{[^{}]*\}", "", text))
    tells = len(words) > 2 or (words and text.endswith((".", ":")))
    code = text.isidentifier() or text.isupper() or SQL_TEXT.match(text) or PYTHON_TEXT.match(text)
    return bool(tells) and not code


def page() -> str:
    parts = [HEADING]
    for path in sorted((ROOT / "rehome").rglob("*.py")):
        found = list(dict.fromkeys(literals(ast.parse(path.read_text(encoding="utf-8")))))
        if found:
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            parts.append("\n".join([f"## {module}", "", *(f"- {sentence}" for sentence in found)]) + "\n")
    return "\n".join(parts)


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} is written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
