"""Every kind of write × every point of a move × commit and rollback, on both sides, paused exactly there."""

import functools
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rehome import Move
from tests.chaos.operations import OPERATIONS, Cell, Rows, cells_of
from tests.chaos.sessions import Onlooker
from tests.rehome.support.lab import Lab

BLOCK = 1
"""Where the rows lie that the cells write to: in the second block, and so in the second of three batches."""
FENCED = "55000"
COPY = r"INSERT INTO \S+new_thing. .*"
FROM_BLOCK = r"ctid OPERATOR\(pg_catalog\.>=\)"

ONLINE = {
    "the forward trigger": "IN SHARE ROW EXCLUSIVE",
    "phase COPYING": r'UPDATE "rehome_moverun" .*Phase.COPYING',
    "the batch before": rf"{COPY}{FROM_BLOCK} '\(0,0\)",
    "its batch": rf"{COPY}{FROM_BLOCK} '\({BLOCK},0\)",
    "the batch after": rf"{COPY}{FROM_BLOCK} '\({BLOCK + 1},0\)",
    "phase BUILDING": r'UPDATE "rehome_moverun" .*Phase.BUILDING',
    "an index": "CREATE INDEX CONCURRENTLY",
    "the foreign key": "ADD CONSTRAINT .* NOT VALID",
    "its validation": "VALIDATE CONSTRAINT",
    "the comparison": r"SELECT pg_catalog\.count\(\*\), ",
    "the switch": "IN ACCESS EXCLUSIVE",
    "phase LIVE": r'UPDATE "rehome_moverun" .*Phase.LIVE',
}
ONE_TRANSACTION = {
    "phase PREPARED": r'INSERT INTO "rehome_moverun"',
    "the lock": "IN SHARE ROW EXCLUSIVE",
    "the indexes put away": "DROP INDEX",
    "the copy": COPY,
    "an index": "CREATE INDEX",
    "the comparison": r"SELECT pg_catalog\.count\(\*\), ",
    "the triggers": "CREATE OR REPLACE TRIGGER",
    "phase MOVED": r'UPDATE "rehome_moverun" .*Phase.MOVED',
    "the validation": "VALIDATE CONSTRAINT",
    "phase LIVE": r'UPDATE "rehome_moverun" .*Phase.LIVE',
}
BACK = {
    "the lock": "IN ACCESS EXCLUSIVE",
    "the comparison": r"SELECT pg_catalog\.count\(\*\), ",
    "the triggers taken away": "DROP TRIGGER",
    "the target emptied": "TRUNCATE",
    "phase BACK": r'UPDATE "rehome_moverun" .*Phase.BACK',
}
SCHEDULES = [
    pytest.param(
        way, pattern, moment, id=f"{way}, {moment} {point}", marks=() if moment == "across" else pytest.mark.long
    )
    for way, points in (("online", ONLINE), ("one transaction", ONE_TRANSACTION), ("back", BACK))
    for point, pattern in points.items()
    for moment in ("before", "after", "across")
]
STATEMENTS = 6
"""No write is carried with more."""
HALT = """
CREATE FUNCTION chaos_halt() RETURNS trigger LANGUAGE plpgsql AS
$$ DECLARE
  ahead int := coalesce(nullif(current_setting('chaos.halt', true), '')::int, 0);
BEGIN
  PERFORM set_config('chaos.halt', (ahead - 1)::text, false);
  IF ahead = 1 THEN
    PERFORM pg_advisory_xact_lock_shared(0);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_halt BEFORE INSERT OR UPDATE OR DELETE ON new_thing EXECUTE FUNCTION chaos_halt();
"""
"""A session counts down the statements that write to the target; at the last of them it halts, with the snapshot that
it has taken.
"""


class Schedule:
    """Lets every cell act at one point of the move that the default connection makes."""

    def __init__(self, lab: Lab, cells: list[Cell], pattern: str, moment: str) -> None:
        self.onlooker = Onlooker(lab)
        self.lab = lab
        self.cells = cells
        self.sessions = [cell.session for cell in cells]
        self.pattern = re.compile(pattern)
        self.moment = moment
        self.reached = False

    def __call__(self, execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        if self.reached or not self.pattern.search(f"{text} {params}"):
            return execute(text, params, many, context)
        self.reached = True
        if self.moment == "across":
            return self.across(lambda: execute(text, params, many, context))
        if self.moment == "before":
            self.act()
        result = execute(text, params, many, context)
        if self.moment == "after":
            self.act()
        return result

    def act(self) -> None:
        """Begin and end here; who has to wait for the move ends behind it."""
        for cell in self.cells:
            cell.begin()
        self.onlooker.await_rest(self.sessions)
        self.end()

    def end(self) -> None:
        for cell in self.cells:
            cell.finish()
        self.onlooker.await_rest(self.sessions)

    def across(self, statement: Callable[[], Any]) -> Any:
        """Begin before the statement and end once it waits for one of the writers, or when it has run."""
        for cell in self.cells:
            cell.begin()
        self.onlooker.await_rest(self.sessions)
        passed = threading.Event()
        pid = self.lab.connection.connection.info.backend_pid

        def end() -> None:
            self.onlooker.await_wait(pid, passed)
            for cell in self.cells:
                cell.finish()

        ender = threading.Thread(target=end)
        ender.start()
        try:
            return statement()
        finally:
            passed.set()
            ender.join()
            self.onlooker.await_rest(self.sessions)

    def finish(self) -> None:
        for session in self.sessions:
            session.finish()

    def close(self) -> None:
        for session in self.sessions:
            session.close()
        self.onlooker.connection.close()


def fill(lab: Lab, cells: list[Cell]) -> Rows:
    """The cells' rows, in the middle block of three; returns the rows beside them."""
    beside = (
        "INSERT INTO old_thing (id, name, filler) SELECT n, 'first', repeat('x', {}) FROM generate_series({}, {}) n"
    )
    lab.sql(beside.format(900, 1, 8))
    lab.sql(beside.format(0, 9, 40))
    for cell in cells:
        lab.sql(
            f"INSERT INTO old_thing (id, name, parent_id) VALUES ({cell.key}, 'first', NULL), "
            f"({cell.key + 1}, 'first', {cell.key}), ({cell.key + 2}, 'first', NULL)"
        )
    lab.sql(beside.format(900, 41, 50))
    blocks = lab.sql("SELECT DISTINCT (ctid::text::point)[0]::int FROM old_thing WHERE filler IS NULL")
    assert blocks == [(BLOCK,)]
    return dict.fromkeys(range(1, 51), "first")


def rows(lab: Lab, table: str) -> Rows:
    return dict(lab.sql(f"SELECT id, name FROM {table}"))


class Halt(Schedule):
    """Every cell begins beside its batch, and halts at one statement that carries its write until that is committed."""

    def __init__(self, lab: Lab, cells: list[Cell], pattern: str, moment: str, statement: int) -> None:
        super().__init__(lab, cells, pattern, moment)
        for session in self.sessions:
            session.connection.execute(f"SET chaos.halt = {statement}")
        self.turns = {"the batch before": self.close_gate, "the batch after": self.open_gate}

    def __call__(self, execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        for point in [point for point in self.turns if re.search(ONLINE[point], text)]:
            self.turns.pop(point)()
        return super().__call__(execute, text, params, many, context)

    def close_gate(self) -> None:
        self.onlooker.connection.execute(HALT)
        self.onlooker.connection.execute("SELECT pg_advisory_lock(0)")

    def open_gate(self) -> None:
        self.onlooker.connection.execute("SELECT pg_advisory_unlock(0)")
        self.onlooker.await_rest(self.sessions)
        super().end()
        self.onlooker.connection.execute("DROP FUNCTION chaos_halt CASCADE")

    def end(self) -> None:
        """Not beside the batch."""


@contextmanager
def schedule(
    lab: Lab, pattern: str, moment: str, names: Iterable[str], kind: Callable[..., Schedule] = Schedule
) -> Iterator[tuple[Schedule, Rows]]:
    """The point is armed within the block; every session has ended behind it."""
    cells = cells_of(names, lab, 1000)
    armed = kind(lab, cells, pattern, moment)
    try:
        yield armed, fill(lab, cells)
    finally:
        armed.close()


@pytest.mark.parametrize(("way", "pattern", "moment"), SCHEDULES)
def test_every_write_at_every_point(things: Lab, way: str, pattern: str, moment: str) -> None:
    check(things, way, pattern, moment)


@pytest.mark.parametrize(
    "statement",
    [pytest.param(number, marks=() if number == 2 else pytest.mark.long) for number in range(1, STATEMENTS + 1)],
)
def test_a_batch_that_is_committed_beside_any_statement_of_a_carried_write(things: Lab, statement: int) -> None:
    """What a statement could not see yet, the next one may."""
    check(things, "online", ONLINE["its batch"], "after", kind=functools.partial(Halt, statement=statement))


def check(
    lab: Lab,
    way: str,
    pattern: str,
    moment: str,
    names: Iterable[str] = OPERATIONS,
    kind: Callable[..., Schedule] = Schedule,
) -> None:
    """Move, with all that is written at the point; nothing of it may be lost, come back or be made up."""
    move = Move("old.Thing", "new.Thing", online=way == "online")
    # The target has its fence, as after any way back.
    lab.forward(move)
    lab.back(move)
    with schedule(lab, pattern, moment, names, kind) as (armed, beside):
        if way == "back":
            lab.forward(move)
        with lab.connection.execute_wrapper(armed):
            (lab.back if way == "back" else lab.forward)(move)
        armed.finish()
        assert armed.reached
        assert {cell.name: cell.session.refusal for cell in armed.cells if unexpected(cell)} == {}
        expected = beside | {key: name for cell in armed.cells for key, name in cell.left().items()}

    for table in ("old_thing",) if way == "back" else ("old_thing", "new_thing"):
        assert rows(lab, table) == expected, table
    assert way != "back" or rows(lab, "new_thing") == {}


def unexpected(cell: Cell) -> bool:
    """Old code is never refused anything, new code only what the fence keeps it from."""
    return cell.session.refusal not in ((None,) if cell.table == "old_thing" else (None, FENCED))
