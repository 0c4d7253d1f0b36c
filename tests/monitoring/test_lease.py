"""Two pollers at once: one waits. Many workers: none holds a connection."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from monitoring import tasks
from monitoring.models import Lease, Shard
from monitoring.polling import lease
from monitoring.polling.poller import KINDS

pytestmark = pytest.mark.django_db


def test_the_second_waits_until_the_first_releases() -> None:
    assert lease.take("one", KINDS) == KINDS
    assert lease.take("two", KINDS) == set()
    assert lease.take("one", KINDS) == KINDS

    lease.release("one")
    assert lease.take("two", KINDS) == KINDS
    assert lease.take("one", KINDS) == set()


def test_kinds_are_leased_one_by_one() -> None:
    assert lease.take("one", {"moonraker"}) == {"moonraker"}

    assert lease.take("two", KINDS) == {"octoprint", "prusalink"}


def test_a_lease_ends_by_itself_when_its_holder_is_killed() -> None:
    lease.take("one", KINDS)
    Lease.objects.update(until=timezone.now() - timedelta(milliseconds=1))

    assert lease.take("two", KINDS) == KINDS


def test_a_clock_that_was_set_back_holds_nobody_up_for_longer() -> None:
    lease.take("one", KINDS)
    Lease.objects.update(until=timezone.now() + timedelta(hours=1))

    assert lease.take("two", KINDS) == KINDS


def test_who_has_lost_the_lease_says_nothing_of_rounds_and_releases_nothing() -> None:
    lease.take("one", KINDS)
    Lease.objects.update(until=timezone.now() - timedelta(seconds=1))
    lease.take("two", KINDS)
    lease.asked("one", KINDS, timezone.now())
    lease.release("one")

    assert lease.take("three", KINDS) == set()
    assert not Lease.objects.exclude(polled_at=None)


@pytest.mark.django_db(transaction=True)
def test_a_worker_holds_no_connection_while_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many workers there are, and however long their printers take."""
    held: list[object] = []

    class Asker:
        def ask(self, wanted: object) -> None:
            held.append(connection.connection)

    monkeypatch.setattr(tasks, "resident", Asker)
    tasks.poll_shard(["octoprint"], 0, 8)

    assert held == [None]
    assert Shard.objects.get().number == 0
