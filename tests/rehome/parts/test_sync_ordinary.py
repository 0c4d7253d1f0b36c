"""The short way of an ordinary update is taken only where it does what the long one does."""

from collections.abc import Callable

import pytest
from django.db import models
from django.db.models import F

from rehome import Move
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import ALONE, SIDES, Trio, trigger

pytestmark = pytest.mark.server

Open = Callable[..., Client]
OTHER = dict(zip(SIDES, SIDES[::-1], strict=True))

TAKEN_BACK = "IF new.name = 'refused' THEN UPDATE {t} SET name = old.name WHERE id = new.id; END IF"
CORRECTED = "IF new.name = 'refused' THEN UPDATE {t} SET name = 'corrected' WHERE id = new.id; END IF"
CAUGHT = """
    IF new.name = 'refused' THEN
      BEGIN
        UPDATE {t} SET name = 'lost' WHERE id = new.id;
        RAISE division_by_zero;
      EXCEPTION WHEN division_by_zero THEN
        NULL;
      END;
    END IF
"""
REFUSED = {
    "one row": "UPDATE {t} SET name = 'refused' WHERE id = 3",
    "some rows": "UPDATE {t} SET name = CASE WHEN id = 4 THEN 'x' ELSE 'refused' END WHERE id IN (3, 4, 5)",
    "first of a transaction": """
        BEGIN
        UPDATE {t} SET name = 'refused' WHERE id = 3
        UPDATE {t} SET note = 'later' WHERE id = 3
        COMMIT
    """,
    "after another row": """
        BEGIN
        UPDATE {t} SET note = 'before' WHERE id = 4
        UPDATE {t} SET name = 'refused' WHERE id = 3
        COMMIT
    """,
    "after a savepoint that is rolled back": """
        BEGIN
        SAVEPOINT s
        UPDATE {t} SET name = 'lost' WHERE id = 3
        ROLLBACK TO s
        UPDATE {t} SET name = 'refused' WHERE id = 3
        COMMIT
    """,
    "after a transaction that is rolled back": """
        BEGIN
        UPDATE {t} SET name = 'lost' WHERE id = 3
        ROLLBACK
        UPDATE {t} SET name = 'refused' WHERE id = 3
    """,
}


@pytest.mark.parametrize("body", [TAKEN_BACK, CORRECTED, CAUGHT])
@pytest.mark.parametrize("side", SIDES)
def test_a_row_that_a_trigger_has_changed_since_its_event(
    trio: Trio, lab: Lab, open_client: Open, subtests: pytest.Subtests, side: str, body: str
) -> None:
    """What the trigger wrote has been carried before the event is, and must not be undone by it."""
    for table in (side, ALONE):
        trigger(lab, table, "AFTER UPDATE", body.format(t=table))
    client = open_client()
    for name, script in REFUSED.items():
        with subtests.test(name):
            trio.reset()
            assert client.play(script, side) == client.play(script, ALONE)
            assert trio.agrees()


@pytest.mark.parametrize("side", SIDES)
def test_a_row_that_was_changed_before_its_event_is_carried(trio: Trio, lab: Lab, open_client: Open, side: str) -> None:
    """A trigger of a later row writes to an earlier one, whose own event comes when its statement has ended."""
    for table in (side, ALONE):
        body = "IF new.id = 4 THEN UPDATE {t} SET note = 'from 4' WHERE id = 3; END IF"
        trigger(lab, table, "BEFORE UPDATE", body.format(t=table))
    client = open_client()
    script = "UPDATE {t} SET code = NULL WHERE id IN (3, 4)"
    assert client.play(script, side) == client.play(script, ALONE) == [2]
    assert trio.rows(ALONE)[2][-1] == "from 4"
    assert trio.agrees()


@pytest.mark.parametrize("events", ["BEFORE UPDATE", "AFTER UPDATE"])
@pytest.mark.parametrize("side", SIDES)
def test_what_a_trigger_of_the_other_side_makes_of_a_row_is_carried_back(
    trio: Trio, lab: Lab, open_client: Open, side: str, events: str
) -> None:
    body = "new.note := 'seen'"
    if events.startswith("AFTER"):
        body = f"UPDATE public.{OTHER[side]} SET note = 'seen' WHERE id = new.id AND note IS DISTINCT FROM 'seen'"
    trigger(lab, OTHER[side], events, body)
    script = """
        UPDATE {t} SET name = 'x' WHERE id = 3
        UPDATE {t} SET name = 'y' WHERE id IN (4, 5)
        UPDATE {t} SET name = 'z' WHERE id = 3
    """
    assert open_client().play(script, side) == [1, 2, 1]
    rows = trio.rows(side)
    assert rows == trio.rows(OTHER[side])
    assert [(row[1], row[-1]) for row in rows[2:5]] == [("z", "seen"), ("y", "seen"), ("y", "seen")]


@pytest.mark.parametrize("side", SIDES)
def test_a_trigger_of_the_other_side_that_writes_to_this_one(
    trio: Trio, lab: Lab, open_client: Open, side: str
) -> None:
    """The same row and another, while this side leads."""
    writes = [
        f"UPDATE public.{side} SET note = 'same' WHERE id = new.id AND note IS DISTINCT FROM 'same'",
        f"UPDATE public.{side} SET note = 'next' WHERE id = new.id + 10 AND note IS DISTINCT FROM 'next'",
    ]
    trigger(lab, OTHER[side], "AFTER UPDATE", f"IF new.id < 10 THEN {'; '.join(writes)}; END IF")
    assert open_client().play("UPDATE {t} SET name = 'x' WHERE id IN (3, 4)", side) == [2]
    rows = trio.rows(side)
    assert rows == trio.rows(OTHER[side])
    assert [rows[n][-1] for n in (2, 3, 12, 13)] == ["same", "same", "next", "next"]


@pytest.mark.parametrize("statement", ["SET name = 'x'", "SET name = name"])
@pytest.mark.parametrize("side", SIDES)
def test_a_row_that_the_other_side_lacks_or_has_otherwise_is_corrected(
    trio: Trio, lab: Lab, open_client: Open, side: str, statement: str
) -> None:
    lab.sql(f"ALTER TABLE {OTHER[side]} DISABLE TRIGGER USER")
    lab.sql(f"DELETE FROM {OTHER[side]} WHERE id = 3")
    lab.sql(f"UPDATE {OTHER[side]} SET note = 'drifted' WHERE id = 4")
    lab.sql(f"ALTER TABLE {OTHER[side]} ENABLE TRIGGER USER")
    client = open_client()
    script = f"UPDATE {{t}} {statement} WHERE id IN (3, 4)"
    assert client.play(script, side) == client.play(script, ALONE) == [2]
    assert trio.agrees()


def test_an_update_that_changes_nothing_writes_nothing_on_the_other_side(trio: Trio, open_client: Open) -> None:
    client = open_client()
    before = client.run("SELECT ctid::text, xmin::text FROM new_thing ORDER BY id")
    client.run("UPDATE old_thing SET name = name WHERE id = 3")
    client.run("UPDATE old_thing SET name = name")
    assert client.run("SELECT ctid::text, xmin::text FROM new_thing ORDER BY id") == before


@pytest.mark.parametrize("kind", [pytest.param("VIRTUAL", marks=pytest.mark.since(18)), "STORED"])
def test_a_generated_column_that_an_expression_reads(lab: Lab, kind: str) -> None:
    """What a trigger sees of a virtual column is null."""
    twice = models.GeneratedField(expression=F("size") * 2, output_field=models.IntegerField(), db_persist=True)
    lab.model("old.Thing", {"size": models.IntegerField(), "twice": twice})
    lab.model("new.Thing", {"size": models.IntegerField(), "odd": models.IntegerField()})
    lab.sql("ALTER TABLE old_thing DROP COLUMN twice")
    lab.sql(f"ALTER TABLE old_thing ADD COLUMN twice integer GENERATED ALWAYS AS (size * 2) {kind}")
    move = Move("old.Thing", "new.Thing", fields={"odd": F("twice") + 1})
    lab.sql("INSERT INTO old_thing (size) VALUES (1), (2)")
    lab.forward(move)
    lab.sql("UPDATE old_thing SET size = 3 WHERE id = 1")
    lab.sql("UPDATE new_thing SET size = 4 WHERE id = 2")
    assert lab.sql("SELECT size, odd FROM new_thing ORDER BY id") == [(3, 7), (4, 9)]
