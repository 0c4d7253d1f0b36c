"""`poll_printers` against samples and fakes, over real sockets."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone

from core.moves import standing
from monitoring.models import Lease, Print
from monitoring.polling import housekeeping, lease, sweeping, targets, writing
from monitoring.polling.hosts import Hosts
from monitoring.polling.poller import KINDS, Poller, poll_once
from monitoring.polling.writing import Database
from monitoring.prints import recording
from printers import drafts, looking, signals
from printers.clients.base import Seen
from printers.fleet.models import Draft, Kind, LastSeen, Machine, Membership, PrinterGroup
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.states import State
from rehome.models import Phase
from tests.monitoring.fakes import fakes
from tests.monitoring.looks import NOW
from tests.printers.served import served
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "k" * 32
SAMPLES = [
    Sample("Heron", "octoprint", "printing", key=KEY, file="a.gcode"),
    Sample("Wren", "moonraker", "ready", key=KEY),
    Sample("Robin", "prusalink", "finished", password="password", file="b.gcode"),
    Sample("Crane", "octoprint", "ready", key="another"),
]


def make(address: str, kind: str = "octoprint", **known: Any) -> Printer:
    printer = Printer.objects.create(ip_address=address, api_key="" if kind == "prusalink" else KEY)
    Machine.objects.create(printer=printer, kind=Kind(kind), password_for=address, **known)
    return printer


@contextmanager
def farm() -> Iterator[None]:
    with served(*SAMPLES) as urls:
        for sample, url in zip(SAMPLES, urls, strict=True):
            make(url, sample.kind, name=sample.name, user="maker", password=sample.password)
        yield


def poll(*arguments: str) -> str:
    out = StringIO()
    call_command("poll_printers", "--once", *arguments, stdout=out)
    return out.getvalue().strip()


def states() -> dict[str, str]:
    return dict(Machine.objects.values_list("name", "printer__last_seen__state"))


def test_each_printer_is_asked_once_and_what_it_does_is_kept() -> None:
    with farm():
        said = poll()

    assert sorted(said.partition(": ")[2].split(", ")) == ["1 finished", "1 key refused", "1 printing", "1 ready"]
    assert states() == {"Heron": "printing", "Wren": "ready", "Robin": "finished", "Crane": "refused"}
    assert Print.objects.count() == 2
    assert set(Lease.objects.values_list("kind", flat=True)) == KINDS
    assert lease.take("next", KINDS) == KINDS


def test_one_kind_alone() -> None:
    with farm():
        poll("--kind", "moonraker", "--kind", "prusalink")

    assert states() == {"Heron": None, "Wren": "ready", "Robin": "finished", "Crane": None}


def test_once_beside_another_process_is_refused_in_a_sentence() -> None:
    lease.take("another", ["moonraker"])

    with pytest.raises(CommandError, match="^Another process polls moonraker already; end that one first, or choose"):
        poll()


@pytest.mark.parametrize("forever", [[], ["--every", "1"]])
def test_a_database_without_its_tables_is_refused_in_a_sentence(forever: list[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(lease, "TAKE", "SELECT kind FROM monitoring_lease_of_tomorrow")

    with pytest.raises(
        CommandError, match=r"^The database is not that of this code \(.*\)\. Run `manage\.py migrate`\.$"
    ):
        call_command("poll_printers", *(forever or ["--once"]))


def test_a_poll_of_an_unchanged_farm_writes_no_row() -> None:
    with fakes(live=30, closed=9) as found:
        for urls in found.values():
            for url in urls:
                make(url, "moonraker")
        for _ in range(3):
            poll()
        before = versions()
        poll()

    assert LastSeen.objects.filter(state="ready").count() == 30
    assert LastSeen.objects.filter(state="unreachable").count() == 9
    assert versions() == before


def versions() -> list[tuple[Any, ...]]:
    """Where each row lies, and who wrote it: another version of it lies elsewhere."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.id, p.ctid::text, p.xmin::text, p.xmax::text, s.ctid::text, s.xmin::text, s.xmax::text"
            " FROM printers_printer p JOIN fleet_lastseen s ON s.printer_id = p.id ORDER BY p.id"
        )
        return cursor.fetchall()


def test_no_connection_is_held_while_the_network_is_waited_for() -> None:
    """Printers that say nothing keep the poll waiting; meanwhile the database has nobody of it."""
    with fakes(silent=5) as found:
        for url in found["silent"]:
            make(url)
        wanted = targets.read(KINDS)
        thread = threading.Thread(target=lambda: asyncio.run(poll_once(wanted, Hosts(10.0), Database())))
        before = connections_here()
        thread.start()
        seen = [connections_here() for _ in range(20) if thread.is_alive()]
        thread.join()

    assert len(seen) > 1
    assert set(seen) == {before}
    assert LastSeen.objects.count() == 5


def connections_here() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


# ----- rounds


@contextmanager
def polling(**options: Any) -> Iterator[Poller]:
    """A poller in a thread, as a process would run it."""
    made: list[tuple[Poller, asyncio.AbstractEventLoop]] = []
    ready = threading.Event()

    async def run() -> None:
        poller = Poller(**options)
        made.append((poller, asyncio.get_running_loop()))
        ready.set()
        await poller.run()

    thread = threading.Thread(target=asyncio.run, args=[run()])
    thread.start()
    ready.wait()
    [(poller, loop)] = made
    try:
        yield poller
    finally:
        loop.call_soon_threadsafe(poller.stop)
        thread.join()


def until_state(name: str, state: str) -> None:
    until(lambda: states()[name] == state, f"{name} was never {state}: {states()}")


def test_rounds_go_on_until_it_is_stopped_and_another_may_begin_at_once() -> None:
    with farm():
        with polling(every_s=1.0) as poller:
            until_state("Heron", "printing")
            SAMPLES[0].pause()
            until_state("Heron", "paused")
            until(lambda: Lease.objects.exclude(polled_at=None).count() == 3, "No round was told.")
            assert lease.take("another", KINDS) == set()
            assert poller.held == KINDS
            SAMPLES[0].resume()
            until_state("Heron", "printing")

        assert lease.take("another", KINDS) == KINDS


def test_of_two_pollers_one_waits_and_takes_over() -> None:
    with farm(), polling(every_s=1.0) as first:
        until(lambda: first.held == KINDS, "It never began.")
        with polling(every_s=1.0) as second:
            until(lambda: second.told, "It never asked for the lease.")
            assert second.held == frozenset()
            assert first.held == KINDS
        until_state("Wren", "ready")


# ----- writing


def test_a_look_that_cannot_be_written_keeps_back_no_other() -> None:
    printers = [make(f"http://192.0.2.{n}") for n in range(7)]
    looks = [looking.Look(one.pk, Seen(State.READY, message=f"{n}"), NOW) for n, one in enumerate(printers)]

    def bad(changes: list[signals.Change], **_: Any) -> None:
        if any(change.after.message == "3" for change in changes):
            raise DatabaseError("no")

    with receiving(bad):
        writing.keep(looks)

    assert sorted(LastSeen.objects.values_list("message", flat=True)) == ["0", "1", "2", "4", "5", "6"]


def test_a_database_that_is_away_is_asked_again() -> None:
    printer = make("http://192.0.2.7")
    tries: list[int] = []

    def away(changes: list[signals.Change], **_: Any) -> None:
        tries.append(len(changes))
        if len(tries) < 3:
            raise OperationalError("the server is shutting down")

    with receiving(away):
        asyncio.run(Database().insist(writing.keep, [looking.Look(printer.pk, Seen(State.READY), NOW)]))

    assert (len(tries), LastSeen.objects.count()) == (3, 1)


@contextmanager
def receiving(receiver: Callable[..., None]) -> Iterator[None]:
    signals.kept.connect(receiver)
    try:
        yield
    finally:
        signals.kept.disconnect(receiver)


# ----- chores


def test_what_is_kept_of_a_printer_that_is_gone_is_deleted_with_its_password() -> None:
    stays, goes = make("http://192.0.2.1"), make("http://192.0.2.2", password="secret")
    group = PrinterGroup.objects.create(name="hall")
    for printer in (stays, goes):
        Membership.objects.create(group=group, printer=printer)
        looking.keep_changes([looking.Look(printer.pk, Seen(State.FINISHED, "a.gcode", 100.0), NOW)])
    Printer.objects.filter(pk=goes.pk)._raw_delete("default")

    assert sweeping.sweep() == 1
    for model in (Machine, LastSeen, Membership, Print):
        assert list(model.objects.values_list("printer_id", flat=True)) == [stays.pk]
    assert sweeping.sweep() == 0


def test_nothing_is_swept_while_the_printers_are_in_the_older_table(monkeypatch: pytest.MonkeyPatch) -> None:
    make("http://192.0.2.2")
    Printer.objects.all()._raw_delete("default")
    monkeypatch.setattr(standing, "_remembered", {standing.PRINTERS: (float("inf"), Phase.BACK)})

    assert sweeping.sweep() == 0
    assert Machine.objects.count() == 1


def test_nothing_is_swept_where_the_move_goes_back_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    make("http://192.0.2.2")
    Printer.objects.all()._raw_delete("default")
    monkeypatch.setattr(
        standing, "forget", lambda: standing._remembered.update({standing.PRINTERS: (float("inf"), Phase.BACK)})
    )

    assert sweeping.sweep() == 0
    assert Machine.objects.count() == 1


def test_what_somebody_has_typed_and_not_saved_goes_after_a_day() -> None:
    """With the key in it, also where nobody adds a printer any more."""
    maren = User.objects.create_user("maren")
    old, new = (Draft.objects.create(user=maren, what=Draft.What.ADD, data={"key": "secret"}) for _ in range(2))
    Draft.objects.filter(pk=old.pk).update(made_at=timezone.now() - timedelta(days=1, minutes=1))

    assert drafts.forget in housekeeping.chores
    drafts.forget()

    assert list(Draft.objects.all()) == [new]


def test_a_chore_that_fails_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    done: list[int] = []

    def fails() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(housekeeping, "chores", [fails, lambda: done.append(1)])
    housekeeping.run()

    assert done == [1]
    assert "has failed" in caplog.text


def test_what_never_began_ends(django_user_model: Any) -> None:
    printer = make("http://192.0.2.7")
    looking.keep_changes([looking.Look(printer.pk, Seen(State.READY), NOW)])
    signals.started.send(sender=Printer, printer=printer.pk, file="a.gcode", user=django_user_model())
    recording.end_what_never_began()
    assert Print.objects.get().ended_at is None

    Print.objects.update(started_at=NOW)
    recording.end_what_never_began()
    assert Print.objects.values_list("outcome", "reason").get() == ("lost", "It never began.")
    assert LastSeen.objects.get().waits == ""
