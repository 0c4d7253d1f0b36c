"""Times without a zone that a clock of their zone never shows, or shows twice, as when it is set forward or back.

The times of a source are read as its zone's, and such a one is no moment, or two of them.
"""

import dataclasses
import datetime
import functools
import zoneinfo
from collections.abc import Iterable, Iterator

from rehome.postgres.sql import SQL, Literal, Statement

MOMENT = "timestamp with time zone"
LOCAL = "timestamp without time zone"
FIRST_YEAR, LAST_YEAR = 1900, 2100
STEP = datetime.timedelta(days=4)
"""No clock is set twice in it."""
SECOND = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True)
class Shift:
    """One change of a zone's offset, by the times that its clocks then leave out or show twice."""

    begin: datetime.datetime
    end: datetime.datetime
    before: datetime.timedelta
    """The offset until then."""
    twice: bool

    def covers(self, local: datetime.datetime) -> bool:
        return self.begin <= local < self.end


@functools.cache
def shifts(zone: str) -> tuple[Shift, ...]:
    return tuple(find_shifts(zoneinfo.ZoneInfo(zone)))


def find_shifts(zone: zoneinfo.ZoneInfo) -> Iterator[Shift]:
    def offset(moment: datetime.datetime) -> datetime.timedelta:
        return moment.astimezone(zone).utcoffset() or datetime.timedelta()

    day = datetime.datetime(FIRST_YEAR, 1, 1, tzinfo=datetime.UTC)
    while day.year < LAST_YEAR:
        before, after = offset(day), offset(day + STEP)
        if before != after:
            # The last second of the former offset is `early`, the first of the other one `late`.
            early, late = day, day + STEP
            while late - early > SECOND:
                middle = early + datetime.timedelta(seconds=(late - early) // SECOND // 2)
                early, late = (middle, late) if offset(middle) == before else (early, middle)
            moment = late.replace(tzinfo=None)
            yield Shift(moment + min(before, after), moment + max(before, after), before, twice=after < before)
        day += STEP


def is_twice(moment: datetime.datetime, zone: str) -> bool:
    """Whether the clocks of the zone show the time of this moment at another one, too."""
    local = moment.astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None)
    return any(shift.covers(local) for shift in shifts(zone) if shift.twice)


def before_twice(begin: datetime.datetime, zone: str) -> datetime.datetime:
    """`begin`, or the moment from which on its time comes twice: what is written the second time is found, too."""
    tz = zoneinfo.ZoneInfo(zone)
    local = begin.astimezone(tz).replace(tzinfo=None)
    shift = next((one for one in shifts(zone) if one.twice and one.covers(local)), None)
    return shift.begin.replace(tzinfo=tz) - SECOND if shift else begin


# ----- SQL


def among(value: Statement, found: Iterable[Shift]) -> Statement:
    ranges = ",".join(f"[{shift.begin},{shift.end})" for shift in found)
    return SQL("({} OPERATOR(pg_catalog.<@) {}::pg_catalog.tsmultirange)").format(value, Literal(f"{{{ranges}}}"))


def is_unclear(value: Statement, zone: str, fold: int | None) -> Statement:
    """Whether a local time is no moment, or one of two where none of these is chosen."""
    return among(value, [shift for shift in shifts(zone) if not shift.twice or fold is None])


def reason(value: Statement, zone: str) -> Statement:
    twice = among(value, [shift for shift in shifts(zone) if shift.twice])
    return SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        twice,
        Literal(f"comes twice in {zone}, whose clocks are set back then; fold=0 or fold=1 of the import chooses"),
        Literal(f"never comes in {zone}, whose clocks are set forward then"),
    )


def moment(value: Statement, zone: str, fold: int | None) -> Statement:
    """The moment of a local time; of two, the first with `fold` 0 and the second with 1, as Python counts them."""
    usual = SQL("({} AT TIME ZONE {})").format(value, Literal(zone))
    if fold is None:
        return usual
    known: dict[datetime.timedelta, list[Shift]] = {}
    for shift in shifts(zone):
        if shift.twice:
            known.setdefault(offset_of(shift, fold), []).append(shift)
    if not known:
        return usual
    cases = (
        SQL("WHEN {} THEN ({} - {}::pg_catalog.interval) AT TIME ZONE 'UTC'").format(
            among(value, found), value, Literal(f"{round(offset.total_seconds())} seconds")
        )
        for offset, found in known.items()
    )
    return SQL("CASE {} ELSE {} END").format(SQL(" ").join(cases), usual)


def offset_of(shift: Shift, fold: int) -> datetime.timedelta:
    return shift.before - (shift.end - shift.begin) if fold else shift.before
