"""What a move refuses because of how it is declared, of where it runs, or of what it depends on."""

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.contrib.postgres.functions import RandomUUID
from django.db import ConnectionHandler, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count
from django.db.models.functions import Cast, Lower
from pytest_django import Settings

from rehome import Move
from rehome.errors import LockNotObtained, Refused
from rehome.postgres.session import ONE_MOVE
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
Refusal = Callable[..., str]
Another = Callable[[str], BaseDatabaseWrapper]


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(
        lambda app: {
            "name": models.CharField(max_length=20),
            "owner": models.ForeignKey("auth.User", models.CASCADE, null=True),
        }
    )
    lab.get("old.Thing").objects.create(name="lamp")
    return lab


# ----- the declaration


@pytest.mark.parametrize("label", ["old.Nothing", "nowhere.Thing", "Thing", "old.Thing.x"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_unknown_model(things: Lab, refused: Refusal, side: str, label: str) -> None:
    move = Move(label, "new.Thing") if side == "source" else Move("old.Thing", label)
    message = refused(move)
    assert message.startswith(f"{label!r} is no model that this migration knows.")
    assert "add a migration of that app to this migration's dependencies" in message


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"fields": {"nome": "name"}}, "new.Thing has no field 'nome', which fields of"),
        ({"fields": {"name": "nome"}}, "old.Thing has no field 'nome', which fields of"),
        ({"fields": {"name": Lower("nome")}}, "fields['name'] can't be computed from one row of old.Thing"),
        ({"backwards": {"nome": "name"}}, "old.Thing has no field 'nome', which backwards of"),
        ({"backwards": {"name": "nome"}}, "new.Thing has no field 'nome', which backwards of"),
        ({"backwards": {"name": Lower("nome")}}, "backwards['name'] can't be computed from one row of new.Thing"),
        ({"discard": ["nome"]}, "has no field 'nome', which discard of"),
        ({"fields": {"name": Lower("owner__username")}}, "fields['name'] can't be computed from one row of old.Thing"),
        ({"fields": {"name": Count("owner")}}, "fields['name'] has an aggregate, a window or a subquery"),
    ],
)
def test_unknown_field(things: Lab, refused: Refusal, options: dict, expected: str) -> None:
    message = refused(Move("old.Thing", "new.Thing", **options))
    assert expected in message
    assert "Its fields are: id, name, owner." in message or "Use an expression over the fields of that row" in message


def test_source_field_without_a_counterpart(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=20), "size": models.IntegerField()})
    lab.model("new.Thing", {"name": models.CharField(max_length=20)})
    message = refused(MOVE)
    assert message.startswith("new.Thing has no field for old.Thing.size.")
    assert "list it in discard=['size'] to lose it" in message


def test_target_field_without_a_counterpart(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {})
    lab.model("new.Thing", {"size": models.IntegerField()})
    message = refused(MOVE)
    assert message.startswith("old.Thing has no field for new.Thing.size, which is NOT NULL and has no default.")
    assert "fields={'size': ...}" in message


def test_many_to_many_field_without_a_counterpart(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"owners": models.ManyToManyField("auth.User")})
    lab.model("new.Thing", {})
    message = refused(MOVE)
    assert message.startswith("new.Thing has no many-to-many field for old.Thing.owners.")
    assert "discard=['owners']" in message


def test_default_that_differs_at_each_call(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {})
    lab.model("new.Thing", {"token": models.UUIDField(default=uuid.uuid4)})
    message = refused(MOVE)
    assert message.startswith("The default of new.Thing.token is a function that returns another value at each call")
    assert "fields={'token': RandomUUID()}" in message
    lab.forward(Move("old.Thing", "new.Thing", fields={"token": RandomUUID()}))


def test_other_primary_key(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=20)})
    lab.model("new.Thing", {"name": models.CharField(max_length=20, primary_key=True)})
    message = refused(Move("old.Thing", "new.Thing", discard=["id"]))
    assert message.startswith("The primary keys of old.Thing and new.Thing are not the same fields.")
    assert "Make the target's primary key the same as the source's; a move never changes keys." in message


def test_a_model_onto_itself(things: Lab, refused: Refusal) -> None:
    message = refused(Move("old.Thing", "old.Thing"))
    assert message.startswith("old.Thing -> old.Thing would move public.old_thing into itself.")
    things.model("new.Other", {}, db_table="old_thing", managed=False)
    assert "would move public.old_thing into itself" in refused(
        Move("old.Thing", "new.Other", discard=["name", "owner"])
    )


# ----- types


@pytest.mark.parametrize(
    ("source", "target", "types"),
    [
        (models.TextField(), models.IntegerField(), ("text", "integer")),
        (models.BigIntegerField(), models.IntegerField(), ("bigint", "integer")),
        (models.FloatField(), models.IntegerField(), ("double precision", "integer")),
        (
            models.DecimalField(max_digits=9, decimal_places=3),
            models.DecimalField(max_digits=9, decimal_places=2),
            ("numeric(9,3)", "numeric(9,2)"),
        ),
        (models.DateTimeField(), models.DateField(), ("timestamp with time zone", "date")),
        (models.BooleanField(), models.CharField(max_length=9), ("boolean", "character varying(9)")),
        (models.TextField(), models.JSONField(), ("text", "jsonb")),
        (models.TextField(), models.UUIDField(), ("text", "uuid")),
    ],
)
def test_type_that_does_not_fit(
    lab: Lab, refused: Refusal, source: models.Field, target: models.Field, types: tuple[str, str]
) -> None:
    lab.model("old.Thing", {"value": source})
    lab.model("new.Thing", {"value": target})
    message = refused(MOVE)
    assert message.startswith(
        f"public.old_thing.value is {types[0]} and does not fit public.new_thing.value, which is {types[1]}."
    )
    assert "fields={'value': Cast('value', ...)}" in message


def test_value_that_an_expression_cannot_convert(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"value": models.TextField()})
    lab.model("new.Thing", {"value": models.IntegerField()})
    lab.get("old.Thing").objects.create(value="seven")
    move = Move(
        "old.Thing",
        "new.Thing",
        fields={"value": Cast("value", models.IntegerField())},
        backwards={"value": Cast("value", models.TextField())},
    )
    message = refused(move)
    assert message.startswith(
        "public.new_thing.value can't be computed for every row of public.old_thing: invalid input"
    )
    assert 'integer: "seven". Correct those rows' in message


# ----- references


def test_reference_to_a_model_that_has_not_been_moved(lab: Lab, refused: Refusal) -> None:
    for app in ("old", "new"):
        lab.model(f"{app}.Box", {})
        lab.model(f"{app}.Thing", {"box": models.ForeignKey(f"{app}.Box", models.CASCADE)})
    lab.get("old.Thing").objects.create(box=lab.get("old.Box").objects.create())
    message = refused(MOVE)
    assert message.startswith("new.Thing.box points at new.Box, but the rows of old.Box have not been moved there.")
    assert "Move old.Box to new.Box first, and add that migration to the dependencies." in message
    lab.forward(Move("old.Box", "new.Box"))
    lab.forward(MOVE)


def test_many_to_many_with_a_model_that_has_not_been_moved(lab: Lab, refused: Refusal) -> None:
    for app in ("old", "new"):
        lab.model(f"{app}.Box", {})
        lab.model(f"{app}.Thing", {"boxes": models.ManyToManyField(f"{app}.Box")})
    assert refused(MOVE).startswith("new.Thing.boxes points at new.Box, but the rows of old.Box have not been moved")


def test_rows_that_point_at_nothing(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"owner": models.ForeignKey("auth.User", models.CASCADE, db_constraint=False, null=True)})
    lab.model("new.Thing", {"owner": models.ForeignKey("auth.User", models.CASCADE, null=True)})
    lab.sql("INSERT INTO old_thing (id, owner_id) VALUES (7, 4711), (8, NULL), (9, 4712)")
    message = refused(MOVE)
    assert message.startswith(
        "public.new_thing.owner_id points at rows of public.auth_user that do not exist, in rows 7, 9"
    )
    assert "Create the missing rows, or set the column to null, first." in message


def test_self_reference_that_points_at_nothing(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"parent": models.ForeignKey("self", models.CASCADE, db_constraint=False, null=True)})
    lab.model("new.Thing", {"parent": models.ForeignKey("self", models.CASCADE, null=True)})
    lab.sql("INSERT INTO old_thing (id, parent_id) VALUES (1, NULL), (2, 1), (3, 4)")
    assert "in rows 3 of public.old_thing" in refused(MOVE)
    lab.sql("UPDATE old_thing SET parent_id = 2 WHERE id = 3")
    lab.forward(MOVE)


def test_foreign_key_of_the_source_that_was_never_validated(lab: Lab, refused: Refusal) -> None:
    lab.twins(lambda app: {"owner": models.ForeignKey("auth.User", models.CASCADE)})
    ((name,),) = lab.sql("SELECT conname FROM pg_constraint WHERE conrelid = 'old_thing'::regclass AND contype = 'f'")
    definition = "FOREIGN KEY (owner_id) REFERENCES auth_user NOT VALID"
    lab.sql(f"ALTER TABLE old_thing DROP CONSTRAINT {name}")
    lab.sql("INSERT INTO old_thing (id, owner_id) VALUES (1, 4711)")
    lab.sql(f"ALTER TABLE old_thing ADD CONSTRAINT {name} {definition}")
    assert "in rows 1 of public.old_thing" in refused(MOVE)


# ----- where and when


def test_other_engine(things: Lab) -> None:
    sqlite = ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})["default"]
    for run in (MOVE.forwards, MOVE.backwards):
        with pytest.raises(
            Refused, match="Database 'default' is sqlite; rehome moves models on PostgreSQL. Leave this"
        ):
            run(things.apps, sqlite.schema_editor())
    sqlite.close()


def test_old_server(things: Lab, refused: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", property(lambda self: 140022))
    message = refused(MOVE)
    assert message.startswith("Database 'default' runs PostgreSQL 14; rehome needs 15.")
    assert "Upgrade the server to PostgreSQL 15 or newer first." in message
    assert refused(MOVE, back=True) == message


def test_migration_in_one_transaction(things: Lab, unchanged: Callable[[], None]) -> None:
    unchanged()
    for run in (MOVE.forwards, MOVE.backwards):
        with (
            pytest.raises(Refused, match="and its migration runs in one transaction. Write `atomic = False`"),
            things.connection.schema_editor(atomic=True) as editor,
        ):
            run(things.apps, editor)
    unchanged()


def test_another_move_running(things: Lab, refused: Refusal, another: Another) -> None:
    other = another(f"SELECT pg_advisory_xact_lock({ONE_MOVE})")
    pid = other.connection.info.backend_pid
    message = refused(MOVE)
    assert message.startswith(f"Another move is running in this database: pid {pid} (nightly report, user ")
    assert "connected since 20" in message
    assert message.endswith(f"if it is no move, run SELECT pg_terminate_backend({pid}) as that role or as a superuser.")
    assert refused(MOVE, back=True) == message
    other.rollback()
    things.forward(MOVE)


@pytest.mark.parametrize(
    ("held", "statement"),
    [
        ("old_thing", "UPDATE old_thing SET name = name"),
        ("new_thing", "SELECT FROM new_thing"),
        ("auth_user", "SELECT FROM auth_user"),
        ("django_content_type", "LOCK TABLE django_content_type IN ROW EXCLUSIVE MODE"),
    ],
)
def test_lock_not_obtained(
    things: Lab, refused: Refusal, settings: Settings, another: Another, held: str, statement: str
) -> None:
    things.sql("INSERT INTO django_content_type (app_label, model) VALUES ('old', 'thing')")
    settings.REHOME_LOCK_TRIES, settings.REHOME_LOCK_TIMEOUT_MS = 2, 50
    other = another(statement)
    holder = f"pid {other.connection.info.backend_pid} (nightly report, user {other.connection.info.user}, idle in tr"
    message = refused(MOVE, error=LockNotObtained)
    assert message.startswith(f"A lock was not granted in 2 tries of 50 ms: {holder}")
    assert f"uses public.{held}" in message
    assert message.endswith("End that transaction, or run the command again later. Nothing has been moved.")
    other.rollback()
    del settings.REHOME_LOCK_TRIES
    things.forward(MOVE)


@pytest.mark.long
def test_lock_not_obtained_once_the_rows_have_moved(things: Lab, settings: Settings, another: Another) -> None:
    """The commit stands, and what is left is said and done by the next run."""
    blockers = []

    def block(execute: Callable[..., Any], statement: str, *arguments: Any) -> Any:
        if 'UPDATE "rehome_moverun"' in statement:
            settings.REHOME_LOCK_TRIES, settings.REHOME_LOCK_TIMEOUT_MS = 2, 50
        if "VALIDATE CONSTRAINT" in statement and not blockers:
            blockers.append(another("LOCK TABLE new_thing IN SHARE MODE"))
        return execute(statement, *arguments)

    with (
        things.connection.execute_wrapper(block),
        pytest.raises(LockNotObtained, match="The rows have been moved and both tables are in sync; only the settling"),
    ):
        things.forward(MOVE)
    assert things.verify(MOVE).unvalidated
    blockers[0].rollback()
    del settings.REHOME_LOCK_TRIES
    things.forward(MOVE)
    assert things.verify(MOVE).ok
