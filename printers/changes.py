"""What a look changes of what is kept. Small changes are none, so that a farm that stands still writes nothing."""

from dataclasses import replace
from datetime import datetime, timedelta

from printers.clients.base import Seen, Temperatures
from printers.signals import Known
from printers.states import State

ENOUGH = 3
"""Misses in a row after which a printer is unreachable."""
DEGREES = 1.0
PER_CENT = 0.1
MOVED = timedelta(seconds=30)
LATE = timedelta(minutes=2)
"""A look that was asked this much earlier than the one that is kept isn't late: the clock was set back."""


def next_of(before: Known | None, seen: Seen, asked_at: datetime) -> Known | None:
    """What is to be kept; None where nothing changes, and for an older look that comes late."""
    if before is None:
        return first(seen, asked_at)
    if timedelta(0) < before.at - asked_at < LATE:
        return None
    after = answer(before, seen, asked_at) if seen.answered else miss(before, seen, asked_at)
    return None if replace(after, at=before.at) == before else after


def first(seen: Seen, asked_at: datetime) -> Known:
    """A printer that nobody has ever reached is unreachable at once: there is nothing else to say."""
    return answer(Known(seen.state, asked_at, asked_at), seen, asked_at, misses=0 if seen.answered else ENOUGH)


def answer(before: Known, seen: Seen, asked_at: datetime, misses: int = 0) -> Known:
    return Known(
        State(seen.state),
        since=since(before, seen.state, asked_at),
        at=asked_at,
        answered=seen.answered,
        misses=misses,
        file=seen.file,
        progress=before.progress if near(before.progress, seen.progress, PER_CENT) else seen.progress,
        ends_at=before.ends_at if ends_alike(before.ends_at, seen.ends_at) else seen.ends_at,
        temperatures=before.temperatures if alike(before.temperatures, seen.temperatures) else seen.temperatures,
        message=seen.message,
        took_s=seen.took_s,
        filament_mm=seen.filament_mm,
    )


def miss(before: Known, seen: Seen, asked_at: datetime) -> Known:
    """Whatever it did, it goes on doing until there are enough; what it printed is then lost in mid-print."""
    misses = min(before.misses + 1, ENOUGH)
    if misses < ENOUGH:
        return replace(before, at=asked_at, answered=False, misses=misses)
    lost = before.prints or is_lost(before)
    return Known(
        State.UNREACHABLE,
        since=since(before, State.UNREACHABLE, asked_at),
        at=asked_at,
        answered=False,
        misses=misses,
        file=before.file if lost else "",
        progress=(before.progress or 0.0) if lost else None,
        message=seen.message,
    )


def is_lost(known: Known) -> bool:
    """Unreachable, and it printed when it was last seen."""
    return known.state == State.UNREACHABLE and known.progress is not None


def since(before: Known, state: State, asked_at: datetime) -> datetime:
    return before.since if before.state == state else asked_at


def near(one: float | None, other: float | None, enough: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < enough


def ends_alike(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < MOVED


def alike(one: Temperatures, other: Temperatures) -> bool:
    """The same parts with the same targets, and none of them a degree warmer or colder."""
    return one.keys() == other.keys() and all(
        part.get("target") == other[name].get("target") and near(part.get("actual"), other[name].get("actual"), DEGREES)
        for name, part in one.items()
    )
