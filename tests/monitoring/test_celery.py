"""Workers that share the printers: one is killed in mid-shard, Redis is restarted, every printer is still polled."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from monitoring.models import Lease, Shard
from monitoring.polling import targets
from monitoring.polling.poller import KINDS
from printers.models import Printer
from tests.monitoring.fakes import fakes
from tests.monitoring.processes import forget, make, poller, seen, until_seen, worker
from tests.servers import redis as redis_server
from tests.servers.plugin import refuse
from tests.servers.redis import Redis
from tests.servers.starting import NotInstalled
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis() -> Iterator[Redis]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(redis_server.started())
        except NotInstalled as missing:
            refuse(missing)
        yield server


def test_shards_are_all_printers_and_none_twice() -> None:
    make(f"http://192.0.2.{n}" for n in range(50))
    shards = [{target.printer for target in targets.read(KINDS, shard, 8)} for shard in range(8)]

    assert set().union(*shards) == set(Printer.objects.values_list("pk", flat=True))
    assert sum(map(len, shards)) == 50


def at_work(redis: Redis, parent: int) -> list[psutil.Process]:
    """The processes of a worker, while one of them has begun a shard and not ended it."""
    with redis.client() as asked:
        return psutil.Process(parent).children() if asked.hlen("unacked") else []


@pytest.mark.long
def test_a_worker_that_is_killed_in_mid_shard_costs_a_round_and_no_printer(redis: Redis) -> None:
    with fakes(live=40, hung=40, closed=20) as found, worker(redis.url) as process:
        live, dead = make(found["live"]), make(found["hung"] + found["closed"])
        until_seen(live)
        until_seen(dead, "unreachable")
        until(lambda: Lease.objects.exclude(polled_at=None).count() == 3, "No round was told.")
        assert Shard.objects.count() == 8

        for victim in until(lambda: at_work(redis, process.pid), "Nobody was ever at work."):
            victim.kill()
        forget(live)
        until_seen(live)


@pytest.mark.long
def test_a_worker_that_is_killed_whole_is_replaced_by_any_other(redis: Redis) -> None:
    with fakes(live=40, hung=40) as found:
        live = make(found["live"])
        make(found["hung"])
        with worker(redis.url, "-n", "one@here") as process:
            until_seen(live)
            until(lambda: at_work(redis, process.pid), "Nobody was ever at work.")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        forget(live)
        with worker(redis.url, "-n", "two@here"):
            until_seen(live)


@pytest.mark.long
def test_redis_is_restarted_under_the_workers(redis: Redis) -> None:
    with fakes(live=40, closed=10) as found, worker(redis.url):
        live = make(found["live"])
        until_seen(live)
        redis.stop()
        forget(live)
        assert seen(live) == 0
        redis.start()

        until_seen(live)


@pytest.mark.long
def test_the_process_waits_while_workers_poll_and_takes_over_when_they_are_gone(redis: Redis) -> None:
    with fakes(live=10) as found:
        live = make(found["live"])
        with worker(redis.url) as process:
            until_seen(live)
            with poller():
                assert set(Lease.objects.values_list("holder", flat=True)) == {"celery"}
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                forget(live)
                until_seen(live)
                assert "celery" not in Lease.objects.values_list("holder", flat=True)
