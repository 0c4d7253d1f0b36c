"""How many machines need somebody: the number beside Farm on every page."""

import time
from collections import defaultdict
from typing import Any

from django.db import DatabaseError
from django.db.models import Q
from django.http import HttpRequest

from core.moves import standing
from printers.models import Printer
from printers.states import Group

REMEMBERED_S = 10.0
"""So old may it be on a page that does not count itself: no page pays a query for it."""
MOST = 10_000
CALLS = (Group.WAITING, Group.ATTENTION)

NEVER = (float("-inf"), 0)

_remembered: dict[Any, tuple[float, int]] = defaultdict(lambda: NEVER)


def needs(request: HttpRequest) -> int:
    """What `core.navigation` asks on pages that have not counted. Nobody gets an error for the sake of a number."""
    user = request.user
    counted, number = _remembered[user.pk]
    if time.monotonic() - counted <= REMEMBERED_S:
        return number
    try:
        return remember(user, count(user))
    except DatabaseError:
        return 0


def count(user: Any) -> int:
    """One query."""
    if standing.uses_of(standing.PRINTERS) == "source":
        return 0  # The portal's printers are not in use.
    called = [state.value for group in CALLS for state in group.states]
    return Printer.objects.for_user(user, "view").with_state().filter(Q(state_value__in=called)).count()


def remember(user: Any, number: int) -> int:
    """Pages that have counted say so."""
    if len(_remembered) >= MOST:
        _remembered.clear()
    _remembered[user.pk] = time.monotonic(), number
    return number


def forget() -> None:
    """Count again next time: somebody has signed off, or may see other printers."""
    _remembered.clear()
