"""2,000 printers of which nine tenths are dead; two pollers, killed and started; a clock that jumps; a database that
is restarted.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psutil
import psycopg
import pytest
from django.utils import timezone

from core.embedded import programs
from monitoring.models import Lease, Print
from printers.fleet.models import LastSeen, Machine
from printers.models import Printer
from printers.samples.simulation import Sample
from tests.apart import server_apart
from tests.database import url
from tests.manage import manage
from tests.monitoring.fakes import fakes
from tests.monitoring.processes import forget, make, poller, seen, until_seen
from tests.printers.served import served
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

SMALL, LARGE = 300, 2000
"""Printers; nine tenths of them are dead."""


def holder() -> str:
    return next(iter(Lease.objects.values_list("holder", flat=True)), "")


@contextmanager
def farm_of(size: int) -> Iterator[tuple[list[int], list[int]]]:
    """The keys of those that live and of those that are dead, in three ways."""
    with fakes(live=size // 10, hung=size * 3 // 10, silent=size * 3 // 10, closed=size * 3 // 10) as found:
        dead = make(found["hung"] + found["silent"] + found["closed"])
        yield make(found["live"]), dead


@pytest.fixture
def farm() -> Iterator[tuple[list[int], list[int]]]:
    with farm_of(SMALL) as keys:
        yield keys


def test_nine_tenths_of_two_thousand_are_dead_and_the_others_are_asked_round_after_round() -> None:
    with farm_of(LARGE) as (live, dead), poller() as process:
        until_seen(live)
        until_seen(dead, "unreachable")
        for _ in range(3):
            # Those that live are written anew as soon as they are asked again; those that are dead are left alone.
            forget(live)
            until_seen(live)
        assert seen(dead, "unreachable") == len(dead) == LARGE * 9 // 10
        assert psutil.Process(process.pid).memory_info().rss < 200 * 2**20
        before = Lease.objects.get(kind="octoprint").polled_at
        until(lambda: Lease.objects.get(kind="octoprint").polled_at != before, "No round was told.")


def test_a_dead_host_that_lives_again_is_found(farm: tuple[list[int], list[int]]) -> None:
    """Another that answers stands at its address: the first look that finds it ends its time on the second lane."""
    live, dead = farm
    moved = dead[:20]
    with poller():
        until_seen(live)
        until_seen(moved, "unreachable")
        for key, other in zip(moved, live, strict=False):
            Printer.objects.filter(pk=key).update(
                ip_address=Printer.objects.get(pk=other).ip_address + "/", api_key=key
            )
        until_seen(moved)


def test_of_two_pollers_one_waits_and_begins_when_the_other_is_killed(farm: tuple[list[int], list[int]]) -> None:
    live, _ = farm
    with poller() as first:
        until_seen(live)
        held = holder()
        with poller() as second:
            assert str(first.pid) in held.split()
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
            forget(live)
            until_seen(live)
            assert str(second.pid) in holder().split()


def test_a_poller_that_stood_still_notices_that_another_has_taken_over(farm: tuple[list[int], list[int]]) -> None:
    live, _ = farm
    with poller() as first, poller() as second:
        until_seen(live)
        pids = {str(first.pid): first, str(second.pid): second}
        begun = next(pids[word] for word in holder().split() if word in pids)
        os.kill(begun.pid, signal.SIGSTOP)
        try:
            until(lambda: str(begun.pid) not in holder().split(), "Nobody took over.")
            forget(live)
            until_seen(live)
        finally:
            os.kill(begun.pid, signal.SIGCONT)
        until(lambda: all(one.poll() is None for one in (first, second)), "One has ended.")
        assert len(set(Lease.objects.values_list("holder", flat=True))) == 1


def test_a_poller_ends_when_it_is_told_to_and_another_begins_at_once(farm: tuple[list[int], list[int]]) -> None:
    live, _ = farm
    with poller() as first:
        until_seen(live)
        first.terminate()
        assert first.wait() == 0
    assert not Lease.objects.filter(until__gt=timezone.now())
    forget(live)
    with poller():
        until_seen(live)


def test_a_clock_that_was_set_back_or_on_stops_nobody() -> None:
    """What is kept seems to be of tomorrow, or the lease to end next year."""
    sample = Sample("Heron", "octoprint", "ready", key="k" * 32)
    with served(sample) as [url]:
        printer = Printer.objects.create(ip_address=url, api_key=sample.key)
        Machine.objects.create(printer=printer)
        with poller():
            until_seen([printer.pk])
            for jump in (timedelta(days=1), timedelta(days=-1)):
                LastSeen.objects.update(asked_at=timezone.now() + jump, since=timezone.now() + jump)
                Lease.objects.update(until=timezone.now() + 365 * jump)
                sample.state, sample.file = "printing", "a.gcode"
                until_seen([printer.pk], "printing")
                sample.state = "ready"
                until_seen([printer.pk])
    assert not Print.objects.filter(ended_at=None)


def test_postgresql_is_restarted_under_polling() -> None:
    """On a server of its own, three times, of which once at once; whoever polls goes on by itself."""
    with server_apart("apart") as data, fakes(live=60, closed=60) as found:
        address = url("apart")
        assert manage("migrate", "--verbosity", "0", DATABASE_URL=address).returncode == 0
        execute(address, ADD, [found["live"] + found["closed"]])
        with poller(alias="apart") as process:
            for how in ("fast", "immediate", "fast"):
                until(lambda: execute(address, READY)[0][0] == 60, "Not all were seen.")
                programs.run("pg_ctl", "restart", "-D", str(data), "-m", how, "-l", str(data / "log"), cwd=data)
                execute(address, "DELETE FROM fleet_lastseen")
            until(lambda: execute(address, READY)[0][0] == 60, "Not all were seen after the last start.")
            assert process.poll() is None


ADD = """
INSERT INTO printers_printer (ip_address, api_key, ping, printing)
SELECT address, 'k', false, false FROM unnest(%s::text[]) AS address
"""
READY = "SELECT count(*) FROM fleet_lastseen WHERE state = 'ready'"


def execute(address: str, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    with psycopg.connect(address) as connected:
        cursor = connected.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []
