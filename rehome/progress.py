"""Says on stderr what a move is doing: a bar on a terminal, plain lines elsewhere."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator

WIDTH = 16
INDENT = "    "


class Progress:
    """The steps of one run; each is named when it begins and timed when it ends.

    Nothing is said before the first step, so that a refusal stands alone. The title begins a line of its own,
    for `migrate` has just written "Applying ..." without ending its line.
    """

    def __init__(self, title: str, steps: int) -> None:
        self.title = title
        self.steps = steps
        self.done = 0
        self.started = 0.0
        self.stream = sys.stderr
        self.terminal = self.stream.isatty()

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        if not self.done:
            self.started = started
            self.write(f"\n{INDENT}{self.title}\n")
        if self.terminal:
            self.draw(name)
        try:
            yield
        except BaseException:
            self.write("\n" if self.terminal else f"{INDENT}[{self.done + 1}/{self.steps}] {name}: failed\n")
            raise
        self.done += 1
        ended = time.monotonic()
        if not self.terminal:
            self.write(f"{INDENT}[{self.done}/{self.steps}] {name} ({ended - started:.1f} s)\n")
        elif self.done == self.steps:
            self.draw(f"done in {ended - self.started:.1f} s")
            self.write("\n")

    def note(self, text: str) -> None:
        """After the last step: what the reader should know."""
        self.write(f"{INDENT}Note: {text}\n")

    def draw(self, text: str) -> None:
        """Replace the terminal's last line; a line that wraps could not be replaced."""
        filled = WIDTH * self.done // self.steps
        line = f"{INDENT}[{'#' * filled}{'.' * (WIDTH - filled)}] {self.done}/{self.steps} {text}"
        self.write(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}")

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
