"""Ctrl-C and SIGTERM, for a move that can be gone on with."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from rehome.errors import Stopped
from rehome.plan import Plan


@contextlib.contextmanager
def stoppable(plan: Plan) -> Iterator[None]:
    """An interruption is no crash: Ctrl-C and SIGTERM say what stands and what to do."""
    received: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    handled = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupt) if handled else None
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(plan, received[0] if received else signal.SIGINT) from None
    finally:
        if handled:
            signal.signal(signal.SIGTERM, before)
