"""The zone of a source's times: what its clocks show of a moment, and which of two that they show alike is meant."""

import dataclasses
import datetime
import functools
import zoneinfo
from collections.abc import Iterator

FIRST, LAST = datetime.datetime(1880, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
STEP, SECOND = datetime.timedelta(days=3), datetime.timedelta(seconds=1)
"""In three days no clock is set twice."""
NOT_MEANT = "the other of two"
"""In place of a time that may be one of two."""


@dataclasses.dataclass(frozen=True)
class Zone:
    name: str
    fold: int | None = None
    """Of two moments with one time, the declared one; None if there is to be no such time."""

    def shown(self, moment: str) -> str:
        """SQL of the time that the clocks show, whichever of two moments it is."""
        return f"({moment} AT TIME ZONE '{self.name}')"

    def unique(self, moment: str) -> str:
        """The same as text, and another text for the one that is not meant of two."""
        wrong = ",".join(f"[{begin},{end})" for begin, end in not_meant(self.name, self.fold))
        shown = f"{self.shown(moment)}::text"
        return (
            f"CASE WHEN {moment} <@ '{{{wrong}}}'::tstzmultirange THEN '{NOT_MEANT}' ELSE {shown} END"
            if wrong
            else shown
        )


def not_meant(name: str, fold: int | None) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
    """The spans of moments whose time the clocks show twice, without those that are meant."""
    for back, twice in set_back(name):
        yield back - twice if fold != 0 else back, back + twice if fold != 1 else back


@functools.cache
def set_back(name: str) -> tuple[tuple[datetime.datetime, datetime.timedelta], ...]:
    """Each moment at which the clocks of a zone are set back, and by how much."""
    return tuple(find_set_back(zoneinfo.ZoneInfo(name)))


def find_set_back(zone: zoneinfo.ZoneInfo) -> Iterator[tuple[datetime.datetime, datetime.timedelta]]:
    since, before = FIRST, ahead(FIRST, zone)
    while since < LAST:
        after = ahead(since + STEP, zone)
        if after < before:
            yield find_second(since, zone), before - after
        since, before = since + STEP, after


def ahead(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.timedelta:
    return moment.astimezone(zone).utcoffset() or datetime.timedelta()


def find_second(since: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """From which on the clocks are less ahead."""
    low, high, before = 0, int(STEP.total_seconds()), ahead(since, zone)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if ahead(since + middle * SECOND, zone) >= before else (low, middle)
    return since + high * SECOND
