"""Looks at samples, and what the database keeps of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from printers import looking, signals
from printers.clients.base import Seen
from printers.fleet.models import Kind, LastSeen, Machine
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.signals import Change
from printers.states import ENDED, Group, State
from tests.printers.served import served

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 14, 16, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATER = NOW + timedelta(minutes=5)
PRINTING = Seen(State.PRINTING, "a.gcode", 62.0, LATER, {"tool0": {"actual": 214.9, "target": 215.0}}, "Layer 3")
AWAY = Seen(State.UNREACHABLE, message="Nothing answers.", answered=False)


def make(address: str = "10.20.2.14", key: str = "k") -> Printer:
    return Printer.objects.create(ip_address=address, api_key=key)


def kept(printer: Printer) -> LastSeen:
    return LastSeen.objects.get(pk=printer.pk)


def test_what_was_seen_is_kept_whole() -> None:
    printer = make()
    looking.keep([(printer.pk, PRINTING)], NOW)
    row = kept(printer)

    assert (row.state, row.file, row.progress, row.ends_at, row.message) == (
        State.PRINTING, "a.gcode", 62.0, LATER, "Layer 3",
    )  # fmt: skip
    assert row.temperatures == PRINTING.temperatures
    assert row.since == row.asked_at == row.seen_at == NOW


def test_a_state_has_its_beginning_and_a_server_its_last_answer() -> None:
    printer = make()
    looking.keep([(printer.pk, PRINTING)], NOW)
    looking.keep([(printer.pk, PRINTING)], LATER)
    assert (kept(printer).since, kept(printer).seen_at) == (NOW, LATER)


def test_a_printer_is_unreachable_after_three_misses_and_does_until_then_what_it_did() -> None:
    printer = make()
    looking.keep([(printer.pk, replace(PRINTING, state=State.FINISHED, progress=100.0))], NOW)
    for misses in (1, 2):
        looking.keep([(printer.pk, AWAY)], NOW + misses * MINUTE)
        row = kept(printer)
        assert (row.state, row.since, row.seen_at, row.misses) == (State.FINISHED, NOW, NOW, misses)
        assert row.file == "a.gcode"
        assert Printer.objects.get().ping

    looking.keep([(printer.pk, AWAY)], NOW + 3 * MINUTE)
    row = kept(printer)
    assert (row.state, row.since, row.message) == (State.UNREACHABLE, NOW + 3 * MINUTE, "Nothing answers.")
    assert (row.seen_at, row.file, row.progress, row.ends_at, row.temperatures) == (NOW, "", None, None, {})
    assert not Printer.objects.get().ping


def test_an_answer_forgets_the_misses_before_it() -> None:
    printer = make()
    for count, seen in enumerate([PRINTING, AWAY, AWAY, PRINTING, AWAY, AWAY]):
        looking.keep([(printer.pk, seen)], NOW + count * MINUTE)

    assert (kept(printer).state, kept(printer).misses, kept(printer).since) == (State.PRINTING, 2, NOW)


def test_a_printer_that_was_never_reached_is_unreachable_at_once() -> None:
    printer = make()
    looking.keep([(printer.pk, AWAY)], NOW)

    assert (kept(printer).state, kept(printer).misses) == (State.UNREACHABLE, 3)


def test_what_is_lost_in_mid_print_asks_for_somebody() -> None:
    printer = make()
    for count, seen in enumerate([PRINTING, AWAY, AWAY, AWAY, AWAY]):
        looking.keep([(printer.pk, seen)], NOW + count * MINUTE)
    row = kept(printer)

    assert (row.state, row.file, row.progress) == (State.UNREACHABLE, "a.gcode", 62.0)
    assert shown() == State.ATTENTION
    assert not Printer.objects.get().printing


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    printer = make()
    looking.keep([(printer.pk, PRINTING)], NOW)
    looking.keep([(printer.pk, Seen(State.READY))], NOW - timedelta(hours=1))

    assert kept(printer).state == State.READY


def shown() -> State:
    """By the row and by the database, which say the same."""
    printer = Printer.objects.whole().by_urgency().get()
    assert printer.state_value == printer.state
    assert list(Group)[printer.urgency] == printer.state.group
    return printer.state


@pytest.mark.parametrize("waits", ["", State.FAILED])
@pytest.mark.parametrize("progress", [None, 4.0])
@pytest.mark.parametrize("state", [state for state in State if state != State.OUTOFORDER])
def test_what_is_shown_is_the_same_by_the_database(state: State, progress: float | None, waits: str) -> None:
    printer = make()
    LastSeen.objects.create(printer=printer, state=state, since=NOW, asked_at=NOW, progress=progress, waits=waits)

    assert shown() not in ENDED or waits


def test_an_older_look_that_comes_late_changes_nothing() -> None:
    printer = make()
    looking.keep([(printer.pk, PRINTING)], LATER)
    looking.keep([(printer.pk, Seen(State.READY))], LATER - timedelta(seconds=5))

    assert kept(printer).state == State.PRINTING


def test_a_printer_that_was_deleted_meanwhile_leaves_no_row() -> None:
    gone, stays = make(key="a"), make(key="b")
    keys = [gone.pk, stays.pk]
    gone.delete()
    looking.keep([(key, PRINTING) for key in keys], NOW)

    assert list(LastSeen.objects.values_list("pk", flat=True)) == [stays.pk]


def looks(printers: list[Printer], seen: Seen, at: datetime = NOW) -> list[looking.Look]:
    return [looking.Look(printer.pk, seen, at) for printer in printers]


def test_one_statement_writes_a_batch() -> None:
    printers = [make(key=str(count)) for count in range(20)]
    with CaptureQueriesContext(connection) as queries:
        looking.keep_changes(looks(printers, Seen(State.READY)))

    written = ("INSERT INTO fleet", "UPDATE printers")
    assert len([query for query in queries if any(words in query["sql"] for words in written)]) == 1
    assert LastSeen.objects.count() == 20


@pytest.mark.parametrize(
    "again",
    [
        PRINTING,
        replace(PRINTING, temperatures={"tool0": {"actual": 215.8, "target": 215.0}}),
        replace(PRINTING, ends_at=LATER + timedelta(seconds=29)),
    ],
)
def test_where_nothing_has_changed_one_statement_reads_and_none_writes(again: Seen) -> None:
    printers = [make(key=str(count)) for count in range(20)]
    looking.keep_changes(looks(printers, PRINTING))
    with CaptureQueriesContext(connection) as queries:
        assert looking.keep_changes(looks(printers, again, LATER)) == []

    assert len(queries) == 1
    assert queries[0]["sql"].strip().startswith("SELECT")


@pytest.mark.parametrize(
    "again",
    [
        replace(PRINTING, state=State.PAUSED),
        replace(PRINTING, progress=62.1),
        replace(PRINTING, message="Layer 4"),
        replace(PRINTING, ends_at=None),
        replace(PRINTING, ends_at=LATER + timedelta(seconds=31)),
        replace(PRINTING, temperatures={"tool0": {"actual": 213.9, "target": 215.0}}),
        replace(PRINTING, temperatures={"tool0": {"actual": 214.9, "target": 0.0}}),
        replace(PRINTING, temperatures={"tool0": {"actual": None, "target": 215.0}}),
        replace(PRINTING, temperatures={}),
    ],
)
def test_a_change_is_written_and_told(again: Seen) -> None:
    printer, other = make(key="a"), make(key="b")
    told: list[Change] = []

    def receive(changes: list[Change], **_: object) -> None:
        assert connection.in_atomic_block
        told.extend(changes)

    looking.keep_changes(looks([printer, other], PRINTING))
    signals.kept.connect(receive)
    try:
        looking.keep_changes(looks([printer], again, LATER) + looks([other], PRINTING, LATER))
    finally:
        signals.kept.disconnect(receive)

    [change] = told
    assert (change.printer, change.before.state, change.after.state) == (printer.pk, State.PRINTING, again.state)
    assert (kept(printer).asked_at, kept(other).asked_at) == (LATER, NOW)


def test_what_somebody_has_written_into_the_monoliths_flags_is_set_right() -> None:
    printer = make()
    looking.keep_changes(looks([printer], PRINTING))
    Printer.objects.update(ping=False, printing=False)
    looking.keep_changes(looks([printer], PRINTING, LATER))

    assert Printer.objects.values_list("ping", "printing").get() == (True, True)


def test_people_on_the_old_side_see_whether_it_answers_and_prints() -> None:
    printing, ready, away = make(key="a"), make(key="b"), make(key="c")
    Printer.objects.filter(pk=away.pk).update(ping=True, printing=True)
    looking.keep([(printing.pk, PRINTING), (ready.pk, Seen(State.READY)), (away.pk, AWAY)], NOW)

    flags = Printer.objects.order_by("pk").values_list("ping", "printing")
    assert list(flags) == [(True, True), (True, False), (False, False)]


def test_many_are_looked_at_and_kept() -> None:
    samples = [
        Sample("Heron", "octoprint", "printing", key="k" * 32, file="a.gcode"),
        Sample("Wren", "moonraker", "ready", key="k" * 32),
        Sample("Robin", "prusalink", "finished", password="password", file="b.gcode"),
        Sample("Crane", "octoprint", "ready", key="another"),
    ]
    with served(*samples) as urls:
        for sample, url in zip(samples, urls, strict=True):
            printer = make(url, "" if sample.kind == "prusalink" else "k" * 32)
            Machine.objects.create(
                printer=printer,
                kind=Kind(sample.kind),
                user="maker",
                password=sample.password,
                password_for=printer.ip_address,
            )
        bare = make("http://127.0.0.1:9")
        looking.look_at(Printer.objects.select_related("machine").order_by("pk"), deadline_s=60)
        assert looking.look(bare).state == State.UNREACHABLE

    states = LastSeen.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["printing", "ready", "finished", "refused", "unreachable"]
    assert kept(bare).message == "Nothing answers at 127.0.0.1:9."
