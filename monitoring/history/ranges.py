"""Which stretch of time a chart or a file shows."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

LAST = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
"""The ranges of charts, by the word in an address."""


@dataclass(frozen=True)
class Range:
    """From `start` up to, and without, `end`."""

    word: str
    start: datetime
    end: datetime

    @property
    def span(self) -> timedelta:
        return self.end - self.start

    def moments(self, parts: int) -> list[datetime]:
        """Its edges and what divides it into equal parts: of time that passes, whatever clocks do meanwhile."""
        return [self.start + self.span * part / parts for part in range(parts + 1)]


def last(word: str, now: datetime) -> Range:
    """The last hour, day or week; the hour for another word."""
    word = word if word in LAST else "hour"
    return Range(word, now - LAST[word], now)


def days(first: date, until: date, zone: tzinfo) -> Range:
    """Whole days of a time zone, the last one included."""
    return Range("days", _midnight(first, zone), _midnight(until + timedelta(days=1), zone))


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Where clocks skip it, the first moment after; by UTC, for Python reckons by the wall clock within a zone."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
