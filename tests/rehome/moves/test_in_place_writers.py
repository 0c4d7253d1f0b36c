"""Writers go on under both names while tables change places; what they were told is committed is the oracle."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import models

from rehome import Move
from tests.rehome.support.clients import Client, connect, outcome
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing", fields={"title": "name"}, in_place=True)
NOT_IN_USE = {"55000", "42703", "42P01"}
"""What new code gets while the old table is the live one: the fence, and before it a column or table of that name."""
CYCLES = 3


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.model("old.Thing", {"name": models.CharField(max_length=20), "size": models.IntegerField()})
    lab.model("new.Thing", {"title": models.CharField(max_length=20), "size": models.IntegerField()})
    lab.sql("INSERT INTO old_thing (name, size) SELECT 'thing ' || n, n FROM generate_series(1, 20) n")
    return lab


class Writer(threading.Thread):
    """Inserts, updates and deletes rows of its own; `rows` is what it was told is committed."""

    def __init__(self, lab: Lab, table: str, column: str, allowed: set[str]) -> None:
        super().__init__()
        self.connection = connect(lab)
        self.table, self.column, self.allowed = table, column, allowed
        self.stopped = threading.Event()
        self.rows: dict[int, int] = {}
        self.errors: list[str | None] = []
        self.written = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                with self.connection.transaction():
                    change = self.change()
            except psycopg.Error as error:
                if error.sqlstate not in self.allowed:
                    self.errors.append(str(error))
                continue
            change()
            self.written += 1

    def change(self) -> Callable[[], Any]:
        number = self.written
        if number % 3 == 0 or not self.rows:
            insert = f"INSERT INTO {self.table} ({self.column}, size) VALUES ('writer', %s) RETURNING id"
            ((key,),) = self.connection.execute(insert, [number]).fetchall()
            return lambda: self.rows.update({key: number})
        key = list(self.rows)[number % len(self.rows)]
        if number % 3 == 1:
            changed = self.connection.execute(f"UPDATE {self.table} SET size = %s WHERE id = %s", [number, key])
            return lambda: self.rows.update({key: number}) if changed.rowcount else self.errors.append(f"lost {key}")
        if number % 9 == 2:
            self.connection.execute(f"DELETE FROM {self.table} WHERE id = %s", [key])
            return lambda: self.rows.pop(key)
        return lambda: None


@contextmanager
def writing(*writers: Writer) -> Iterator[None]:
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join()
            writer.connection.close()


def test_nothing_acknowledged_is_lost(things: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    # Writers without a pause are in the way of a lock for as long as it takes them to get the processor.
    monkeypatch.setenv("REHOME_LOCK_TRIES", "300")
    old = [Writer(things, "old_thing", "name", set()) for _ in range(2)]
    new = Writer(things, "new_thing", "title", NOT_IN_USE)
    # From then on a fence keeps new code out of the empty table.
    things.forward(MOVE)
    with writing(*old, new):
        for _ in range(CYCLES):
            things.forward(MOVE)
            for writer in (*old, new):
                await_writes(writer, 20)
            assert things.verify(MOVE).ok
            things.back(MOVE)
            for writer in old:
                await_writes(writer, 20)
    for writer in (*old, new):
        assert writer.errors == []
    rows = dict(things.sql("SELECT id, size FROM old_thing WHERE name = 'writer'"))
    assert rows == {**old[0].rows, **old[1].rows, **new.rows}
    assert things.sql("SELECT count(*) FROM old_thing WHERE name <> 'writer'") == [(20,)]
    assert things.sql("SELECT count(*) FROM new_thing") == [(0,)]


def await_writes(writer: Writer, number: int) -> None:
    """Until it has written so often again."""
    goal = writer.written + number
    while writer.written < goal:
        assert not writer.errors, writer.errors
        writer.stopped.wait(0.005)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO old_thing (name, size) VALUES ('waited', 1) RETURNING id",
        "UPDATE old_thing SET name = 'waited' WHERE id = 7",
        "DELETE FROM old_thing WHERE id = 7",
        "SELECT name FROM old_thing WHERE id = 7 FOR UPDATE",
    ],
)
def test_a_statement_that_waited_for_the_move_runs_on_the_view(
    things: Lab, open_client: Callable[..., Client], statement: str
) -> None:
    client = open_client()
    waiting: list[Any] = []

    def send(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(text, params, many, context)
        if "ACCESS EXCLUSIVE MODE" in text and not waiting:
            waiting.append(client.start_blocked(statement))
        return result

    for run, name in ((things.forward, "new_thing"), (things.back, "old_thing")):
        with things.connection.execute_wrapper(send):
            run(MOVE)
        assert outcome(waiting.pop()) in ([(21,)], [(22,)], 1, [("thing 7",)])
        column = "title" if name == "new_thing" else "name"
        expected = {"INSERT": "waited", "UPDATE": "waited", "DELETE": None, "SELECT": "thing 7"}[statement[:6]]
        key = "(SELECT max(id) FROM {name})" if statement.startswith("INSERT") else "7"
        found = things.sql(f"SELECT {column} FROM {name} WHERE id = {key.format(name=name)}")
        assert found == ([(expected,)] if expected else [])
        if expected is None:
            things.sql(f"INSERT INTO {name} VALUES (7, 'thing 7', 7)")
