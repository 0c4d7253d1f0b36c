"""Ctrl-C and SIGTERM, for a move that can be gone on with, and for an import that is as if it had not begun."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from rehome.errors import Stopped
from rehome.plan import Plan


class Interrupts:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt, until it is too late for them."""

    def __init__(self) -> None:
        self.received: int | None = None
        """The first signal that came."""
        self.too_late = False

    def __call__(self, number: int, frame: object) -> None:
        if not self.too_late:
            self.received = self.received or number
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """From now on: what is being committed can't be said to be undone."""
        self.too_late = True


@contextlib.contextmanager
def noticed() -> Iterator[Interrupts]:
    """Let both signals be told apart until the block ends."""
    interrupts = Interrupts()
    handled = [signal.SIGINT, signal.SIGTERM] if threading.current_thread() is threading.main_thread() else []
    before = [signal.signal(number, interrupts) for number in handled]
    try:
        yield interrupts
    finally:
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def stoppable(plan: Plan) -> Iterator[None]:
    """An interruption is no crash: Ctrl-C and SIGTERM say what stands and what to do."""
    with noticed() as interrupts:
        try:
            yield
        except KeyboardInterrupt:
            raise Stopped(plan, interrupts.received or signal.SIGINT) from None
