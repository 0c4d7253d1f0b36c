"""The version of the farm rises with each change, exactly when it is committed, in whatever order that happens."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone

from accounts.models import Profile
from monitoring import version
from monitoring.maintenance import due
from monitoring.maintenance.models import Task
from monitoring.models import FleetChange, Print
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import LastSeen, Machine, Membership, PrinterGroup, Role
from printers.models import Printer
from printers.states import State

pytestmark = pytest.mark.django_db


@pytest.fixture
def printer(db: None) -> Printer:
    profile = Profile.objects.create(name="Maren")
    return Printer.objects.create(profile=profile, ip_address="http://192.0.2.7", api_key="k" * 32)


def see(printer: Printer) -> None:
    looking.keep([(printer.pk, Seen(State.PRINTING, "clip.gcode"))], timezone.now())


def give_role() -> None:
    Role.objects.create(
        user_group=Group.objects.create(name="Crew"),
        printer_group=PrinterGroup.objects.create(name="Hall B"),
        action="view",
    )


CHANGES: dict[str, Callable[[Printer], object]] = {
    "a name": lambda printer: Machine.objects.create(printer=printer, name="Heron"),
    "a look": see,
    "a group": lambda printer: PrinterGroup.objects.create(name="Hall A"),
    "a member of one": lambda printer: Membership.objects.create(
        group=PrinterGroup.objects.create(name="Hall A"), printer=printer
    ),
    "a role": lambda printer: give_role(),
    "work that is due": lambda printer: Task.objects.create(printer=printer, what="Oil", every_days=1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_pages_show_raises_it(change: str, printer: Printer) -> None:
    before = version.current()

    CHANGES[change](printer)

    assert version.current() > before


def test_work_that_was_done_or_is_due_raises_it_and_a_count_of_nothing_new_does_not(printer: Printer) -> None:
    long_ago = timezone.now() - timedelta(days=2)
    task = Task.objects.create(printer=printer, what="Oil", every_prints=1, done_at=long_ago)
    seen = [version.current()]
    Print.objects.create(printer=printer, started_at=long_ago, ended_at=timezone.now(), outcome="finished")
    for step in (due.count_all, due.count_all, lambda: Task.objects.filter(pk=task.pk).update(done_at=timezone.now())):
        seen.append(version.current())
        step()
    Task.objects.all().delete()
    seen.append(version.current())

    assert [after - before for before, after in itertools.pairwise(seen)] == [1, 1, 0, 2]


def test_a_change_and_an_end_raise_it_too(printer: Printer) -> None:
    see(printer)
    seen = version.current()
    LastSeen.objects.update(progress=12.0)
    changed = version.current()
    printer.delete()

    assert seen < changed < version.current()


def test_a_statement_that_changes_nothing_does_not(printer: Printer) -> None:
    see(printer)
    before = version.current()

    LastSeen.objects.filter(progress__gt=100).update(progress=0)
    Machine.objects.filter(name="nobody").delete()

    assert version.current() == before


def test_folding_leaves_one_row_and_the_same_version(printer: Printer) -> None:
    for number in range(3):
        PrinterGroup.objects.create(name=f"Hall {number}")
    before = version.current()
    assert FleetChange.objects.count() >= 3

    version.fold()
    version.fold()

    assert (version.current(), FleetChange.objects.count()) == (before, 1)


def test_folding_nothing_is_nothing(db: None) -> None:
    FleetChange.objects.all().delete()

    version.fold()

    assert (version.current(), FleetChange.objects.count()) == (0, 0)


# ----- two transactions at once


def another() -> psycopg.Connection:
    parameters = connection.get_connection_params()
    kept = {name: parameters[name] for name in ("host", "port", "user", "password", "dbname") if parameters.get(name)}
    return psycopg.connect(**kept)


WRITE = "INSERT INTO fleet_printergroup (name) VALUES (%s)"


@pytest.mark.django_db(transaction=True)
def test_whoever_commits_first_is_seen_first_and_nobody_waits() -> None:
    """The one that wrote later commits earlier: neither is missed, and none waits for the other's lock."""
    with another() as early, another() as late:
        for each in (early, late):
            each.execute("SET lock_timeout = '1ms'")
        start = version.current()
        early.execute(WRITE, ["began first"])
        late.execute(WRITE, ["began second"])
        assert version.current() == start

        late.commit()
        between = version.current()
        early.commit()
        end = version.current()
        early.execute(WRITE, ["taken back"])
        early.rollback()

    assert start < between < end == version.current()


@pytest.mark.django_db(transaction=True)
def test_folding_beside_writers_and_beside_another_loses_nothing() -> None:
    with another() as writer, another() as folder:
        for name in ("one", "two", "three"):
            writer.execute(WRITE, [name])
            writer.commit()
        writer.execute(WRITE, ["not committed yet"])
        before = version.current()

        folder.execute(version.FOLD)
        assert version.current() == before, "It is not committed yet."
        version.fold()
        assert version.current() == before, "What another folds is left to them."
        folder.commit()
        assert version.current() == before
        writer.commit()

    assert version.current() == before + 1
