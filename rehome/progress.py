"""Says on stderr what a move is doing: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator

WIDTH = 28


class Progress:
    """The steps of one run; each is named when it begins and timed when it ends."""

    def __init__(self, title: str, steps: int) -> None:
        self.title = title
        self.steps = steps
        self.done = 0
        self.stream = sys.stderr
        self.terminal = self.stream.isatty()
        self.say(f"{title}")

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        self.draw(name)
        yield
        self.done += 1
        if self.terminal:
            self.draw(name)
        else:
            self.say(f"  [{self.done}/{self.steps}] {name} ({time.monotonic() - started:.1f} s)")
        if self.terminal and self.done == self.steps:
            self.stream.write("\n")

    def draw(self, name: str) -> None:
        if self.terminal:
            filled = WIDTH * self.done // self.steps
            self.stream.write(f"\r\033[K  [{'#' * filled}{'.' * (WIDTH - filled)}] {self.done}/{self.steps} {name}")
            self.stream.flush()

    def say(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()
