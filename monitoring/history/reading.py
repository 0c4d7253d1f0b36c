"""What history says of one printer between two moments. Whoever asks here has asked for rights before."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import connection

from monitoring.history.models import Quarter, RolledUp, StateChange, Temperature
from printers.states import State

BEFORE = timedelta(hours=25)
"""Quarters without a change are left out for a day at most, so what was before is found in the day before."""

TEMPERATURES = """
SELECT part, at, mean, low, high, target, 0 AS rank FROM history_quarter
WHERE printer_id = %(printer)s AND at >= %(before)s AND at < %(whole)s
UNION ALL
(SELECT DISTINCT ON (part) part, %(whole)s::timestamptz, actual, actual, actual, target, 1 FROM history_temperature
 WHERE printer_id = %(printer)s AND at < %(whole)s ORDER BY part, history_temperature.at DESC)
UNION ALL
SELECT part, at, actual, actual, actual, target, 2 FROM history_temperature
WHERE printer_id = %(printer)s AND at >= %(whole)s AND at < %(end)s
ORDER BY part, at, rank
"""
"""Quarters until `whole`; then what is kept whole, which begins with what was before it."""
STATES = """
SELECT at, state FROM history_statechange WHERE printer_id = %(printer)s AND at >= %(start)s AND at < %(end)s
UNION ALL
(SELECT %(start)s, state FROM history_statechange WHERE printer_id = %(printer)s AND at < %(start)s
 ORDER BY history_statechange.at DESC LIMIT 1)
ORDER BY at
"""


@dataclass(frozen=True)
class Point:
    """From this moment on, until the next point; None is not known. Of a quarter that is rolled up, its mean."""

    at: datetime
    actual: float | None
    low: float | None
    high: float | None
    target: float | None


@dataclass(frozen=True)
class Span:
    state: State
    begins: datetime
    ends: datetime

    @property
    def lasted(self) -> timedelta:
        return self.ends - self.begins


def temperatures(printer: int, start: datetime, end: datetime) -> dict[str, list[Point]]:
    """By part; what was before `start` is a point at `start`. Two statements."""
    whole = min(max(start, rolled_until() or start), end)
    # Without a quarter to read, no partition of quarters is opened.
    before = start - BEFORE if start < whole else whole
    found: dict[str, dict[datetime, Point]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(TEMPERATURES, {"printer": printer, "before": before, "whole": whole, "end": end})
        for part, at, *values, _ in cursor.fetchall():
            # The last of what is said of a moment, or of all that was before the first.
            moment = max(at, start)
            found[part][moment] = Point(moment, *values)
    return {part: list(points.values()) for part, points in found.items()}


def rolled_until() -> datetime | None:
    return RolledUp.objects.values_list("until", flat=True).first()


def states(printer: int, start: datetime, end: datetime) -> list[Span]:
    """One after the other, until `end`; nothing of the time before the first look. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(STATES, {"printer": printer, "start": start, "end": end})
        changes = cursor.fetchall()
    spans: list[Span] = []
    for (at, state), (ends, _) in pairwise([*changes, (end, "")]):
        if spans and spans[-1].state == state:
            spans[-1] = replace(spans[-1], ends=ends)
        else:
            spans.append(Span(State(state), at, ends))
    return spans


def temperature_rows(
    printer: int, start: datetime, end: datetime
) -> Iterator[tuple[datetime, str, list[float | None]]]:
    """(moment, part, [actual, low, high, target]) as kept, one by one however many they are."""
    columns = ("at", "part", "mean", "low", "high", "target")
    between = {"printer_id": printer, "at__gte": start, "at__lt": end}
    whole = rolled_until()
    for at, part, *values in Quarter.objects.filter(**between).order_by("at", "part").values_list(*columns).iterator():
        yield at, part, values
    rows = Temperature.objects.filter(**between).order_by("at", "part")
    if whole:
        rows = rows.filter(at__gte=whole)
    for at, part, actual, target in rows.values_list("at", "part", "actual", "target").iterator():
        yield at, part, [actual, actual, actual, target]


def state_rows(printer: int, start: datetime, end: datetime) -> Iterator[tuple[datetime, State, int]]:
    """(moment, state, how many changes into it) as kept."""
    rows = StateChange.objects.filter(printer_id=printer, at__gte=start, at__lt=end).order_by("at")
    for at, state, times in rows.values_list("at", "state", "times").iterator():
        yield at, State(state), times
