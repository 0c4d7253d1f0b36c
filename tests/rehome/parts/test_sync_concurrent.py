"""Old code and new code write the same rows at the same time, step by step in fixed schedules."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.rehome.support.clients import Client, outcome
from tests.rehome.support.trio import ALONE, SIDES, Trio

pytestmark = pytest.mark.server

Open = Callable[..., Client]
Rows = list[tuple[Any, ...]]

UPDATE = "UPDATE {t} SET name = '{who}' WHERE id = 3"
UPDATE_OTHER = "UPDATE {t} SET note = '{who}' WHERE id = 3"
ADD = "UPDATE {t} SET code = code + 1 WHERE id = 3"
TOUCH = "UPDATE {t} SET name = name WHERE id = 3"
DELETE = "DELETE FROM {t} WHERE id = 3"
INSERT = "INSERT INTO {t} (id, name) VALUES (31, '{who}')"
UPSERT = "INSERT INTO {t} (id, name) VALUES (31, '{who}') ON CONFLICT (id) DO UPDATE SET name = {t}.name || '{who}'"
IGNORE = "INSERT INTO {t} (id, name) VALUES (31, '{who}') ON CONFLICT (id) DO NOTHING"
REINSERT = "INSERT INTO {t} (id, name) VALUES (3, '{who}')"
REKEY = "UPDATE {t} SET id = 33, name = '{who}' WHERE id = 3"
REKEY_AWAY = "UPDATE {t} SET id = 34 WHERE id = 3"
INSERT_NEW_KEY = "INSERT INTO {t} (id, name) VALUES (33, '{who}')"
TAKE_CODE = "UPDATE {t} SET code = 30 WHERE id = 4"
FREE_CODE = "UPDATE {t} SET code = NULL WHERE id = 3"
LOCK = "SELECT FROM {t} WHERE id = 3 FOR UPDATE"
SHARE = "SELECT FROM {t} WHERE id = 3 FOR KEY SHARE"
ALL = "UPDATE {t} SET note = '{who}'"

# What the first client does in its transaction, and the second while that is open.
SCHEDULES: dict[str, tuple[list[str], list[str]]] = {
    "update, update": ([UPDATE], [UPDATE]),
    "update, update of another column": ([UPDATE], [UPDATE_OTHER]),
    "add, add": ([ADD], [ADD, ADD]),
    "update, delete": ([UPDATE], [DELETE]),
    "delete, update": ([DELETE], [UPDATE]),
    "delete, delete": ([DELETE], [DELETE]),
    "insert, insert": ([INSERT], [INSERT]),
    "insert, upsert": ([INSERT], [UPSERT]),
    "upsert, upsert": ([UPSERT], [UPSERT]),
    "insert, insert that ignores conflicts": ([INSERT], [IGNORE]),
    "delete and insert, update": ([DELETE, REINSERT], [UPDATE]),
    "delete and insert, delete": ([DELETE, REINSERT], [DELETE]),
    "delete and insert, insert": ([DELETE, REINSERT], [REINSERT]),
    "delete, insert": ([DELETE], [REINSERT]),
    "update, delete and insert": ([UPDATE], [DELETE, REINSERT]),
    "new key, update": ([REKEY], [UPDATE]),
    "update, new key": ([UPDATE], [REKEY]),
    "new key, delete": ([REKEY], [DELETE]),
    "delete, new key": ([DELETE], [REKEY]),
    "new key, another new key": ([REKEY], [REKEY_AWAY]),
    "new key, insert under the old key": ([REKEY], [REINSERT]),
    "new key, insert under the new key": ([REKEY], [INSERT_NEW_KEY]),
    "insert under the new key, new key": ([INSERT_NEW_KEY], [REKEY]),
    "freed unique value, taken": ([FREE_CODE], [TAKE_CODE]),
    "taken unique value, freed": ([FREE_CODE, TAKE_CODE], [FREE_CODE]),
    "update that changes nothing, delete": ([TOUCH], [DELETE]),
    "delete, update that changes nothing": ([DELETE], [TOUCH]),
    "update that changes nothing, new key": ([TOUCH], [REKEY]),
    "lock of the same side, update": ([LOCK, UPDATE], [UPDATE]),
    "key share, update": ([SHARE], [UPDATE]),
    "update of all, update and delete": ([ALL], [UPDATE, DELETE]),
    "update, update of all": ([UPDATE, DELETE], [ALL]),
}

# Under a snapshot that still sees the deleted row, this side can't tell it from a living one and gives up.
CAUTIOUS = {"delete, insert", "new key, insert under the old key"}


def play(
    schedule: tuple[list[str], list[str]], tables: tuple[str, str], clients: list[Client], end: str, level: str
) -> list[Any]:
    """Each statement of the first client, then those of the second; one that waits lets the first client end.

    Returns what every statement of the second one, and its COMMIT, came to.
    """
    first, second = clients
    for client, table in zip(clients, tables, strict=True):
        client.run(f"BEGIN ISOLATION LEVEL {level}")
        client.run(f"SELECT FROM {table} WHERE id = 1")
    for statement in schedule[0]:
        first.run(statement.format(t=tables[0], who="first"))
    outcomes = []
    open_still = True
    for statement in [*schedule[1], "COMMIT"]:
        pending = second.start(statement.format(t=tables[1], who="second"))
        if open_still and not pending.done():
            first.run(end)
            open_still = False
        outcomes.append(outcome(pending))
    if open_still:
        first.run(end)
    return outcomes


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_two_writers_meet_as_they_would_in_one_table(
    trio: Trio, open_client: Open, subtests: pytest.Subtests, level: str
) -> None:
    """The one table, on which the same schedule is played, says which of both writes wins, waits or fails."""
    clients = [open_client(), open_client()]
    for (name, schedule), end in itertools.product(SCHEDULES.items(), ["COMMIT", "ROLLBACK"]):
        trio.reset()
        expected = play(schedule, (ALONE, ALONE), clients, end, level)
        if name in CAUTIOUS and end == "COMMIT" and level != "READ COMMITTED":
            trio.lab.sql("DELETE FROM one_thing WHERE name = 'second'")
            expected[0] = "40001"
        for sides in (SIDES, SIDES[::-1]):
            with subtests.test(name, end=end, sides=sides):
                trio.lab.sql("DELETE FROM old_thing")
                trio.fill("old_thing")
                assert play(schedule, sides, clients, end, level) == expected
                assert trio.agrees()


# ----- a statement that has written its rows, and not yet carried them

TWO = {
    "update": "UPDATE {t} SET name = 'bulk' WHERE id IN (3, 4)",
    "delete": "DELETE FROM {t} WHERE id IN (3, 4)",
    "new keys": "UPDATE {t} SET id = id + 100 WHERE id IN (3, 4)",
}
ONE = {
    "update": "UPDATE {t} SET note = 'point' WHERE id = 3",
    "delete": "DELETE FROM {t} WHERE id = 3",
    "new key": "UPDATE {t} SET id = 50 WHERE id = 3",
}
CROSSED = [(TWO[bulk], ONE[point], "SELECT FROM {t} WHERE id = 4 FOR UPDATE") for bulk in TWO for point in ONE] + [
    (
        "INSERT INTO {t} (id, name) VALUES (31, 'bulk'), (32, 'bulk')",
        point,
        "INSERT INTO {t} (id, name) VALUES (32, 'in the way')",
    )
    for point in (INSERT, UPSERT)
]


def test_writes_that_cross_end_in_one_deadlock_and_one_write(
    trio: Trio, open_client: Open, subtests: pytest.Subtests
) -> None:
    """Each side holds its own row and wants the other's: PostgreSQL refuses one, and the other is on both sides."""
    first, second, blocker = (open_client(deadlock_timeout="10ms") for _ in range(3))
    for (bulk, point, obstacle), sides in itertools.product(CROSSED, (SIDES, SIDES[::-1])):
        with subtests.test(bulk=bulk, point=point, sides=sides):
            trio.reset()
            statements = [bulk.format(t="{t}"), point.format(t="{t}", who="point")]
            blocker.run("BEGIN")
            blocker.run(obstacle.format(t=sides[0]))
            pending = [
                client.start_blocked(statement.format(t=side))
                for client, statement, side in zip((first, second), statements, sides, strict=True)
            ]
            blocker.run("ROLLBACK")
            outcomes = [outcome(future) for future in pending]
            assert outcomes.count("40P01") == 1
            survivor = statements[1 - outcomes.index("40P01")]
            first.run(survivor.format(t=ALONE))
            assert trio.agrees()
