"""The blocks of the documents' pages, and a reader who runs those with commands in the order of a page."""

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
CRON = re.compile(r"(?:[\d*,/-]+ ){4}[\d*,/-]+\s+(.*)")
"""Minute, hour, day, month and weekday, and what is run then."""


@dataclasses.dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.partition(chr(10))[0]}"

    @property
    def commands(self) -> str:
        """What somebody types, or cron runs; empty where the block shows something else."""
        if self.language == "sh":
            return self.text
        if self.language == "console":
            return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith("$ "))
        return "".join(f"{found[1]}\n" for line in self.text.splitlines() if (found := CRON.fullmatch(line)))


def blocks(page: str) -> list[Block]:
    """Of a page that is named from the checkout's folder."""
    found = FENCE.findall((ROOT / page).read_text(encoding="utf-8"))
    return [Block(page, language, re.sub(f"(?m)^{indent}", "", text)) for indent, language, text in found]


def commands(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.commands]


@dataclasses.dataclass
class Reader:
    """Types what a page says, block by block, in bash."""

    left: list[Block]
    environment: dict[str, str]
    folder: Path = ROOT
    instead: dict[str, str] = dataclasses.field(default_factory=dict)
    """What is typed instead of places that the page can't know, such as the host of somebody's server."""

    def run(self, beginning: str, answers: str = "", **environment: str) -> str:
        """The next block, which begins so: what it prints. It ends with 0, as each command in it."""
        done = self.type(self.take(beginning).commands, answers, **environment)
        assert done.returncode == 0, f"{beginning}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def type(self, typed: str, answers: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """In a session without a terminal; `answers` is what programs read that ask something all the same."""
        for before, after in self.instead.items():
            typed = typed.replace(before, after)
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", typed],
            cwd=self.folder, env={**self.environment, **environment}, input=answers, capture_output=True, text=True,
            start_new_session=True, check=False,
        )  # fmt: skip

    def take(self, beginning: str) -> Block:
        """The next block, not run: whoever calls this checks it as far as it can be."""
        block = self.left.pop(0)
        assert block.text.startswith(beginning), f"{block} is next, and not {beginning}"
        return block


def checkout(folder: Path) -> Path:
    """A clone, whose files and environment are this one's; with VENV=installed make has nothing to install."""
    for path in ROOT.iterdir():
        if path.name not in (".env", ".git", ".venv", "build", "var"):
            (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "installed").mkdir()
    for stamp in (".up", ".setup"):
        (folder / "installed" / stamp).touch()
    return folder


@contextmanager
def reading(
    page: str, folder: Path = ROOT, instead: dict[str, str] | None = None, **environment: str
) -> Iterator[Reader]:
    """Every block of the page that has commands is taken, or the test fails."""
    path = [environment.pop("PATH", ""), str(Path(sys.executable).parent), os.environ["PATH"]]
    reader = Reader(
        commands(page),
        {**os.environ, **environment, "PATH": os.pathsep.join(filter(None, path))},
        folder,
        instead or {},
    )
    yield reader
    assert list(map(str, reader.left)) == [], "left out"
