"""Waits for what must happen as long as a test may take, for a machine may be busy; how long it took proves nothing."""

from collections.abc import Callable

# By name: some tests replace the functions of the module.
from time import monotonic, sleep
from typing import TypeVar

LIMIT_S = 180
"""As long as pytest lets a test take. It ends a wait by itself where that limit is off, as in `make chaos`."""
LONGEST_PAUSE_S = 0.01
NO_WAIT = "SET lock_timeout = '1min'"
"""For a statement that no lock may stop while a move stands still: if one did, it would do so for ever."""

Found = TypeVar("Found")


def until(happened: Callable[[], Found], otherwise: str) -> Found:
    """What `happened` returns, once that is true. Raises AssertionError with `otherwise` after `LIMIT_S`."""
    deadline, pause = monotonic() + LIMIT_S, 0.001
    while not (found := happened()):
        if monotonic() > deadline:
            raise AssertionError(otherwise)
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
    return found
