"""What charts say: labels by the reader's clock, whatever it does, a scale, a sentence, and no lost peaks."""

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from monitoring.history import ranges
from monitoring.history.charts import AT_MOST, Chart, Line, chart_of, thin
from monitoring.history.reading import Point, Span
from printers.states import State
from tests.monitoring.history.rows import DAY, HERON, HOUR, MINUTE, NOW, become, warm

OSLO = ZoneInfo("Europe/Oslo")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
"""When clocks in Oslo go from 2:00 to 3:00, and from 3:00 to 2:00."""


def point(at: datetime, actual: float | None, target: float | None = None) -> Point:
    return Point(at, actual, actual, actual, target)


def chart(*points: Point, part: str = "tool0", word: str = "hour", now: datetime = NOW) -> Chart:
    return Chart(ranges.last(word, now), [Line(part, points)] if points else [], [])


@pytest.mark.parametrize(
    ("word", "now", "clocks"),
    [
        ("hour", datetime(2026, 3, 29, 1, 30, tzinfo=UTC), ["01:30", "01:45", "03:00", "03:15", "03:30"]),
        ("hour", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), ["02:30", "02:45", "02:00", "02:15", "02:30"]),
        ("day", datetime(2026, 3, 29, 10, tzinfo=UTC), ["11:00", "17:00", "23:00", "06:00", "12:00"]),
        ("day", datetime(2026, 10, 25, 11, tzinfo=UTC), ["13:00", "19:00", "01:00", "06:00", "12:00"]),
        (
            "week",
            datetime(2026, 4, 1, 10, tzinfo=UTC),
            ["Wed 11:00", "Fri 05:00", "Sat 23:00", "Mon 18:00", "Wed 12:00"],
        ),
    ],
)
def test_labels_are_the_readers_clock_when_it_changes(word: str, now: datetime, clocks: list[str]) -> None:
    with timezone.override(OSLO):
        assert chart(point(now - MINUTE, 20), word=word, now=now).clocks == clocks


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (date(2026, 3, 14), 24)])
def test_a_day_of_a_file_is_the_readers(day: date, hours: int) -> None:
    chosen = ranges.days(day, day, OSLO)

    assert chosen.span == hours * HOUR
    assert chosen.start.astimezone(OSLO).replace(tzinfo=None) == datetime.combine(day, time())


def test_a_day_begins_where_clocks_skip_midnight() -> None:
    santiago = ZoneInfo("America/Santiago")
    days = [ranges.days(date(2026, 9, day), date(2026, 9, day), santiago) for day in (5, 6, 7)]

    assert days[0].end == days[1].start
    assert days[1].end == days[2].start
    assert days[1].span == 23 * HOUR


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 40), (39, 40), (41, 100), (215, 300), (299, 300), (301, 400), (5000, 4000)]
)
def test_the_scale_ends_at_a_round_number(highest: float, top: int) -> None:
    assert chart(point(NOW, 10, target=highest)).heights == [top, top * 3 // 4, top // 2, top // 4, 0]


@pytest.mark.parametrize(
    ("temperatures", "sentence"),
    [
        ([], "The last hour: no temperatures are known."),
        ([240, 241, 239.5], "The last hour: nozzle steady at 240 °C."),
        ([231, 240], "The last hour: nozzle between 231 and 240 °C."),
        ([None], "The last hour: nozzle not known."),
    ],
)
def test_a_sentence_says_what_it_shows(temperatures: list[float | None], sentence: str) -> None:
    points = [point(NOW + n * MINUTE, actual) for n, actual in enumerate(temperatures)]

    assert chart(*points).sentence.replace("\xa0", " ") == sentence


def test_few_points_stay_and_of_many_the_extremes_do() -> None:
    few = [point(NOW - n * MINUTE, n) for n in range(50, 0, -1)]
    assert thin(few, ranges.last("hour", NOW)) == few

    start = NOW - DAY
    many = [point(start + n * timedelta(seconds=10), 200.0) for n in range(8600)]
    many[4321] = point(many[4321].at, 31.0)
    many[4400] = point(many[4400].at, None)
    kept = thin(many, ranges.last("day", NOW))
    assert len(kept) <= AT_MOST
    assert many[4321] in kept
    assert (kept[0], kept[-1]) == (many[0], many[-1])
    assert kept == sorted(kept, key=lambda each: each.at)


def test_lines_share_their_moments_and_stay_until_the_next() -> None:
    two = Chart(
        ranges.last("hour", NOW),
        [Line("tool0", [point(NOW - 3 * MINUTE, 200.04, 210), point(NOW - MINUTE, None)]),
         Line("bed", [point(NOW - 2 * MINUTE, 60)])],
        [],
    )  # fmt: skip
    drawing = json.loads(two.drawing)

    assert [moment - NOW.timestamp() for moment in drawing["moments"]] == [-180, -120, -60, 0]
    assert [line["actual"] for line in drawing["lines"]] == [[200, 200, None, None], [None, 60, 60, 60]]
    assert drawing["lines"][0]["target"] == [210, 210, None, None]
    assert (drawing["from"], drawing["to"]) == (NOW.timestamp() - 3600, NOW.timestamp())


def test_states_are_a_strip_and_words_in_the_order_of_urgency() -> None:
    start = NOW - HOUR
    spans = [
        Span(State.READY, start, start + 15 * MINUTE),
        Span(State.PRINTING, start + 15 * MINUTE, start + 54 * MINUTE),
        Span(State.READY, start + 54 * MINUTE, start + 59.5 * MINUTE),
        Span(State.ERROR, start + 59.5 * MINUTE, NOW),
    ]
    found = Chart(ranges.last("hour", NOW), [], spans)

    assert [(state, x, width) for state, x, width in found.strip][:2] == [
        (State.READY, "0.00", "250.00"), (State.PRINTING, "250.00", "650.00"),
    ]  # fmt: skip
    assert [(state, long.replace("\xa0", " ")) for state, long in found.shares] == [
        (State.ERROR, "under 1 min"), (State.PRINTING, "39 min"), (State.READY, "20 min"),
    ]  # fmt: skip


def test_a_state_that_comes_and_goes_makes_no_page_of_a_megabyte() -> None:
    start = NOW - DAY
    second = timedelta(seconds=10)
    states = (State.READY, State.UNREACHABLE)
    spans = [Span(states[n % 2], start + n * second, start + (n + 1) * second) for n in range(1000, 8640)]
    strip = Chart(ranges.last("day", NOW), [], spans).strip

    assert len(strip) <= 1000
    assert strip[0][1] == "116", "nothing of before the first look"
    assert sum(int(width) for _, _, width in strip) == 1000 - 116
    assert {state for state, *_ in strip} == set(states)


@pytest.mark.django_db
def test_a_chart_is_of_one_printer_and_nozzles_come_first() -> None:
    warm((NOW - MINUTE, 60), part="bed")
    warm((NOW - MINUTE, 215), part="tool1")
    warm((NOW - MINUTE, 99), printer=HERON + 1, part="chamber")
    become((NOW - MINUTE, State.READY), printer=HERON + 1)

    found = chart_of(HERON, ranges.last("hour", NOW))
    assert [line.word for line in found.lines] == ["Nozzle 2", "Bed"]
    assert found.spans == []
