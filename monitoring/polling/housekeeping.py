"""What whoever polls does beside it, once a minute: other rooms register a function each when their app is ready."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

Chore = Callable[[], object]
chores: list[Chore] = []


def register(chore: Chore) -> None:
    """Let `chore` be called about once a minute, in a thread with a database connection and without a transaction.

    One process of all does it. It must be quick, and do no harm where it is done twice or was not done for a day.
    """
    if chore not in chores:
        chores.append(chore)


def run() -> None:
    """All of them: one that fails is logged, and keeps no other from its turn."""
    for chore in chores:
        try:
            chore()
        except Exception:  # Rooms bring chores of their own, each with errors of its own.
            logger.exception("The chore %s.%s has failed.", chore.__module__, chore.__qualname__)
