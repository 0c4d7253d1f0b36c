"""Triggers of the project's that change other rows of their table, where the other table keeps values unique."""

import pytest
from django.db import models

from rehome import Move
from rehome.errors import Refused
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
ROOM = "IF new.main THEN UPDATE {t} SET main = false WHERE main AND id <> new.id; END IF; RETURN new;"
GIVEN_ON = "UPDATE {t} SET place = old.place WHERE place IS NULL AND id <> new.id; RETURN NULL;"
AUDITED = """
  -- UPDATE {t} is what it was called for.
  INSERT INTO audit SELECT TG_TABLE_NAME, (CASE WHEN TG_OP = 'DELETE' THEN old ELSE new END).place;
  UPDATE audit SET place = 0 WHERE place IS NULL;
  RETURN NULL;
"""
COUNTED = "UPDATE {t} SET n = n + 1 WHERE id = 1 AND new.id <> 1; RETURN new;"


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(
        lambda app: {
            "n": models.IntegerField(default=0),
            "main": models.BooleanField(),
            "place": models.IntegerField(null=True),
        }
    )
    for app in ("old", "new"):
        lab.sql(f"CREATE UNIQUE INDEX {app}_main ON {app}_thing (main) WHERE main")
        lab.sql(f"CREATE UNIQUE INDEX {app}_place ON {app}_thing (place)")
    lab.sql("INSERT INTO old_thing (n, main, place) VALUES (0, true, 1), (0, false, 2), (0, false, NULL)")
    return lab


def create(lab: Lab, name: str, events: str, body: str, table: str = "old_thing") -> None:
    body = body.format(t=table)
    lab.sql(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    lab.sql(f"CREATE TRIGGER {name} {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")


def rows(lab: Lab) -> list[tuple[bool, int | None]]:
    """Of both tables, which are equal."""
    old, new = (lab.sql(f"SELECT main, place FROM {app}_thing ORDER BY id") for app in ("old", "new"))
    assert old == new
    return old


def test_room_that_is_made_before_a_row_is_written(things: Lab) -> None:
    create(things, "room", "BEFORE INSERT OR UPDATE", ROOM)
    with pytest.raises(Refused, match=r"The trigger 'room' of public.old_thing .* where new_main would refuse a row"):
        things.forward(MOVE)
    things.sql("DROP INDEX new_main")
    things.forward(MOVE)
    things.sql("UPDATE new_thing SET main = true WHERE id = 2")
    assert rows(things) == [(False, 1), (True, 2), (False, None)]
    things.sql("UPDATE old_thing SET main = true WHERE id = 1")
    assert rows(things) == [(True, 1), (False, 2), (False, None)]
    things.retire(MOVE)


@pytest.mark.parametrize(
    "statement",
    [
        "update old_thing set place = 1",
        'UPDATE public."old_thing" AS t SET place = 1',
        "DELETE FROM ONLY public . old_thing WHERE place = 1",
        "EXECUTE format('UPDATE %I.%I SET place = $1', TG_TABLE_SCHEMA, TG_TABLE_NAME) USING 1",
        "EXECUTE 'DELETE FROM ' || TG_RELID::regclass || ' WHERE place = 1'",
    ],
)
def test_however_a_statement_names_the_table(things: Lab, statement: str) -> None:
    create(things, "a_gift", "AFTER UPDATE", f"{statement}; RETURN NULL;")
    with pytest.raises(Refused, match="The trigger 'a_gift'"):
        things.forward(MOVE)


@pytest.mark.parametrize("table", ["old_thing", "new_thing"])
def test_a_value_that_is_given_on_after_a_row_is_written(things: Lab, table: str) -> None:
    create(things, "a_gift", "AFTER UPDATE OF place", GIVEN_ON, table)
    with pytest.raises(Refused, match=rf"The trigger 'a_gift' of public.{table} changes other rows") as refused:
        things.forward(MOVE)
    things.sql(str(refused.value).partition("Run ")[2].partition(":")[0])
    things.forward(MOVE)
    things.sql(f"UPDATE {table} SET place = 9 WHERE id = 1")
    assert rows(things) == [(True, 9), (False, 2), (False, 1)]
    things.sql(f"ALTER TRIGGER z_a_gift ON {table} RENAME TO a_gift")
    assert "'a_gift'" in things.verify(MOVE).defects[0].text


def test_other_changes_are_moved(things: Lab) -> None:
    things.sql("CREATE TABLE audit (name text, place int)")
    create(things, "counted", "AFTER INSERT", COUNTED)
    create(things, "audited", "AFTER INSERT OR UPDATE OR DELETE", AUDITED)
    create(things, "off", "BEFORE INSERT OR UPDATE", ROOM)
    things.sql("ALTER TABLE old_thing DISABLE TRIGGER off")
    things.forward(MOVE)
    things.sql("INSERT INTO new_thing (n, main, place) VALUES (0, false, 4)")
    assert things.sql("SELECT n FROM old_thing WHERE id = 1") == things.sql("SELECT n FROM new_thing WHERE id = 1")
    assert things.verify(MOVE).ok
