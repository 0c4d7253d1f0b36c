"""What a chart shows: points for the drawing, labels for around it, and a sentence that says the same."""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format

from core import times
from core.templatetags.farm import degrees
from monitoring.history import reading
from monitoring.history.ranges import Range
from monitoring.history.reading import Point, Span
from printers.parts import order_of, word_of
from printers.states import State

AT_MOST = 600
"""Points of a line, about as many as there are pixels; each stretch keeps its lowest and its highest."""
STEADY = 3.0
"""Degrees within which a temperature is called steady."""
LABELS = 4
"""Stretches between labels, on either axis."""
STEPS = (10, 25, 50, 75, 100, 125, 150, 200, 250, 500, 1000)
WIDE = 1000
"""How many units wide the strip of states is."""
MOST_SPANS = 400
"""More of them are narrower than anybody sees."""


@dataclass(frozen=True)
class Line:
    """One part: the last temperature in its legend, and all of them in the drawing."""

    part: str
    points: Sequence[Point]

    @property
    def word(self) -> str:
        return word_of(self.part)

    @property
    def now(self) -> str:
        return degrees(self.points[-1].actual)

    @property
    def sentence(self) -> str:
        """nozzle between 231 and 240 °C"""
        lows = [point.low for point in self.points if point.low is not None]
        highs = [point.high for point in self.points if point.high is not None]
        if not lows:
            return f"{self.word.lower()} not known"
        if max(highs) - min(lows) < STEADY:
            return f"{self.word.lower()} steady at {degrees((max(highs) + min(lows)) / 2)}"
        return f"{self.word.lower()} between {min(lows):.0f} and {degrees(max(highs))}"


@dataclass(frozen=True)
class Chart:
    """Temperatures and states of one printer over a range."""

    range: Range
    lines: Sequence[Line]
    spans: Sequence[Span]

    @property
    def title(self) -> str:
        return f"The last {self.range.word}"

    @property
    def sentence(self) -> str:
        lines = "; ".join(line.sentence for line in self.lines) or "no temperatures are known"
        return f"{self.title}: {lines}."

    @cached_property
    def top(self) -> int:
        """Of the scale: the first of some round numbers that nothing goes beyond."""
        points = (point for line in self.lines for point in line.points)
        highest = max((value for point in points for value in (point.high, point.target) if value), default=0)
        return LABELS * next((step for step in STEPS if LABELS * step >= highest), STEPS[-1])

    @property
    def heights(self) -> list[int]:
        """The labels beside the drawing, from above."""
        return [self.top * part // LABELS for part in range(LABELS, -1, -1)]

    @property
    def clocks(self) -> list[str]:
        """The labels below it, by the reader's clock: 16:12, and of a week Fri 16:12."""
        words = "D H:i" if self.range.span > timedelta(days=1) else "H:i"
        return [date_format(timezone.localtime(moment), words) for moment in self.range.moments(LABELS)]

    @property
    def drawing(self) -> str:
        """As JSON, what static/history/chart.js draws: all lines over the same moments, in seconds."""
        return json.dumps(self._drawing(), separators=(",", ":"))

    def _drawing(self) -> dict[str, Any]:
        moments = sorted({point.at for line in self.lines for point in line.points} | {self.range.end})
        return {
            "from": self.range.start.timestamp(),
            "to": self.range.end.timestamp(),
            "top": self.top,
            "zone": timezone.get_current_timezone_name(),
            "moments": [round(moment.timestamp(), 1) for moment in moments],
            "lines": [
                {
                    "word": line.word,
                    "actual": _at(moments, line.points, "actual"),
                    "target": _at(moments, line.points, "target"),
                }
                for line in self.lines
            ],
        }

    @property
    def strip(self) -> list[tuple[State, str, str]]:
        """(state, where it begins, how wide it is)"""
        unit = self.range.span / WIDE
        if len(self.spans) > MOST_SPANS:
            return self._coarse(unit)
        return [
            (span.state, f"{(span.begins - self.range.start) / unit:.2f}", f"{span.lasted / unit:.2f}")
            for span in self.spans
        ]

    def _coarse(self, unit: timedelta) -> list[tuple[State, str, str]]:
        """Of a state that comes and goes, what was in the middle of each unit."""
        begins = [span.begins for span in self.spans]
        places = (bisect_right(begins, self.range.start + unit * (n + 0.5)) for n in range(WIDE))
        known = [(n, self.spans[place - 1].state) for n, place in enumerate(places) if place]
        runs = [list(run) for _, run in groupby(known, key=lambda each: each[1])]
        return [(run[0][1], str(run[0][0]), str(len(run))) for run in runs]

    @property
    def shares(self) -> list[tuple[State, str]]:
        """(state, how long in all), in the order of urgency."""
        lasted: defaultdict[State, timedelta] = defaultdict(timedelta)
        for span in self.spans:
            lasted[span.state] += span.lasted
        return [(state, _long(lasted[state])) for state in State if state in lasted]


def chart_of(printer: int, range: Range) -> Chart:
    """Three statements."""
    found = reading.temperatures(printer, range.start, range.end)
    lines = [Line(part, thin(found[part], range)) for part in sorted(found, key=order_of)]
    return Chart(range, lines, reading.states(printer, range.start, range.end))


def _at(moments: Iterable[datetime], points: Sequence[Point], name: str) -> list[float | None]:
    """What each moment has of a line, which stays as it is until its next point."""
    begins = [point.at for point in points]
    found = []
    for moment in moments:
        place = bisect_right(begins, moment)
        value = getattr(points[place - 1], name) if place else None
        found.append(None if value is None else round(value, 1))
    return found


def _long(span: timedelta) -> str:
    return f"under 1{times.NBSP}min" if span < timedelta(minutes=1) else times.duration(span)


def thin(points: Sequence[Point], range: Range) -> list[Point]:
    """At most `AT_MOST` stretches, of each the first, the lowest, the highest, and the last point."""
    if len(points) <= AT_MOST:
        return list(points)
    kept = []
    for _, stretch in groupby(points, key=lambda point: int((point.at - range.start) / range.span * AT_MOST / 4)):
        some = list(stretch)
        known = [point for point in some if point.actual is not None]
        ends = [some[0], some[-1], *([min(known, key=_actual), max(known, key=_actual)] if known else [])]
        kept += sorted(set(ends), key=lambda point: point.at)
    return kept


def _actual(point: Point) -> float:
    return point.actual or 0.0
