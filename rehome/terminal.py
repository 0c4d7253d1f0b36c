"""Shows on stderr what a move is doing: a bar on a terminal, plain lines elsewhere."""

import contextlib
import datetime
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

from django.core.management.base import CommandError

from rehome.errors import RehomeError, Stopped

WIDTH = 16
INDENT = "    "
ERASE = "\r\033[K"
SECONDS_BETWEEN_LINES = 15.0
"""Where there is no terminal: each detail is a line that stays."""
VERBOSITY = ContextVar("VERBOSITY", default=1)
"""That of the command that runs."""


@contextlib.contextmanager
def verbosity(level: int) -> Iterator[None]:
    """At 0 no step is shown until the block ends, but notes are: the reader should know them."""
    token = VERBOSITY.set(level)
    try:
        yield
    finally:
        VERBOSITY.reset(token)


class Observer:
    """Is told of every step of every run, in the thread that runs it, while `observed` names it."""

    def began(self, progress: "Progress", name: str) -> str:
        """What is said behind the name of the step, such as how long it once took."""
        return ""

    def ended(self, progress: "Progress", name: str, seconds: float) -> str:
        """What is said behind its time."""
        return ""

    def migration_began(self, key: str, *, forwards: bool) -> None:
        """`key` is such as app.0001_initial."""

    def migration_ended(self) -> None:
        """Of the one that began last."""


OBSERVER = ContextVar("OBSERVER", default=Observer())  # noqa: B039  It has no state.


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    token = OBSERVER.set(observer)
    try:
        yield
    finally:
        OBSERVER.reset(token)


class Progress:
    """The steps of one run; each is named when it begins and timed when it ends.

    Nothing is written before the first step, so that a refusal stands alone. The title begins a line of its own, since
    `migrate` has just written "Applying ..." without ending its line.
    """

    def __init__(self, title: str, steps: int, *, done: int = 0, quiet: bool = False) -> None:
        self.quiet = quiet
        """Whether nothing is written: where there are no rows, as in every new database, nobody waits for anything."""
        self.title = title
        self.steps = steps
        self.done = done
        """Steps that ended, with those of an earlier, interrupted run."""
        self.begun = False
        self.started = 0.0
        self.name = ""
        self.said = 0.0
        self.waited_for = ""
        self.stream = sys.stderr
        self.silent = VERBOSITY.get() == 0
        self.terminal = self.stream.isatty() and not self.silent

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = self.said = time.monotonic()
        if not self.silent:
            self.begin()
        self.name = name
        observer = OBSERVER.get()
        expected = observer.began(self, name)
        if self.terminal:
            self.draw(f"{name}{expected}")
        try:
            yield
        except BaseException as error:
            if self.terminal:
                self.write("\n")
            else:
                self.tell("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        self.done += 1
        ended = time.monotonic()
        compared = observer.ended(self, name, ended - started)
        if self.silent:
            return
        if not self.terminal:
            self.write(f"{INDENT}[{self.done}/{self.steps}] {name} ({ended - started:.1f} s{compared})\n")
        elif self.done == self.steps:
            self.draw(f"done in {ended - self.started:.1f} s")
            self.write("\n")

    def begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.started = time.monotonic()
            self.write(f"\n{INDENT}{self.title}\n")

    def detail(self, text: str) -> None:
        """How far the current step has come; where there is no terminal, only now and then."""
        self.waited_for = ""
        now = time.monotonic()
        if self.terminal:
            self.draw(text)
        elif now - self.said >= SECONDS_BETWEEN_LINES:
            self.said = now
            self.tell(text)

    def waits(self, reason: str) -> None:
        """What the current step waits for; where there is no terminal, only when it changes."""
        if self.terminal:
            self.draw(f"waits for {reason}")
        elif reason != self.waited_for:
            self.tell(f"waits for {reason}")
        self.waited_for = reason

    def remark(self, text: str) -> None:
        """Of somebody who looks on, about the current step."""
        if self.terminal:
            self.draw(text)
        else:
            self.tell(text)

    def tell(self, text: str) -> None:
        """A line about the current step."""
        if not self.silent:
            self.write(f"{INDENT}[{self.done + 1}/{self.steps}] {self.name}: {text}\n")

    def note(self, text: str) -> None:
        """Between or after steps: what the reader should know."""
        self.begin()
        self.write(f"{ERASE if self.terminal and self.done < self.steps else ''}{INDENT}Note: {text}\n")

    def draw(self, text: str) -> None:
        """Replace the terminal's last line; a line that wraps could not be replaced."""
        filled = WIDTH * self.done // self.steps
        line = f"{INDENT}[{'#' * filled}{'.' * (WIDTH - filled)}] {self.done}/{self.steps} {text}"
        self.write(f"{ERASE}{line[: shutil.get_terminal_size().columns - 1]}")

    def write(self, text: str) -> None:
        if self.quiet:
            return
        self.stream.write(text)
        self.stream.flush()


class Pace:
    """Rows a second and the time left, from the part of the rows or blocks that this run has done."""

    def __init__(self, *, done: int = 0, rows: int = 0) -> None:
        self.done = done
        self.rows = rows
        self.began = time.monotonic()

    def describe(self, rows: int, *, done: int, whole: int) -> str:
        share, seconds = 100 * done // max(whole, 1), time.monotonic() - self.began
        if done <= self.done or seconds <= 0:
            return f"{share} %, {rows:,} rows"
        rate = (rows - self.rows) / seconds
        left = datetime.timedelta(seconds=round(seconds / (done - self.done) * max(whole - done, 0)))
        return f"{share} %, {rows:,} rows, {rate:,.0f} rows/s, {left} left"


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Ctrl-C, SIGTERM and the end of the terminal raise KeyboardInterrupt, until it is too late for them."""

    def __init__(self) -> None:
        self.received: int | None = None
        """The first signal that came."""
        self.too_late = False

    def __call__(self, number: int, frame: object) -> None:
        if not self.too_late:
            self.received = self.received or number
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """From now on: a running commit can't be interrupted."""
        self.too_late = True


@contextlib.contextmanager
def noticed() -> Iterator[Interrupts]:
    """Until the block ends, these signals raise KeyboardInterrupt, and are told apart. Whoever ignores one, as `nohup`
    does with the end of the terminal, still does. Whoever notices them around the block is told in its end, too.
    """
    interrupts = Interrupts()
    main = threading.current_thread() is threading.main_thread()
    handled = [one for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN] if main else []
    before = [signal.signal(number, interrupts) for number in handled]
    try:
        yield interrupts
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
            if isinstance(handler, Interrupts):
                handler.received = handler.received or interrupts.received


@contextlib.contextmanager
def interruptible(told: str) -> Iterator[Interrupts]:
    """What is `noticed` raises CommandError, which tells this and has the signal's exit code, unless an error of rehome
    says more.
    """
    with noticed() as interrupts:
        try:
            yield interrupts
        except KeyboardInterrupt:
            if not interrupts.received:
                raise  # It came from no signal.
            raise CommandError(told, returncode=128 + interrupts.received) from None
        except CommandError as error:
            if not interrupts.received:
                raise
            code = 128 + interrupts.received
            if not isinstance(error, RehomeError):
                raise CommandError(told, returncode=code) from error
            error.returncode = code
            raise


@contextlib.contextmanager
def stoppable(move: object) -> Iterator[None]:
    """Ctrl-C and SIGTERM raise Stopped, which says what is kept and what to do."""
    with noticed() as interrupts:
        try:
            yield
        except KeyboardInterrupt:
            raise Stopped(move, interrupts.received or signal.SIGINT) from None
