"""What looks change is written down with them, and nothing else is."""

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.history import partitions, reading, recording
from monitoring.history.models import StateChange, Temperature
from monitoring.polling import housekeeping
from printers import looking
from printers.clients.base import Seen, Temperatures
from printers.models import Printer
from printers.signals import Change, Known
from printers.states import State
from tests.monitoring.history.rows import HOUR, MINUTE, NOW

pytestmark = pytest.mark.django_db


def make(key: str = "k") -> Printer:
    return Printer.objects.create(ip_address="192.0.2.7", api_key=key)


def look(printer: Printer, at: datetime, state: State = State.READY, **parts: tuple[float, float]) -> None:
    temperatures: Temperatures = {
        part: {"actual": actual, "target": target} for part, (actual, target) in parts.items()
    }
    looking.keep([(printer.pk, Seen(state, temperatures=temperatures))], at)


def states() -> list[tuple[datetime, str]]:
    return list(StateChange.objects.order_by("at").values_list("at", "state"))


def temperatures() -> list[tuple[datetime, str, float | None, float | None]]:
    return list(Temperature.objects.order_by("at", "part").values_list("at", "part", "actual", "target"))


def test_states_are_written_when_they_change() -> None:
    printer = make()
    for minute, state in enumerate([State.READY, State.READY, State.HEATING, State.PRINTING, State.PRINTING]):
        look(printer, NOW + minute * MINUTE, state)

    assert states() == [(NOW, "ready"), (NOW + 2 * MINUTE, "heating"), (NOW + 3 * MINUTE, "printing")]


def test_temperatures_are_written_part_by_part() -> None:
    printer = make()
    look(printer, NOW, tool0=(20, 0), bed=(20, 0))
    look(printer, NOW + MINUTE, tool0=(20.4, 0), bed=(20, 0))
    look(printer, NOW + 2 * MINUTE, tool0=(25, 215), bed=(20, 0))

    assert temperatures() == [
        (NOW, "bed", 20, 0), (NOW, "tool0", 20, 0), (NOW + 2 * MINUTE, "tool0", 25, 215),
    ]  # fmt: skip


def test_a_printer_that_is_switched_off_has_a_gap_not_its_last_temperature() -> None:
    printer = make()
    look(printer, NOW, tool0=(215, 215))
    look(printer, NOW + MINUTE, State.DISCONNECTED)
    look(printer, NOW + 9 * MINUTE, tool0=(30, 0))

    points = reading.temperatures(printer.pk, NOW - HOUR, NOW + HOUR)["tool0"]
    assert [point.actual for point in points] == [215, None, 30]


def test_two_looks_of_one_moment_leave_the_last() -> None:
    printer = make()
    look(printer, NOW, tool0=(20, 0))
    look(printer, NOW, State.HEATING, tool0=(30, 215))

    assert states() == [(NOW, "heating")]
    assert temperatures() == [(NOW, "tool0", 30, 215)]


def test_a_look_that_changes_nothing_writes_nothing_and_opens_no_month() -> None:
    printer = make()
    look(printer, NOW, tool0=(20, 0))
    with CaptureQueriesContext(connection) as queries:
        look(printer, NOW + MINUTE, tool0=(20, 0))

    assert [query["sql"] for query in queries if "history" in query["sql"]] == []


def test_a_batch_is_three_statements_more() -> None:
    looking.keep([(make().pk, Seen(State.READY))], NOW)
    printers = [make(str(count)) for count in range(20)]
    found = [(printer.pk, Seen(State.READY, temperatures={"bed": {"actual": 20.0}})) for printer in printers]
    with CaptureQueriesContext(connection) as queries:
        looking.keep(found, NOW + MINUTE)

    assert len([query for query in queries if "history" in query["sql"]]) == 3
    assert StateChange.objects.count() == 21
    assert Temperature.objects.count() == 20


def test_a_month_that_nobody_made_ahead_is_made_by_who_writes() -> None:
    assert partitions.existing() == []
    look(make(), NOW)

    assert partitions.existing() == [f"{table}_2026_03" for table in sorted(partitions.TABLES)]


def test_what_no_printer_says_does_no_harm_to_the_others() -> None:
    printer, other = make(), make("o")
    many: Temperatures = {f"tool{n}": {"actual": 20.0} for n in range(1000)}
    wrong = {"t" * 21: 20.0, "bed": 1e300, "chamber": float("nan"), "tool0": float("-inf")}
    readings: Temperatures = {part: {"actual": value} for part, value in wrong.items()}
    changes = [
        Change(key, None, Known(State.READY, NOW, NOW, temperatures=seen))
        for key, seen in [(printer.pk, readings), (other.pk, many)]
    ]
    recording.record(changes)

    assert {(part, actual) for _, part, actual, _ in temperatures() if part in wrong} == {
        ("bed", None), ("chamber", None), ("tool0", None), ("tool0", 20),
    }  # fmt: skip
    assert Temperature.objects.filter(printer_id=other.pk).count() == 16


def test_whoever_polls_looks_after_it_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    housekeeping.run()

    months = {name[-7:] for name in partitions.existing()}
    assert f"{looking.timezone.now():%Y_%m}" in months
