"""What the way back refuses; both tables stay live, in sync."""

from collections.abc import Callable

import pytest
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.exceptions import IrreversibleError
from django.db.models.functions import Lower
from pytest_django import Settings

from rehome import Move
from rehome.errors import Irreversible, LockNotObtained
from rehome.parts.sync import wanted
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
Refusal = Callable[..., str]
Another = Callable[[str], BaseDatabaseWrapper]


@pytest.fixture
def things(lab: Lab) -> Lab:
    """The target has columns of its own."""
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model(
        "new.Thing",
        {
            "name": models.TextField(),
            "note": models.TextField(default="none"),
            "colour": models.TextField(null=True),
            "shape": models.TextField(db_default="round"),
        },
    )
    old = lab.get("old.Thing")
    old.objects.bulk_create(old(name=name) for name in ("lamp", "desk", "chair"))
    return lab


def test_expression_without_a_counterpart(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    move = Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, irreversible=True)
    lab.forward(move)
    message = refused(move, error=Irreversible, back=True)
    assert message.startswith("old.Thing -> new.Thing can't go back: old.Thing.name has no entry in backwards={...}.")
    assert message.endswith("the migration counts as unapplied, and both tables stay as they are.")
    assert issubclass(Irreversible, IrreversibleError)


def test_discarded_field(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "size": models.IntegerField()})
    lab.model("new.Thing", {"name": models.TextField()})
    move = Move("old.Thing", "new.Thing", discard=["size"], irreversible=True)
    lab.forward(move)
    assert "old.Thing.size has no entry in backwards={...}" in refused(move, error=Irreversible, back=True)


def test_never_ran_here(things: Lab, refused: Refusal) -> None:
    message = refused(MOVE, back=True)
    assert message.startswith("old.Thing -> new.Thing is not live on database 'default': it never ran here.")
    assert message.endswith("Use `migrate --fake` if only Django's record is wrong.")


@pytest.mark.parametrize(
    ("column", "value"), [("note", "''"), ("colour", "''"), ("shape", "'square'"), ("shape", "NULL")]
)
def test_values_that_only_the_target_can_hold(things: Lab, refused: Refusal, column: str, value: str) -> None:
    things.forward(MOVE)
    things.sql("ALTER TABLE new_thing ALTER shape DROP NOT NULL")
    things.sql(f"UPDATE new_thing SET {column} = {value} WHERE id IN (1, 3)")
    message = refused(MOVE, back=True)
    assert message.startswith(f"public.new_thing.{column} has values that public.old_thing can't hold, in rows 1, 3.")
    assert f"or list {column!r} in discard to lose them." in message
    things.back(Move("old.Thing", "new.Thing", discard=[column]))
    assert things.sql("SELECT count(*) FROM old_thing") == [(3,)]


def test_references_from_other_tables(things: Lab, refused: Refusal) -> None:
    things.forward(MOVE)
    things.model("other.Part", {"thing": models.ForeignKey("new.Thing", models.CASCADE, null=True)})
    part = things.get("other.Part")
    part.objects.create(thing_id=2)
    part.objects.create(thing_id=None)
    message = refused(MOVE, back=True)
    assert message.startswith("public.other_part.thing_id still points at rows 2 of public.new_thing.")
    assert message.endswith("Roll back the migrations that made it point there first.")
    part.objects.filter(thing_id=2).delete()
    things.back(MOVE)
    assert things.sql(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = 'other_part'::regclass AND contype = 'f'"
    ) == [(True,)]


def test_rows_that_differ_beside_a_missing_trigger(things: Lab, refused: Refusal) -> None:
    things.forward(MOVE)
    [trigger] = [t.name for t in wanted(things.plan(MOVE)) if t.name.startswith("rehome_forward_") and t.each == "ROW"]
    things.sql(f"ALTER TABLE old_thing DISABLE TRIGGER {trigger}")
    things.sql("UPDATE old_thing SET name = 'written by old code' WHERE id = 1")
    message = refused(MOVE, back=True)
    assert message.startswith(
        "1 rows of old.Thing -> new.Thing differ, because the trigger that carried writes from public.old_thing is or"
    )
    assert "Run `manage.py verifymoves new.Thing`, make the rows equal, and try again." in message


def test_lock_not_obtained(things: Lab, refused: Refusal, settings: Settings, another: Another) -> None:
    things.forward(MOVE)
    settings.REHOME_LOCK_TRIES, settings.REHOME_LOCK_TIMEOUT_MS = 2, 50
    other = another("UPDATE new_thing SET name = name WHERE id = 1")
    message = refused(MOVE, error=LockNotObtained, back=True)
    assert f"50 ms: pid {other.connection.info.backend_pid} (nightly report, user " in message
    assert "uses public.new_thing" in message
    other.rollback()
    del settings.REHOME_LOCK_TRIES
    things.back(MOVE)
