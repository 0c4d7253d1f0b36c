"""An autovacuum gives way to a move, and no writer waits while the move waits for it."""

import time
from collections.abc import Iterator

import pytest
from django.db import models

from rehome import Move
from tests.rehome.support.clients import DEADLINE_S, POLL_S
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

AT_WORK = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%old_thing%'"
# So slow that it would outlast every try of a lock: a page for each ten milliseconds.
SLOWLY = """
ALTER TABLE old_thing SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
                           autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)
"""


@pytest.fixture
def eager(lab: Lab) -> Iterator[None]:
    lab.sql("ALTER SYSTEM SET autovacuum_naptime = 1")
    lab.sql("SELECT pg_reload_conf()")
    yield
    lab.sql("ALTER SYSTEM RESET autovacuum_naptime")
    lab.sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize("options", [{}, {"online": True}, {"in_place": True}])
def test_an_autovacuum_gives_way(eager: None, lab: Lab, options: dict[str, bool]) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    lab.sql("DELETE FROM old_thing WHERE id % 2 = 0")
    lab.sql(SLOWLY)
    deadline = time.monotonic() + 6 * DEADLINE_S
    while not (found := lab.sql(AT_WORK)):
        assert time.monotonic() < deadline, "no autovacuum came"
        time.sleep(POLL_S)

    move = Move("old.Thing", "new.Thing", **options)
    lab.forward(move)

    assert lab.sql(f"{AT_WORK} AND pid = {found[0][0]}") == []
    assert lab.sql("SELECT count(*) FROM new_thing") == [(2500,)]
