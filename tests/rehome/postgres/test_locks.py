"""An autovacuum gives way to a move, and no writer waits while the move waits for it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import models
from pytest_django import DjangoDbBlocker

from rehome import Move
from tests.apart import server_apart
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.waiting import until

# When PostgreSQL cancels an autovacuum: once somebody has waited for it for so long.
IS_IN_THE_WAY = """
SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
   AND waitstart < clock_timestamp() - current_setting('deadlock_timeout')::interval
"""
WAYS = [{}, {"online": True}, {"in_place": True}]


@pytest.mark.parametrize("options", WAYS)
def test_an_autovacuum_gives_way(lab: Lab, open_client: Callable[..., Client], options: dict[str, bool]) -> None:
    """Of its own, one comes when it likes: here a session takes the lock that it takes, and gives way as it does."""
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('before'), ('before')")
    autovacuum, writer, ended = open_client(), open_client(), threading.Event()
    autovacuum.run("BEGIN")
    autovacuum.run("LOCK TABLE old_thing IN SHARE UPDATE EXCLUSIVE MODE")

    def give_way() -> bool:
        until(lambda: ended.is_set() or autovacuum.run(IS_IN_THE_WAY), "nobody waits for it")
        assert not ended.is_set(), "the move did not wait for it"
        written = writer.start("UPDATE old_thing SET name = 'meanwhile' WHERE id = 1")
        did_not_wait = written.done()
        autovacuum.run("ROLLBACK")
        return did_not_wait

    with ThreadPoolExecutor(1) as thread:
        gave_way = thread.submit(give_way)
        try:
            lab.forward(Move("old.Thing", "new.Thing", **options))
        finally:
            ended.set()

    assert gave_way.result()
    assert lab.sql("SELECT name FROM new_thing ORDER BY id") == [("meanwhile",), ("before",)]


pytestmark = pytest.mark.server

AT_WORK = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%old_thing%'"
# So slow that it would outlast every try of a lock: a page for each ten milliseconds.
SLOWLY = """
ALTER TABLE old_thing SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
                           autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)
"""


@pytest.fixture
def vacuumed(django_db_blocker: DjangoDbBlocker) -> Iterator[Lab]:
    """A lab where an autovacuum comes by every second."""
    with django_db_blocker.unblock(), server_apart("vacuumed"):
        lab = Lab("vacuumed")
        lab.sql("ALTER SYSTEM SET autovacuum_naptime = 1")
        lab.sql("SELECT pg_reload_conf()")
        yield lab


@pytest.mark.long
@pytest.mark.parametrize("options", WAYS)
def test_so_does_one_of_the_server_s_own(vacuumed: Lab, options: dict[str, bool]) -> None:
    vacuumed.twins(lambda app: {"name": models.TextField()})
    vacuumed.sql("INSERT INTO old_thing (name) SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    vacuumed.sql("DELETE FROM old_thing WHERE id % 2 = 0")
    vacuumed.sql(SLOWLY)
    ((pid,), *_) = until(lambda: vacuumed.sql(AT_WORK), "no autovacuum came")

    vacuumed.forward(Move("old.Thing", "new.Thing", **options))

    assert vacuumed.sql(f"{AT_WORK} AND pid = {pid}") == []
    assert vacuumed.sql("SELECT count(*) FROM new_thing") == [(2500,)]
