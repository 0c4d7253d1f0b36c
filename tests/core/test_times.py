from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from core import times

NOW = datetime(2026, 3, 5, 16, 3, tzinfo=UTC)  # a Thursday


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "now"),
        (59, "now"),
        (60, "1 min"),
        (34 * 60, "34 min"),
        (59 * 60 + 40, "1 h 00 min"),
        (80 * 60, "1 h 20 min"),
        (5 * 3600 + 5 * 60, "5 h 05 min"),
        (24 * 3600 - 20, "1 day"),
        (52 * 3600, "2 days 4 h"),
        (-80 * 60, "1 h 20 min"),
    ],
)
def test_durations(seconds: int, written: str) -> None:
    assert times.duration(timedelta(seconds=seconds)).replace(times.NBSP, " ") == written


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (NOW + timedelta(minutes=9), "16:12"),
        (NOW + timedelta(hours=14, minutes=10), "Fri 06:13"),
        (NOW - timedelta(days=5), "Sat 16:03"),
        # A week ago is the same weekday.
        (NOW - timedelta(days=7), "26 Feb"),
        (datetime(2025, 2, 14, tzinfo=UTC), "14 Feb 2025"),
    ],
)
def test_moments(moment: datetime, written: str) -> None:
    assert times.clock(moment, NOW) == written


def test_moments_are_in_the_readers_zone() -> None:
    with timezone.override("Asia/Tehran"):
        assert times.clock(NOW, NOW) == "19:33"
        assert times.clock(NOW + timedelta(hours=5), NOW) == "Fri 00:33"


@pytest.mark.parametrize(("seconds", "written"), [(4, "4 s ago"), (125, "2 min ago"), (-3, "0 s ago")])
def test_ages(seconds: int, written: str) -> None:
    assert times.age(NOW - timedelta(seconds=seconds), NOW).replace(times.NBSP, " ") == written
