"""A session keeps the plans of a trigger for as long as it lives: they must be good for tables that fill."""

from collections.abc import Callable

import pytest

from rehome.parts import sync
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import MOVE, Trio

pytestmark = pytest.mark.server

Open = Callable[..., Client]

WHOLE_READS = """
SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname IN ('old_thing', 'new_thing')
"""
SCRIPT = """
    BEGIN
    INSERT INTO {t} (id, name) VALUES (31, 'x')
    INSERT INTO {t} (id, name) VALUES (32, 'x')
    UPDATE {t} SET note = 'x' WHERE id = 31
    UPDATE {t} SET id = 33 WHERE id = 31
    DELETE FROM {t} WHERE id = 32
"""


def whole_reads(client: Client, table: str) -> int:
    client.run("SET enable_seqscan = off")
    assert client.play(SCRIPT, table) == [-1, 1, 1, 1, 1, 1]
    ((reads,),) = client.run(WHOLE_READS)
    client.run("ROLLBACK")
    return int(reads)


def test_a_target_that_was_empty_is_read_by_its_key_while_it_is_copied_to(lab: Lab, open_client: Open) -> None:
    Trio(lab)
    lab.sql("VACUUM (ANALYZE) new_thing")
    for statement in sync.install(lab.plan(MOVE), copying=True):
        lab.sql(statement.as_string())
    assert whole_reads(open_client(), "old_thing") == 0


@pytest.mark.parametrize("side", ["old_thing", "new_thing"])
def test_tables_that_were_empty_are_read_by_their_keys_while_they_fill(lab: Lab, open_client: Open, side: str) -> None:
    Trio(lab)
    lab.sql("TRUNCATE old_thing")
    lab.forward(MOVE)
    lab.sql("VACUUM (ANALYZE) old_thing, new_thing")
    assert whole_reads(open_client(), side) == 0


ROWS_READ = """
SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_xact_user_tables WHERE relname IN ('old_thing', 'new_thing')
"""


@pytest.mark.parametrize("side", ["old_thing", "new_thing"])
def test_tables_that_fill_in_one_transaction_are_not_read_whole_for_each_row(
    lab: Lab, open_client: Open, side: str
) -> None:
    """The plans were made while the tables were empty, and PostgreSQL knew it; nothing makes it plan again before the
    commit.
    """
    Trio(lab)
    lab.sql("TRUNCATE old_thing")
    lab.forward(MOVE)
    lab.sql("VACUUM (ANALYZE) old_thing, new_thing")
    client = open_client(plan_cache_mode="force_generic_plan")
    client.run("BEGIN")
    client.run(f"INSERT INTO {side} (id, name) SELECT n, 'x' FROM generate_series(1, 500) n")
    ((read,),) = client.run(ROWS_READ)
    assert read == 0
    client.run("ROLLBACK")
