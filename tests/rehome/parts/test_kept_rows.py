"""Triggers of the project's that keep a row which is deleted, or make it again: both tables have it afterwards."""

import itertools

import pytest
from django.db import IntegrityError, models

from rehome import Move
from rehome.errors import Refused
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
SIDES = ("old_thing", "new_thing")
KEPT = {
    "marked": ("BEFORE", "UPDATE {t} SET active = false WHERE id = old.id; RETURN NULL;"),
    "born again": ("AFTER", "INSERT INTO {t} VALUES (old.*); RETURN NULL;"),
    "born again, marked": ("AFTER", "INSERT INTO {t} (id, name, active) VALUES (old.id, old.name, false); RETURN old;"),
}


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.TextField(), "active": models.BooleanField(default=True)})
    lab.sql("INSERT INTO old_thing (name, active) VALUES ('lamp', true), ('chair', true), ('desk', true)")
    return lab


def create(lab: Lab, table: str, events: str, body: str) -> None:
    lab.sql(f"CREATE FUNCTION keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
    lab.sql(f"CREATE TRIGGER keep {events} ON {table} FOR EACH ROW EXECUTE FUNCTION keep_{table}()")


@pytest.mark.parametrize("table", SIDES)
@pytest.mark.parametrize("kind", KEPT)
def test_a_row_that_a_trigger_keeps_is_in_both_tables(things: Lab, kind: str, table: str) -> None:
    when, body = KEPT[kind]
    create(things, table, f"{when} DELETE", body.format(t=table))
    things.forward(MOVE)
    things.sql("DELETE FROM old_thing WHERE id = 1")
    things.sql("DELETE FROM new_thing WHERE id < 3")
    rows = [(1, "lamp", kind == "born again"), (2, "chair", kind == "born again"), (3, "desk", True)]
    for side in SIDES:
        assert things.sql(f"SELECT * FROM {side} ORDER BY id") == rows
    assert things.verify(MOVE).ok
    things.retire(MOVE)


@pytest.mark.parametrize("kind", ["born again", "born again, marked"])
def test_a_row_that_is_made_again_is_not_taken_for_the_one_that_took_its_key(things: Lab, kind: str) -> None:
    """As on one table, where the trigger's row is a duplicate."""
    create(things, "old_thing", "AFTER DELETE", KEPT[kind][1].format(t="old_thing"))
    things.forward(MOVE)
    for side in SIDES:
        with pytest.raises(IntegrityError):
            things.sql(
                f"WITH gone AS (DELETE FROM {side} WHERE id = 1 RETURNING 1) "
                f"UPDATE {side} SET id = 1 WHERE id = 3 AND EXISTS (SELECT FROM gone)"
            )
        assert things.sql(f"SELECT name FROM {side} ORDER BY id") == [("lamp",), ("chair",), ("desk",)]
    assert things.verify(MOVE).ok


# ----- what acts before the trigger has its word

ANSWERS = [
    ("BEFORE DELETE", "DELETE", "RETURN NULL;"),
    ("BEFORE DELETE", "DELETE", "RETURN new;"),
    ("BEFORE UPDATE", "UPDATE", "RETURN old;"),
    ("BEFORE INSERT OR DELETE", "DELETE", "IF TG_OP = 'DELETE' THEN RETURN NULL; END IF; RETURN new;"),
]
HARMLESS = {
    "AFTER DELETE": "RETURN NULL;",
    "AFTER UPDATE": "RETURN NULL;",
    "BEFORE DELETE": "RETURN old;",
    "BEFORE UPDATE": "RETURN new;",
    "BEFORE UPDATE OR DELETE": "IF TG_OP = 'DELETE' THEN RETURN old; END IF; RETURN new;",
}
ACTIONS = ("CASCADE", "SET NULL", "SET DEFAULT")


def point(lab: Lab, table: str, action: str) -> None:
    lab.sql(f"CREATE TABLE child (thing bigint CONSTRAINT leads REFERENCES {table} {action})")


def drop(lab: Lab, table: str) -> None:
    lab.sql(f"DROP TABLE IF EXISTS child; DROP FUNCTION keep_{table}() CASCADE")


@pytest.mark.parametrize(("has", "other"), [SIDES, SIDES[::-1]])
def test_a_foreign_key_that_acts_before_a_row_is_kept_is_refused(things: Lab, has: str, other: str) -> None:
    """By its name, whatever it does and whatever the trigger answers."""
    for (events, event, body), action in itertools.product(ANSWERS, ACTIONS):
        create(things, has, events, body)
        point(things, other, f"ON {event} {action}")
        with pytest.raises(Refused) as refused:
            things.forward(MOVE)
        assert f"The trigger 'keep' of public.{has} may keep a row" in str(refused.value)
        assert f"the foreign key leads of public.child has acted, which is ON {event} {action}" in str(refused.value)
        drop(things, has)


def test_what_cannot_keep_a_row_or_does_not_act_is_moved(things: Lab) -> None:
    for number, (events, body) in enumerate(HARMLESS.items()):
        things.sql(f"CREATE FUNCTION keep_{number}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
        things.sql(f"CREATE TRIGGER keep_{number} {events} ON old_thing FOR EACH ROW EXECUTE FUNCTION keep_{number}()")
    point(things, "new_thing", "ON DELETE CASCADE ON UPDATE CASCADE")
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    create(things, "new_thing", "BEFORE DELETE", "RETURN NULL;")
    things.sql("CREATE TABLE another (thing bigint CONSTRAINT later REFERENCES old_thing ON DELETE CASCADE)")
    defect, *_ = things.verify(MOVE).defects
    assert "the foreign key later of public.another has acted" in defect.text
