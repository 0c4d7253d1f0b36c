"""What the database itself writes, in cascades and in other triggers, is carried like any other write."""

import textwrap
from collections.abc import Callable

import pytest
from django.db import models

from rehome import Move
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import ALONE, MOVE, SIDES, Trio, trigger

pytestmark = pytest.mark.server

LATER = "DEFERRABLE INITIALLY DEFERRED"
BOXES = Move("old.Box", "new.Box")
SCRIPT = """
    DELETE FROM {t}_box WHERE id = 1
    DELETE FROM {t}_box WHERE id IN (2, 3)
    DELETE FROM {t}_thing WHERE id = 9
    INSERT INTO {t}_thing (id, name, box_id) VALUES (30, 'x', 6)
    DELETE FROM {t}_box WHERE id = 6
    WITH gone AS (DELETE FROM {t}_thing WHERE box_id = 7) DELETE FROM {t}_box WHERE id = 7
    WITH moved AS (UPDATE {t}_thing SET box_id = 4 WHERE box_id = 8) DELETE FROM {t}_box WHERE id = 8
"""
RENAMED = """
    WITH renamed AS (UPDATE {t}_thing SET name = 'y' WHERE box_id = 4) DELETE FROM {t}_box WHERE id = 4
    WITH kept AS (INSERT INTO {t}_box (id, name) VALUES (9, 'new') RETURNING id)
      UPDATE {t}_thing SET box_id = (SELECT id FROM kept) WHERE box_id = 5
"""


def boxes(lab: Lab, actions: dict[str, str]) -> None:
    """Boxes 1 to 8 with two things each, in three apps; `actions` ends each app's foreign key."""
    for app, action in actions.items():
        lab.model(f"{app}.Box", {"name": models.CharField(max_length=9)})
        lab.model(
            f"{app}.Thing",
            {
                "name": models.CharField(max_length=9),
                "box": models.ForeignKey(f"{app}.Box", models.DO_NOTHING, null=True, db_constraint=False),
            },
        )
        lab.sql(f"ALTER TABLE {app}_thing ADD CONSTRAINT {app}_fk FOREIGN KEY (box_id) REFERENCES {app}_box {action}")
        if app != "new":
            lab.sql(f"INSERT INTO {app}_box (id, name) SELECT n, 'box' FROM generate_series(1, 8) n")
            lab.sql(
                f"INSERT INTO {app}_thing (id, name, box_id) SELECT n, 'x', n % 8 + 1 FROM generate_series(1, 16) n"
            )


def contents(lab: Lab, app: str) -> list[object]:
    return [lab.sql(f"SELECT * FROM {app}_{table} ORDER BY id") for table in ("box", "thing")]


@pytest.mark.parametrize("writer", ["old", "new"])
@pytest.mark.parametrize(
    ("old", "new", "one"),
    [
        ("ON DELETE CASCADE", "ON DELETE CASCADE", "ON DELETE CASCADE"),
        ("ON DELETE SET NULL", "ON DELETE SET NULL", "ON DELETE SET NULL"),
        (f"ON DELETE CASCADE {LATER}", LATER, "ON DELETE CASCADE"),
        (f"ON DELETE SET NULL {LATER}", LATER, "ON DELETE SET NULL"),
        (LATER, "ON DELETE CASCADE", "ON DELETE CASCADE"),
        (LATER, "ON DELETE SET NULL", "ON DELETE SET NULL"),
    ],
)
def test_deletes_that_cascade_in_the_database(
    lab: Lab, open_client: Callable[..., Client], old: str, new: str, one: str, writer: str
) -> None:
    """On both sides, or on one, where the other's constraint looks at the commit. In one statement, rows of the
    other side whose turn has not come yet are met by the cascade.
    """
    boxes(lab, {"old": old, "new": new, "one": one})
    lab.forward(BOXES)
    lab.forward(MOVE)
    client = open_client()
    script = SCRIPT + (RENAMED if old == new else "")
    assert client.play(script, writer) == client.play(script, "one")
    assert contents(lab, "old") == contents(lab, "new") == contents(lab, "one")
    assert lab.verify(BOXES).comparison.equal
    assert lab.verify(MOVE).comparison.equal


@pytest.mark.parametrize("writer", ["old", "new"])
def test_keys_that_cascade_in_the_database(lab: Lab, open_client: Callable[..., Client], writer: str) -> None:
    boxes(lab, dict.fromkeys(("old", "new", "one"), f"ON UPDATE CASCADE ON DELETE CASCADE {LATER}"))
    lab.forward(BOXES)
    lab.forward(MOVE)
    script = """
        UPDATE {t}_box SET id = id + 100 WHERE id < 4
        UPDATE {t}_box SET id = id - 1, name = 'y'
        DELETE FROM {t}_box WHERE id > 100
    """
    client = open_client()
    assert client.play(script, writer) == client.play(script, "one") == [3, 8, 2]
    assert contents(lab, "old") == contents(lab, "new") == contents(lab, "one")


@pytest.mark.parametrize("writer", ["old", "new"])
@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_what_cascades_to_an_empty_table_passes_its_fence(
    lab: Lab, open_client: Callable[..., Client], action: str, writer: str
) -> None:
    """Boxes are live, and the things have gone back: their target is empty, and its foreign key finds no row in it."""
    boxes(lab, dict.fromkeys(("old", "new", "one"), f"ON UPDATE CASCADE ON DELETE {action} {LATER}"))
    lab.forward(BOXES)
    lab.forward(MOVE)
    lab.back(MOVE)
    script = """
        DELETE FROM {t}_box WHERE id = 1
        UPDATE {t}_box SET id = id + 100 WHERE id = 2
    """
    client = open_client()
    assert client.play(script, writer) == client.play(script, "one")
    assert contents(lab, "old") == contents(lab, "one")
    for statement in ("DELETE FROM ONLY new_thing WHERE 1 = 1", "UPDATE new_thing SET name = 'x'"):
        with pytest.raises(Exception, match="public.new_thing is not in use"):
            client.run(statement)


def trees(lab: Lab, action: str) -> None:
    """Forty things in three apps, each with its parent; the first is its own."""
    for app in ("old", "new", "one"):
        parent = models.ForeignKey("self", models.DO_NOTHING, null=True, db_constraint=False)
        lab.model(f"{app}.Thing", {"name": models.CharField(max_length=9), "parent": parent})
        lab.sql(
            f"ALTER TABLE {app}_thing ADD CONSTRAINT {app}_fk FOREIGN KEY (parent_id) REFERENCES {app}_thing "
            f"{action} ON UPDATE CASCADE {LATER}"
        )
        if app != "new":
            tree = "SELECT n, 'x', greatest(n / 2, 1) FROM generate_series(1, 40) n"
            lab.sql(f"INSERT INTO {app}_thing (id, name, parent_id) {tree}")


@pytest.mark.parametrize("writer", ["old", "new"])
@pytest.mark.parametrize("action", ["ON DELETE CASCADE", "ON DELETE SET NULL"])
def test_a_tree_that_cascades_in_the_database(
    lab: Lab, open_client: Callable[..., Client], action: str, writer: str
) -> None:
    """A row that points at itself is written twice by one change of its key."""
    trees(lab, action)
    lab.forward(MOVE)
    script = """
        UPDATE {t}_thing SET id = 100 WHERE id = 1
        UPDATE {t}_thing SET id = id + 1000, name = 'y' WHERE id IN (4, 5, 10)
        UPDATE {t}_thing SET id = id - 1000
        DELETE FROM {t}_thing WHERE id % 3 = 0
        WITH gone AS (DELETE FROM {t}_thing WHERE id = -993) UPDATE {t}_thing SET name = 'z' WHERE parent_id = -993
        DELETE FROM {t}_thing
    """
    client = open_client()
    for statement in textwrap.dedent(script).strip().splitlines():
        assert client.play(statement, writer) == client.play(statement, "one")
        rows = [lab.sql(f"SELECT * FROM {app}_thing ORDER BY id") for app in ("old", "new", "one")]
        assert rows[0] == rows[1] == rows[2], statement
    assert rows == [[], [], []]


def test_each_statement_of_a_transaction_has_a_side_that_leads(lab: Lab, open_client: Callable[..., Client]) -> None:
    trees(lab, "ON DELETE SET NULL")
    lab.forward(MOVE)
    script = """
        BEGIN
        UPDATE old_thing SET name = 'y' WHERE id = 1
        DELETE FROM new_thing WHERE id < 20
        UPDATE new_thing SET name = 'z' WHERE id = 30
        DELETE FROM old_thing
        COMMIT
    """
    assert open_client().play(script, "") == [-1, 1, 19, 1, 21, -1]
    assert lab.sql("SELECT FROM old_thing") == lab.sql("SELECT FROM new_thing") == []


# ----- other triggers


@pytest.mark.parametrize("side", SIDES)
def test_what_a_trigger_of_another_table_writes(trio: Trio, lab: Lab, side: str) -> None:
    trio.reset()
    for table in (ALONE, side):
        lab.sql(f"CREATE TABLE log_of_{table} (key bigint)")
        writes = [
            f"UPDATE {table} SET name = 'logged' WHERE id = new.key",
            f"UPDATE {table} SET id = id + 100, note = 'again' WHERE id = new.key",
            f"INSERT INTO {table} (id, name) VALUES (new.key + 200, 'logged')",
            f"DELETE FROM {table} WHERE id = new.key - 1",
        ]
        trigger(lab, f"log_of_{table}", "AFTER INSERT", "; ".join(writes))
        lab.sql(f"INSERT INTO log_of_{table} VALUES (3), (7)")
    assert trio.agrees()
    assert len(trio.rows(ALONE)) == 20


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("events", ["BEFORE INSERT OR UPDATE", "AFTER INSERT OR UPDATE"])
def test_a_trigger_that_was_created_after_the_move_fires_last(
    trio: Trio, open_client: Callable[..., Client], lab: Lab, side: str, events: str
) -> None:
    trio.reset()
    for table in (ALONE, side):
        body = "new.name := 'fixed ' || new.id"
        if events.startswith("AFTER"):
            body = f"UPDATE public.{table} SET name = 'fixed ' || id WHERE id = new.id AND name NOT LIKE 'fixed%'"
        trigger(lab, table, events, body)
    lab.sql("UPDATE old_thing SET code = NULL, place = NULL, rank = NULL WHERE id < 3")
    lab.sql("UPDATE one_thing SET code = NULL, place = NULL, rank = NULL WHERE id < 3")
    script = """
        INSERT INTO {t} (id, name) VALUES (31, 'x'), (32, 'x')
        UPDATE {t} SET name = 'y' WHERE id < 4
        UPDATE {t} SET id = id + 100, name = 'z' WHERE id < 3
    """
    client = open_client()
    assert client.play(script, side) == client.play(script, ALONE) == [2, 3, 2]
    assert trio.agrees()
    assert trio.rows(ALONE)[-1][:2] == (102, "fixed 102")
