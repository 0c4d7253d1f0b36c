"""What is older than a day becomes quarters of an hour, once, and charts go on where it ends."""

import threading

import pytest
from django.db import connection, transaction

from monitoring.history import reading, rolling
from monitoring.history.models import RolledUp, StateChange
from printers.states import State
from tests.monitoring.history.rows import (
    DAY,
    HERON,
    HOUR,
    MINUTE,
    NOW,
    OLD,
    TODAY,
    become,
    kept_whole,
    quarters,
    rolled_until,
    warm,
)

pytestmark = pytest.mark.django_db


def test_a_quarter_has_its_mean_by_time_its_lowest_and_its_highest() -> None:
    warm((OLD, 20), (OLD + 5 * MINUTE, 200), (OLD + 20 * MINUTE, 230))
    rolled_until(OLD)
    rolling.roll_up(NOW)

    assert quarters()[:3] == [
        (OLD, 20, 140, 200),
        (OLD + 15 * MINUTE, 200, 220, 230),
        (OLD + 30 * MINUTE, 230, 230, 230),
    ]


def test_quarters_in_which_nothing_moves_have_no_row_but_the_first_of_a_day() -> None:
    warm((OLD, 20))
    rolled_until(OLD)
    rolling.roll_up(NOW)

    assert [at for at, *_ in quarters()] == [OLD, OLD.replace(hour=0) + DAY]
    assert RolledUp.objects.get().until == NOW.replace(minute=0) - DAY


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kathmandu"])
def test_quarters_and_days_are_those_of_utc_in_sessions_of_any_zone(zone: str) -> None:
    """Where an hour begins at half past, or at a quarter to."""
    warm((OLD, 20))
    rolled_until(OLD)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
        for begin in (OLD, OLD.replace(hour=0) + DAY):
            for statement in (rolling.AVERAGE, rolling.FORGET, rolling.THIN):
                cursor.execute(statement, {"begin": begin.isoformat(), "end": (begin + HOUR).isoformat()})
        cursor.execute("SELECT extract(epoch FROM at) FROM history_quarter ORDER BY at")

        assert [at for (at,) in cursor.fetchall()] == [OLD.timestamp(), (OLD.replace(hour=0) + DAY).timestamp()]


def test_what_is_newer_than_a_day_stays_whole_and_of_what_is_older_the_last_of_each_part() -> None:
    new = NOW - DAY + HOUR
    warm((OLD, 20), (OLD + MINUTE, 21), (OLD + 2 * MINUTE, 22), (new, 23), (new + MINUTE, 24))
    warm((OLD, 60), part="bed")
    rolled_until(OLD)
    rolling.roll_up(NOW)

    assert kept_whole(part="tool0") == [(OLD + 2 * MINUTE, 22), (new, 23), (new + MINUTE, 24)]
    assert kept_whole(part="bed") == [(OLD, 60)]


def test_a_gap_is_no_temperature_and_no_part_of_a_mean() -> None:
    warm((OLD, 100), (OLD + 5 * MINUTE, None), (OLD + 35 * MINUTE, 40))
    rolled_until(OLD)
    rolling.roll_up(NOW)

    assert quarters()[:3] == [
        (OLD, 100, 100, 100),
        (OLD + 15 * MINUTE, None, None, None),
        (OLD + 30 * MINUTE, 40, 40, 40),
    ]


def test_a_part_that_is_gone_has_no_row_each_day() -> None:
    warm((OLD, 100), (OLD + MINUTE, None))
    rolled_until(OLD)
    rolling.roll_up(NOW)

    assert [mean for *_, mean, _ in quarters()] == [100, None]


def test_nothing_is_rolled_up_twice_not_even_when_the_clock_is_set_back() -> None:
    warm((OLD, 20), (OLD + 5 * MINUTE, 200))
    rolled_until(OLD)
    rolling.roll_up(NOW + 2 * DAY, seconds=60)
    before = quarters(at__lt=OLD + HOUR)
    assert RolledUp.objects.get().until > NOW

    rolling.roll_up(NOW)
    assert RolledUp.objects.get().until == NOW.replace(minute=0) - DAY
    rolled_until(OLD)
    rolling.roll_up(NOW)

    assert quarters(at__lt=OLD + HOUR) == before


def test_the_first_call_begins_a_day_ago() -> None:
    assert rolling.roll_up(NOW) == 0
    assert RolledUp.objects.get().until == NOW.replace(minute=0) - DAY
    assert rolling.roll_up(NOW + 2 * HOUR) == 2


def test_an_interruption_leaves_the_hour_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    warm((OLD, 20), (OLD + MINUTE, 200))
    rolled_until(OLD)
    monkeypatch.setattr(rolling, "THIN", "SELECT 1 / 0")
    with pytest.raises(Exception, match="division by zero"), transaction.atomic():
        rolling.roll_up(NOW)

    assert quarters() == []
    assert len(kept_whole()) == 2
    assert RolledUp.objects.get().until == OLD


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_does_nothing() -> None:
    rolled_until(OLD)
    hours = []

    def other() -> None:
        hours.append(rolling.roll_up(NOW))
        connection.close()

    with transaction.atomic():
        RolledUp.objects.select_for_update().get()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    assert hours == [0]


def test_a_state_that_comes_and_goes_is_one_change_of_each_kind_in_a_quarter() -> None:
    flapping = [(OLD + n * MINUTE, (State.UNREACHABLE, State.READY)[n % 2]) for n in range(1, 14)]
    become((OLD, State.PRINTING), *flapping, (OLD + 16 * MINUTE, State.READY))
    rolled_until(OLD)
    rolling.roll_up(NOW)

    assert list(StateChange.objects.order_by("at").values_list("at", "state", "times")) == [
        (OLD, State.PRINTING, 1),
        (OLD + 12 * MINUTE, State.UNREACHABLE, 6),
        (OLD + 13 * MINUTE, State.READY, 7),
        (OLD + 16 * MINUTE, State.READY, 1),
    ]
    last = reading.states(HERON, OLD, OLD + HOUR)[-1]
    assert (last.state, last.begins, last.ends) == (State.READY, OLD + 13 * MINUTE, OLD + HOUR)


def test_a_chart_is_the_same_before_and_after_where_temperatures_change_with_the_quarters() -> None:
    steps = [(TODAY - 2 * DAY + n * 15 * MINUTE, float(n % 50 + 20)) for n in range(250)]
    warm(*steps)
    rolled_until(TODAY - 2 * DAY)

    def read() -> list[tuple[object, float | None]]:
        found = reading.temperatures(HERON, NOW - 60 * HOUR, NOW)["tool0"]
        return [(point.at, point.actual) for point in found]

    before = read()
    rolling.roll_up(NOW, seconds=60)

    assert read() == before
    assert len(kept_whole()) < 120


def test_nothing_that_was_long_ago_is_missing_at_the_left_of_a_chart() -> None:
    warm((OLD, 25.5))
    rolled_until(OLD)
    rolling.roll_up(NOW, seconds=60)

    for hours in (1, 24, 40):
        start = NOW - hours * HOUR
        [point] = {(point.at, point.actual) for point in reading.temperatures(HERON, start, NOW)["tool0"]} - {
            (NOW.replace(minute=0) - DAY, 25.5), (TODAY, 25.5)
        }  # fmt: skip
        assert point == (start, 25.5)
