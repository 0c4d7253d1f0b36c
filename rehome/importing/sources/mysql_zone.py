"""The time zone of a session on MySQL: the one in which Django writes the alias's times, so that both mean the same."""

import datetime
import zoneinfo
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import DatabaseError
from django.db.models.expressions import Combinable, F, Value
from django.utils import timezone

from rehome.errors import Refused
from rehome.importing import local_times
from rehome.importing.failures import state_of
from rehome.importing.plan import ImportPlan

UTC = "+00:00"
UNKNOWN_ZONE = 1298
FIRST_YEAR, LAST_YEAR = 1970, 2037
"""What a TIMESTAMP can hold, from its first whole year to its last."""


CURE = (
    "Load the time zone tables there: mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb mysql; with MySQL, "
    "mysql_tzinfo_to_sql /usr/share/zoneinfo | mysql mysql."
)


def enter(cursor: Any, alias: str, name: str, plans: Iterable[ImportPlan]) -> str:
    """Put the session into zone `name`; returns what it is in then.

    A server without time zone tables knows a zone whose offset has never changed, and its own. Raises Refused for
    another one, where a plan needs it: times that are read as they are need none.
    """
    for plan in plans:
        refuse_twice(plan, name)
    zone = zoneinfo.ZoneInfo(name)
    known = dict(offsets(zone))
    if len(set(known.values())) == 1:
        return _set(cursor, written(*set(known.values())))
    try:
        return _set(cursor, name)
    except DatabaseError as error:
        if state_of(error) != UNKNOWN_ZONE:
            raise
    if is_own(cursor, known):
        return _set(cursor, "SYSTEM")
    for plan in plans:
        if reason := reckons(plan):
            raise Refused(
                f"{plan}: {reason} in the time zone {name} of database {alias!r}, which its server does not know.", CURE
            )
    return _set(cursor, UTC)


def _set(cursor: Any, zone: str) -> str:
    cursor.execute("SET SESSION time_zone = %s", [zone])
    return zone


def offsets(zone: zoneinfo.ZoneInfo) -> Iterator[tuple[int, datetime.timedelta]]:
    """By seconds since 1970, the offset of the zone: on each day on which it is another one, and four times a year."""
    day = datetime.datetime(FIRST_YEAR, 1, 2, tzinfo=datetime.UTC)
    before = None
    while day.year <= LAST_YEAR:
        offset = day.astimezone(zone).utcoffset() or datetime.timedelta()
        if offset != before or (day.day == 2 and day.month % 3 == 1):
            yield int(day.timestamp()), offset
        before, day = offset, day + datetime.timedelta(days=1)


def written(offset: datetime.timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def is_own(cursor: Any, known: dict[int, datetime.timedelta]) -> bool:
    """Whether the server's own zone has had the same offsets."""
    _set(cursor, "SYSTEM")
    cursor.execute(f"SELECT {', '.join('FROM_UNIXTIME(%s)' for _ in known)}", list(known))
    epoch = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  The server's answer has no zone.
    expected = [epoch + datetime.timedelta(seconds=moment) + offset for moment, offset in known.items()]
    return list(cursor.fetchone()) == expected


def reckons(plan: ImportPlan) -> str:
    """What the source's server has to reckon with times for; empty where it sends columns as they are."""
    if plan.declared.changed is not None:
        return "changed=... compares times"
    if plan.declared.where is not None and any(map(is_moment, values_of(plan.declared.where))):
        return "where compares times"
    named = [t.field.name for t in plan.taken if not isinstance(t.expression, F | Value)]
    return f"the expression for {named[0]} may reckon" if named else ""


def refuse_twice(plan: ImportPlan, zone: str) -> None:
    """A moment of `where` that Django writes as a time which comes twice in the zone: the server takes one of them."""
    for value in values_of(plan.declared.where) if plan.declared.where else ():
        if isinstance(value, datetime.datetime) and timezone.is_aware(value) and local_times.is_twice(value, zone):
            raise Refused(
                f"{plan}: where compares with {value}, whose time comes twice in {zone}, the zone of database "
                f"{plan.source.alias!r}.",
                "Compare with a moment before or after that hour.",
            )


def is_moment(value: Any) -> bool:
    return isinstance(value, datetime.date | datetime.time | Combinable)


def values_of(condition: Any) -> Iterator[Any]:
    """Of each comparison in a Q."""
    for child in getattr(condition, "children", [condition]):
        if isinstance(child, tuple):
            yield from child[1] if isinstance(child[1], list | tuple | set) else [child[1]]
        elif hasattr(child, "children"):
            yield from values_of(child)
        else:
            yield child


def refuse_unknown(cursor: Any, plan: ImportPlan, text: str) -> None:
    """What Django converts between two zones, to take its date for example, is null where the server knows neither."""
    if "CONVERT_TZ(" not in text:
        return
    zones = plan.source.timezone_name, timezone.get_current_timezone_name()
    cursor.execute("SELECT CONVERT_TZ('2024-01-01 00:00:00', %s, %s)", zones)
    if cursor.fetchall() == ((None,),):
        raise Refused(
            f"{plan}: an expression converts times from {zones[0]} to {zones[1]}, and the server of database "
            f"{plan.source.alias!r} does not know both.",
            CURE,
        )
