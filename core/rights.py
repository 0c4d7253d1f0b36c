"""Which printers somebody may see or change: asked by every app, decided by the one app that registers."""

import logging
from collections.abc import Callable, Collection
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

Action = Literal["view", "operate", "manage"]
ACTIONS = ("view", "operate", "manage")
"""Each includes those before it."""
Keys = Collection[Any]
"""Of printers: a query of keys, or keys. Either goes into `pk__in=`."""
Decide = Callable[[Any, Action], Keys]

NOTHING: Keys = frozenset()
_registered: Decide | None = None


def register(decide: Decide) -> None:
    """Let `decide(user, action)` answer from now on. There is one decision in a project, so a second one is refused."""
    global _registered
    if _registered not in (None, decide):
        raise ImproperlyConfigured(
            f"{_registered} decides about rights already, and {decide} can't as well; register one of them."
        )
    _registered = decide


def printer_keys(user: Any, action: Action) -> Keys:
    """The keys of the printers with which `user` may do `action`.

    Nothing for somebody who is not logged in or not active, where no decision is registered, and where it raises: the
    error is logged, and nobody gets in by it. A query that is returned may still raise when it is read.
    """
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is not an action; use one of {', '.join(ACTIONS)}.")
    if _registered is None or not user.is_authenticated or not user.is_active:
        return NOTHING
    try:
        return _registered(user, action)
    except Exception:  # Whatever is wrong there, nobody gets in by it.
        logger.exception("The look-up of rights has failed; user %s may do nothing.", user.pk)
        return NOTHING
