"""Writers that wait for a lock while a move commits end up in the right table, or get an error: never in between."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import ALONE, MOVE, Trio

pytestmark = pytest.mark.server

Open = Callable[..., Client]
FENCED = "55000"

WRITES = [
    "INSERT INTO {t} (id, name) VALUES (31, 'late')",
    "INSERT INTO {t} (id, name) VALUES (1, 'late') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    "UPDATE {t} SET name = 'late' WHERE id = 2",
    "UPDATE {t} SET id = 33 WHERE id = 3",
    "DELETE FROM {t} WHERE id = 4",
    "WITH gone AS (DELETE FROM {t} WHERE id = 5 RETURNING *) INSERT INTO {t} (id, name) SELECT id, 'late' FROM gone",
    "MERGE INTO {t} USING (VALUES (6)) s (n) ON {t}.id = s.n WHEN MATCHED THEN UPDATE SET name = 'late'",
    "EXECUTE late_{t}",
]


@pytest.fixture
def before(lab: Lab) -> Trio:
    return Trio(lab)


@contextmanager
def just_before(lab: Lab, begin: str, act: Callable[[], None]) -> Iterator[None]:
    """Act once, when the first statement that begins so is about to run."""
    acted = []

    def watch(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        if statement.startswith(begin) and not acted:
            acted.append(statement)
            act()
        return execute(statement, params, many, context)

    with lab.connection.execute_wrapper(watch):
        yield
    assert acted, begin


class Writers:
    """Each has a statement to send to `table`, some of them in a transaction that is open already."""

    def __init__(self, open_client: Open, table: str) -> None:
        self.table = table
        self.clients = [open_client() for _ in WRITES]
        self.pending: list[Future[Any]] = []
        for number, client in enumerate(self.clients):
            client.run(f"PREPARE late_{table} AS UPDATE {table} SET note = 'prepared' WHERE id = 7")
            if number % 2:
                client.run("BEGIN")
                client.run("SELECT txid_current()")

    def send(self) -> None:
        """Every statement waits for the move."""
        for client, statement in zip(self.clients, WRITES, strict=True):
            self.pending.append(client.start_blocked(statement.format(t=self.table)))

    def outcomes(self) -> list[Any]:
        found = [outcome(future) for future in self.pending]
        for client in self.clients:
            client.run("COMMIT") if client.connection.info.transaction_status else None
        return found


def write_alone(open_client: Open) -> None:
    client = open_client()
    client.run(f"PREPARE late_{ALONE} AS UPDATE {ALONE} SET note = 'prepared' WHERE id = 7")
    for statement in WRITES:
        client.run(statement.format(t=ALONE))


def test_writers_to_the_source_land_in_both_tables(before: Trio, lab: Lab, open_client: Open) -> None:
    writers = Writers(open_client, "old_thing")
    with just_before(lab, 'INSERT INTO "public"."new_thing"', writers.send):
        lab.forward(MOVE)
    assert writers.outcomes() == [1] * len(WRITES)
    write_alone(open_client)
    assert before.agrees()


def test_writers_to_the_target_land_in_both_tables_or_meet_the_fence(before: Trio, lab: Lab, open_client: Open) -> None:
    lab.forward(MOVE)
    writers = Writers(open_client, "new_thing")
    with just_before(lab, "TRUNCATE", writers.send):
        lab.back(MOVE)
    assert writers.outcomes() == [FENCED] * len(WRITES)
    assert before.rows("old_thing") == before.rows(ALONE)
    assert before.rows("new_thing") == []

    # Without the move in between, they would still meet it.
    for statement in WRITES[:-1]:
        assert open_client().play(statement, "new_thing") == [FENCED]

    writers = Writers(open_client, "new_thing")
    with just_before(lab, 'INSERT INTO "public"."new_thing"', writers.send):
        lab.forward(MOVE)
    assert writers.outcomes() == [1] * len(WRITES)
    write_alone(open_client)
    assert before.agrees()


def test_writers_to_the_source_stay_there_when_the_move_goes_back(before: Trio, lab: Lab, open_client: Open) -> None:
    lab.forward(MOVE)
    writers = Writers(open_client, "old_thing")
    with just_before(lab, "TRUNCATE", writers.send):
        lab.back(MOVE)
    assert writers.outcomes() == [1] * len(WRITES)
    write_alone(open_client)
    assert before.rows("old_thing") == before.rows(ALONE)
    assert before.rows("new_thing") == []


def test_a_row_that_was_locked_before_the_move_is_written_after_it(before: Trio, lab: Lab, open_client: Open) -> None:
    """Where no sequence is shared, nothing in a move waits for a row lock; the write is carried all the same."""
    for table in ("old_thing", "new_thing", ALONE):
        lab.sql(f"ALTER TABLE {table} ALTER COLUMN id DROP IDENTITY")
    holder, other = open_client(), open_client()
    holder.run("BEGIN")
    holder.run("SELECT FROM old_thing WHERE id = 3 FOR UPDATE")
    lab.forward(MOVE)
    pending = other.start_blocked("UPDATE new_thing SET note = 'waited' WHERE id = 3")
    holder.run("UPDATE old_thing SET name = 'locked' WHERE id = 4")
    holder.run("COMMIT")
    assert outcome(pending) == 1
    lab.sql("UPDATE one_thing SET note = 'waited' WHERE id = 3")
    lab.sql("UPDATE one_thing SET name = 'locked' WHERE id = 4")
    assert before.agrees()
