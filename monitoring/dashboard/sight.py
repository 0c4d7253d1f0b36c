"""What decides how the farm looks to somebody at a moment, in one read; while it is the same, so is the page."""

import dataclasses
import functools
import hashlib
import time
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import CharField, Subquery, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone, translation

from accounts.people.sharing import sharing_with
from core.moves import standing
from core.sides import deciding
from monitoring import version
from monitoring.models import Lease

MINUTE_S = 60
LATE = timedelta(minutes=2)
"""A round takes ten seconds. Who has not begun another for so long does not poll."""


@dataclasses.dataclass(frozen=True)
class Sight:
    """Everything that the page of the farm depends on besides its address.

    Whose a printer is, its address and people's names are in no table that raises the version: the minute shows them.
    """

    user: int
    flags: tuple[bool, bool, bool]
    groups: tuple[int, ...]
    """What rights come from, besides the roles, which are part of the version."""
    shared: tuple[int, ...]
    """Profiles whose printers the user sees because of an organization."""
    sides: tuple[str, ...]
    """The choices that decide on which side the user is."""
    moves: tuple[str, ...]
    """How far they are: what decides which side's tables are in use."""
    version: int
    asleep_since: datetime | None
    """When the printers were last asked, where nobody asks them any more."""
    language: str
    zone: str
    minute: int
    """Durations and clocks are written in minutes."""

    def etag(self, *address: Any) -> str:
        """Of the page at this address; in quotes, as a header has it."""
        written = repr((dataclasses.astuple(self), address))
        return f'"{hashlib.sha256(written.encode()).hexdigest()[:32]}"'


def look(user: Any) -> Sight:
    """What is read before a page is made: a change meanwhile makes the page newer than its tag, never older."""
    found = read(user)
    if found["changes"] > version.MANY:
        version.fold()
    standing.notice(found["moves"])
    return Sight(
        user=user.pk,
        flags=(user.is_active, user.is_staff, user.is_superuser),
        groups=tuple(found["members_of"]),
        shared=tuple(found["shared"]),
        sides=tuple(found["chosen"]),
        moves=tuple(found["moves"]),
        version=found["version"],
        asleep_since=asleep(found["polled_at"]),
        language=translation.get_language() or "",
        zone=timezone.get_current_timezone_name(),
        minute=minute(),
    )


def minute() -> int:
    return int(time.time() // MINUTE_S)


def asleep(polled_at: datetime | None) -> datetime | None:
    return polled_at if polled_at and timezone.now() - polled_at > LATE else None


NAMES = ("version", "changes", "members_of", "shared", "chosen", "moves", "polled_at")
SOMEBODY = -1
"""Stands for the user's key in the statement."""


def read(user: Any) -> dict[str, Any]:
    """Raises DoesNotExist where the user is gone."""
    text, params = statement()
    with connection.cursor() as cursor:
        cursor.execute(text, [user.pk if param == SOMEBODY else param for param in params])
        found = cursor.fetchone()
    if found is None:
        raise user.DoesNotExist
    return dict(zip(NAMES, found, strict=True))


@functools.cache
def statement() -> tuple[str, tuple[Any, ...]]:
    """Made once: to make it of a query takes longer than to run it."""
    user = get_user_model()(pk=SOMEBODY)
    choices = deciding.concerning(user).order_by("pk").annotate(one=Concat(
        Cast("pk", CharField()), Value(" "), "side", Value(" "), Cast("since", CharField()), output_field=CharField(),
    ))  # fmt: skip
    found = (
        get_user_model()
        ._base_manager.filter(pk=user.pk)
        .annotate(
            version=version.Version(),
            changes=version.Changes(),
            members_of=ArraySubquery(user.groups.order_by("pk").values("pk")),
            shared=ArraySubquery(sharing_with(user).order_by("pk").values("pk")),
            chosen=ArraySubquery(choices.values("one")),
            moves=ArraySubquery(standing.marks()),
            polled_at=Subquery(Lease.objects.exclude(polled_at=None).order_by("polled_at").values("polled_at")[:1]),
        )
    )
    return found.values_list(*NAMES).query.sql_with_params()
