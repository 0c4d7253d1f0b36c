"""Which printers a rule covers, when it is quiet, and how it reads; without a database."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitoring.alerts import grouping, rules
from monitoring.alerts.grouping import Due, Verdict
from monitoring.alerts.models import Event, Rule
from monitoring.alerts.rules import Facts
from printers.states import State

OSLO = ZoneInfo("Europe/Oslo")
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
NIGHT = {"quiet_from": time(22), "quiet_until": time(6)}


def rule(**values: Any) -> Rule:
    return Rule(**{"states": [State.ERROR.value], "since": NOON - timedelta(days=1), **values})


def event(**values: Any) -> Event:
    return Event(**{"printer_id": 1, "state": State.ERROR.value, "began_at": NOON, **values})


@pytest.mark.parametrize(
    ("condition", "covered"),
    [
        ({}, True),
        ({"place": "hall a"}, True),
        ({"place": "Hall B"}, False),
        ({"tag": "petg"}, True),
        ({"tag": "PET"}, False),
        ({"group_id": 7}, True),
        ({"group_id": 8}, False),
        ({"printer_id": 1}, True),
        ({"printer_id": 2}, False),
        ({"place": "Hall A", "tag": "PLA"}, False),
    ],
)
def test_every_condition_that_is_not_empty_has_to_be_fulfilled(condition: dict[str, Any], covered: bool) -> None:
    facts = Facts(1, "Hall A", frozenset({"PETG"}), frozenset({7}))

    assert rules.covers(rule(**condition), facts) is covered


def test_what_began_before_the_rule_is_not_told() -> None:
    assert rules.wants(rule(since=NOON), event(), Facts(1))
    assert not rules.wants(rule(since=NOON + timedelta(seconds=1)), event(), Facts(1))


def test_a_paused_rule_and_another_state_tell_nothing() -> None:
    assert not rules.wants(rule(paused=True), event(), Facts(1))
    assert not rules.wants(rule(), event(state=State.PAUSED.value), Facts(1))


@pytest.mark.parametrize(("wall", "quiet"), [("21:59", False), ("22:00", True), ("05:59", True), ("06:00", False)])
def test_quiet_hours_go_past_midnight(wall: str, quiet: bool) -> None:
    now = datetime.combine(NOON, time.fromisoformat(wall), OSLO)

    assert rules.is_quiet(rule(**NIGHT), now, OSLO) is quiet


def test_quiet_hours_are_the_wall_clocks_on_the_days_when_it_changes() -> None:
    """On 29 March 2026 Oslo goes from 02:00 to 03:00, on 25 October 02:00 to 03:00 comes twice."""
    early = rule(quiet_from=time(2, 30), quiet_until=time(6))

    assert not rules.is_quiet(early, datetime(2026, 3, 29, 0, 59, tzinfo=UTC), OSLO)
    assert rules.is_quiet(early, datetime(2026, 3, 29, 1, 0, tzinfo=UTC), OSLO)
    assert not rules.is_quiet(early, datetime(2026, 3, 29, 4, 0, tzinfo=UTC), OSLO)
    assert rules.is_quiet(early, datetime(2026, 10, 25, 0, 30, tzinfo=UTC), OSLO)
    assert not rules.is_quiet(early, datetime(2026, 10, 25, 1, 0, tzinfo=UTC), OSLO)
    assert not rules.is_quiet(early, datetime(2026, 10, 25, 5, 0, tzinfo=UTC), OSLO)


def test_what_is_still_so_after_the_quiet_hours_is_told_and_what_is_over_is_not() -> None:
    night = datetime(2026, 3, 4, 23, 0, tzinfo=UTC)
    over = event(ended_at=NOON + timedelta(hours=1))

    assert grouping.beginning(rule(**NIGHT), event(), night, OSLO) is Verdict.HOLD
    assert grouping.beginning(rule(**NIGHT), over, night, OSLO) is Verdict.FORGET
    assert grouping.beginning(rule(**NIGHT), event(), night + timedelta(hours=7), OSLO) is Verdict.TELL


def test_what_was_over_sooner_than_the_rule_says_is_not_told() -> None:
    short, long = (event(ended_at=NOON + timedelta(minutes=minutes)) for minutes in (4, 5))

    assert grouping.beginning(rule(minutes=5), short, NOON, OSLO) is Verdict.FORGET
    assert grouping.beginning(rule(minutes=5), long, NOON, OSLO) is Verdict.TELL


def test_a_machine_that_was_taken_out_of_order_is_nobodys_business() -> None:
    taken_out = event(ended_at=NOON + timedelta(hours=1), became=State.OUTOFORDER.value)

    assert grouping.beginning(rule(), taken_out, NOON, OSLO) is Verdict.FORGET


@pytest.mark.parametrize(
    ("after_s", "ripe"),
    [
        ([0], False),
        ([20], True),
        ([20, 10, 1], False),
        ([60, 40, 20], True),
        ([120, 80, 40, 0], True),  # However much keeps happening.
    ],
)
def test_a_message_waits_until_nothing_more_comes(after_s: list[int], ripe: bool) -> None:
    dues = [Due(rule(), event(), NOON - timedelta(seconds=seconds)) for seconds in after_s]

    assert grouping.ripe(dues, NOON) is ripe


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "Errors anywhere, at any hour"),
        ({"place": "Hall A", "minutes": 90}, "Errors in Hall A, after 1 h 30 min, at any hour"),
        ({"tag": "PETG", **NIGHT}, "Errors with the tag PETG, not from 22:00 to 06:00"),
        (
            {"states": ["finished", "failed", "error"]},
            "Finished prints, failed prints and errors anywhere, at any hour",
        ),
    ],
)
def test_a_rule_reads_as_a_sentence(values: dict[str, Any], words: str) -> None:
    assert rules.sentence(rule(**values)).replace("\N{NO-BREAK SPACE}", " ") == words
