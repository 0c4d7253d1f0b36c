"""The verifier caught lying: after a good move exactly one thing is corrupted, and the report names it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import models

from rehome import Move
from rehome.parts.sync import wanted
from rehome.verify.report import Report
from tests.rehome.support.lab import Lab
from tests.rehome.support.people import forget, register

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
NOTHING = {"missing": 0, "extra": 0, "different": 0, "orphans": 0}


def fields(app_label: str) -> dict[str, models.Field]:
    return {
        "name": models.CharField(max_length=40, null=True),
        "weight": models.FloatField(default=0),
        "price": models.DecimalField(max_digits=9, decimal_places=2, default=0),
        "details": models.JSONField(default=dict),
        "raw": RawJSON(default=dict),
        "made": models.DateTimeField(null=True),
        "parent": models.ForeignKey("self", models.CASCADE, null=True),
        "owner": models.ForeignKey("auth.User", models.CASCADE, null=True),
        "friends": models.ManyToManyField("auth.User", related_name="+"),
    }


class CIText(models.TextField):
    def db_type(self, connection: Any) -> str:
        return "citext"


class RawJSON(models.JSONField):
    """PostgreSQL's json, which keeps the order of keys and every blank."""

    def db_type(self, connection: Any) -> str:
        return "json"


@pytest.fixture
def things(lab: Lab) -> Lab:
    """Five things, moved and equal; thing 3 has two friends."""
    register("old")
    lab.twins(fields)
    lab.sql(
        "INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff, "
        "is_active, date_joined) SELECT n, n, '', '', '', '', false, false, true, now() FROM generate_series(1, 2) n"
    )
    lab.sql(
        "INSERT INTO old_thing (name, weight, price, details, raw, made, owner_id, parent_id) "
        "SELECT 'thing ' || n, n, n, '{}', '{\"a\": 1, \"b\": 2}', now(), 1, CASE n WHEN 4 THEN 3 END "
        "FROM generate_series(1, 5) n"
    )
    lab.sql("INSERT INTO old_thing_friends (thing_id, user_id) VALUES (3, 1), (3, 2)")
    lab.sql("UPDATE old_thing SET name = NULL WHERE id = 5; UPDATE old_thing SET weight = 0 WHERE id = 4")
    lab.forward(MOVE)
    report = lab.verify(MOVE)
    assert report.ok
    assert (report.comparison.source_rows, report.comparison.target_rows) == (7, 7)
    return lab


@contextlib.contextmanager
def unseen(lab: Lab) -> Iterator[None]:
    """Nothing that is written in here is carried or checked."""
    lab.sql("SET session_replication_role = replica")
    yield
    lab.sql("SET session_replication_role = DEFAULT")


@contextlib.contextmanager
def corrupted(lab: Lab, *statements: str) -> Iterator[Report]:
    """What the verification says after these statements; afterwards every row is as it was."""
    tables = ("old_thing", "new_thing", "old_thing_friends", "new_thing_friends")
    with unseen(lab):
        for table in tables:
            lab.sql(f"CREATE TEMPORARY TABLE kept_{table} AS TABLE {table}")
        for statement in statements:
            lab.sql(statement)
    report = lab.verify(MOVE)
    assert not report.ok
    assert report.as_json()["ok"] is False
    yield report
    with unseen(lab):
        for table in tables:
            lab.sql(f"DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table}; DROP TABLE kept_{table}")


def found(report: Report) -> dict[str, int]:
    return {kind: getattr(report.comparison, kind) for kind in NOTHING if getattr(report.comparison, kind)}


def named(report: Report) -> list[tuple[str, str, list[str]]]:
    return [(d.kind, ", ".join(d.key), d.columns) for d in report.comparison.differences]


# ----- values


def test_one_value_on_either_side(things: Lab) -> None:
    for table in ("old_thing", "new_thing"):
        for key, column, value in (
            (1, "name", "'thing X'"),
            (1, "name", "'Thing 1'"),
            (1, "name", "'thing 1 '"),
            (1, "name", "''"),
            (1, "name", "NULL"),
            (5, "name", "''"),
            (4, "weight", "'-0'"),
            (1, "weight", "1.0000000000000002"),
            (1, "price", "1.01"),
            (1, "details", "'{\"a\": null}'"),
            (1, "raw", '\'{"b": 2, "a": 1}\''),
            (1, "made", "made + interval '1 microsecond'"),
            (1, "owner_id", "2"),
            (1, "parent_id", "1"),
        ):
            with corrupted(things, f"UPDATE {table} SET {column} = {value} WHERE id = {key}") as report:
                assert found(report) == {"different": 1}, (table, column, value)
                assert named(report) == [("different", str(key), [column])]
    assert things.verify(MOVE).ok


@pytest.mark.contrib
def test_values_that_their_type_takes_for_equal(lab: Lab) -> None:
    lab.sql("CREATE EXTENSION citext")
    lab.sql("CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    lab.twins(lambda app: {"name": models.TextField(db_collation="loose"), "word": CIText()})
    lab.sql("INSERT INTO old_thing (name, word) VALUES ('lamp', 'lamp')")
    lab.forward(MOVE)
    for column in ("name", "word"):
        with unseen(lab):
            lab.sql(f"UPDATE new_thing SET {column} = 'Lamp'")
        assert named(lab.verify(MOVE)) == [("different", "1", [column])]
        with unseen(lab):
            lab.sql(f"UPDATE new_thing SET {column} = 'lamp'")
    assert lab.verify(MOVE).ok


ROWS: list[tuple[list[str], list[tuple[str, str, list[str]]]]] = [
    (["UPDATE new_thing SET id = 99 WHERE id = 5"], [("extra", "99", []), ("missing", "5", [])]),
    (["UPDATE old_thing SET id = 99 WHERE id = 5"], [("extra", "5", []), ("missing", "99", [])]),
    (["DELETE FROM new_thing WHERE id = 2"], [("missing", "2", [])]),
    (["DELETE FROM old_thing WHERE id = 2"], [("extra", "2", [])]),
    (["INSERT INTO new_thing (id, weight, price, details, raw) VALUES (-7, 0, 0, '{}', '{}')"], [("extra", "-7", [])]),
    (
        ["INSERT INTO old_thing (id, weight, price, details, raw) VALUES (-7, 0, 0, '{}', '{}')"],
        [("missing", "-7", [])],
    ),
    (
        [
            "UPDATE new_thing SET weight = 3 - weight WHERE id IN (1, 2)",
        ],
        [("different", "1", ["weight"]), ("different", "2", ["weight"])],
    ),
    (
        ["UPDATE new_thing SET weight = weight + CASE id WHEN 1 THEN 1 ELSE -1 END WHERE id IN (1, 2)"],
        [("different", "1", ["weight"]), ("different", "2", ["weight"])],
    ),
    (
        ["UPDATE new_thing SET name = 'thing 2', weight = 1, price = 2 WHERE id = 1"],
        [("different", "1", ["name", "price"])],
    ),
    (
        [
            "UPDATE new_thing SET id = -1 WHERE id = 1",
            "UPDATE new_thing SET id = 1 WHERE id = 2",
            "UPDATE new_thing SET id = 2 WHERE id = -1",
        ],
        [
            ("different", "1", ["name", "price", "weight"]),
            ("different", "2", ["name", "price", "weight"]),
        ],
    ),
    (["DELETE FROM new_thing_friends WHERE id = 1"], [("missing", "1", [])]),
    (["DELETE FROM old_thing_friends WHERE id = 1"], [("extra", "1", [])]),
    (["UPDATE new_thing_friends SET thing_id = 4 WHERE id = 1"], [("different", "1", ["thing_id"])]),
    (
        [
            f"UPDATE new_thing_friends SET id = {after} WHERE id = {before}"
            for before, after in ((1, 0), (2, 1), (0, 2))
        ],
        [("different", "1", ["user_id"]), ("different", "2", ["user_id"])],
    ),
]


def test_rows_that_are_missing_or_too_many_or_have_changed_places(things: Lab) -> None:
    for statements, expected in ROWS:
        with corrupted(things, *statements) as report:
            seen = sorted((kind, key, sorted(columns)) for kind, key, columns in named(report))
            assert seen == sorted(expected), statements
            kinds = [kind for kind, _, _ in expected]
            assert found(report) == {kind: kinds.count(kind) for kind in set(kinds)}
    assert things.verify(MOVE).ok


def test_no_more_differences_than_asked_for(things: Lab) -> None:
    with unseen(things):
        things.sql("DELETE FROM new_thing_friends; UPDATE new_thing SET price = 7")
    comparison = things.verify(MOVE, limit=3).comparison
    assert (comparison.missing, comparison.different) == (2, 5)
    assert [d.key for d in comparison.differences] == [["1"], ["2"], ["3"]]
    assert things.verify(MOVE, limit=0).comparison.differences == ()
    assert len(things.verify(MOVE).comparison.differences) == 7


# ----- foreign keys and other constraints


def test_an_orphan_beside_a_dropped_foreign_key(things: Lab) -> None:
    [key] = [c for c in things.plan(MOVE).main.target.foreign_keys if c.columns == ("owner_id",)]
    things.sql(f'ALTER TABLE new_thing DROP CONSTRAINT "{key.name}"')
    report = things.verify(MOVE)
    assert not report.ok
    assert report.dropped == (
        'ALTER TABLE "public"."new_thing" ADD CONSTRAINT "owner_id" FOREIGN KEY ("owner_id") '
        'REFERENCES "public"."auth_user" ("id") DEFERRABLE INITIALLY DEFERRED',
    )
    assert report.as_json()["unvalidated"] == list(report.dropped)
    with unseen(things):
        things.sql("DELETE FROM auth_user WHERE id = 1")
    assert found(things.verify(MOVE)) == {"orphans": 6}


def test_an_orphan_under_a_foreign_key(things: Lab) -> None:
    change = "UPDATE {} SET parent_id = 77 WHERE id = 2"
    with corrupted(things, change.format("old_thing"), change.format("new_thing")) as report:
        assert found(report) == {"orphans": 1}


def test_a_constraint_that_was_never_validated(things: Lab) -> None:
    things.sql("ALTER TABLE new_thing ADD CONSTRAINT light CHECK (weight < 1) NOT VALID")
    report = things.verify(MOVE)
    assert (report.ok, report.unvalidated) == (False, ("light",))


# ----- sequences


@pytest.mark.long
def test_sequences_that_repeat_a_key(things: Lab) -> None:
    for statement in (
        "SELECT setval('new_thing_id_seq', 4)",
        "SELECT setval('new_thing_id_seq', 5, false)",
        "CREATE SEQUENCE own START 6; ALTER TABLE old_thing ALTER id SET DEFAULT nextval('own')",
        "SELECT setval('new_thing_friends_id_seq', 1)",
    ):
        things.sql(statement)
        report = things.verify(MOVE)
        assert (report.ok, report.sequence_ok, found(report)) == (False, False, {}), statement
        things.forward(MOVE)
        assert things.verify(MOVE).ok, statement


@pytest.mark.parametrize("table", ["old_thing", "new_thing"])
def test_a_table_that_draws_no_keys_any_more(things: Lab, table: str) -> None:
    things.sql(f"ALTER TABLE {table} ALTER id DROP DEFAULT")
    report = things.verify(MOVE)
    assert (report.ok, report.sequence_ok, found(report)) == (False, False, {})
    things.sql(f"ALTER TABLE {table} ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START 6)")
    report = things.verify(MOVE)
    assert (report.ok, report.sequence_ok, found(report)) == (False, False, {})


# ----- triggers

EMPTY = "RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS 'BEGIN RETURN NULL; END'"
EACH = "ON {table} FOR EACH ROW EXECUTE FUNCTION"


@pytest.mark.long
def test_triggers_that_are_not_what_they_were(things: Lab) -> None:
    for damage, state in (
        ("ALTER TABLE {table} DISABLE TRIGGER {name}", "missing"),
        ("ALTER TABLE {table} ENABLE REPLICA TRIGGER {name}", "missing"),
        ("DROP TRIGGER {name} ON {table}", "missing"),
        ("DROP FUNCTION {name} CASCADE", "missing"),
        ("CREATE OR REPLACE FUNCTION {name}() " + EMPTY, "outdated"),
        ("ALTER FUNCTION {name} SECURITY DEFINER", "outdated"),
        ("ALTER FUNCTION {name} SET datestyle = German", "outdated"),
        ("CREATE OR REPLACE TRIGGER {name} AFTER INSERT " + EACH + " {name}()", "outdated"),
        ("CREATE OR REPLACE TRIGGER {name} AFTER INSERT OR UPDATE OF name OR DELETE " + EACH + " {name}()", "outdated"),
        (
            "CREATE OR REPLACE TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW "
            "WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION {name}()",
            "outdated",
        ),
        (
            "CREATE FUNCTION other() " + EMPTY + "; "
            "CREATE OR REPLACE TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE " + EACH + " other()",
            "outdated",
        ),
    ):
        for trigger in wanted(things.plan(MOVE)):
            if trigger.table.name == "new_thing" and trigger.each == "ROW":
                things.sql(damage.format(name=trigger.name, table=trigger.table.name))
        report = things.verify(MOVE)
        assert (report.ok, report.sync, found(report)) == (False, state, {}), damage
        things.forward(MOVE)
        assert things.verify(MOVE).ok, damage


def test_every_single_trigger_is_missed(things: Lab) -> None:
    for trigger in wanted(things.plan(MOVE)):
        things.sql(f"ALTER TABLE {trigger.table.name} DISABLE TRIGGER {trigger.name}")
        assert things.verify(MOVE).sync == "missing"
        things.sql(f"ALTER TABLE {trigger.table.name} ENABLE TRIGGER {trigger.name}")
    assert things.verify(MOVE).ok


def test_the_fence_of_a_move_without_a_way_back(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "note": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField()})
    move = Move("old.Thing", "new.Thing", discard=["note"], irreversible=True)
    lab.forward(move)
    assert lab.verify(move).ok
    lab.sql("ALTER TABLE old_thing DISABLE TRIGGER USER")
    report = lab.verify(move)
    assert (report.ok, report.sync) == (False, "missing")


# ----- names


def test_a_permission_or_a_label_of_either_code_is_missed(things: Lab) -> None:
    for app_label in ("old", "new"):
        row = ContentType.objects.get(app_label=app_label, model="thing")
        permission = row.permission_set.get(codename="view_thing")
        ContentType.objects.filter(pk=row.pk).update(model="thingy")
        assert things.verify(MOVE).identity_ok is False
        row.save()
        assert things.verify(MOVE).ok
        row.permission_set.filter(pk=permission.pk).delete()
        report = things.verify(MOVE)
        assert (report.ok, report.identity_ok, found(report)) == (False, False, {})
        permission.save()
        assert things.verify(MOVE).ok
    forget("new")
    assert things.verify(MOVE).identity_ok is False


def test_labels_that_have_changed_places_again(things: Lab) -> None:
    ContentType.objects.filter(app_label="old").update(app_label="elsewhere")
    ContentType.objects.filter(app_label="new").update(app_label="old")
    ContentType.objects.filter(app_label="elsewhere").update(app_label="new")
    assert things.verify(MOVE).identity_ok is False


# ----- while others write


def test_a_write_between_the_two_reads_is_no_difference(things: Lab) -> None:
    other = things.connection.copy()
    reads = []

    def write_between(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if "hash" in sql:
            reads.append(sql)
            with other.cursor() as cursor:
                cursor.execute("UPDATE old_thing SET name = %s WHERE id = 1", [f"written before read {len(reads)}"])
                cursor.execute("INSERT INTO new_thing (weight, price, details, raw) VALUES (0, 0, '{}', '{}')")
        return execute(sql, *arguments)

    with things.connection.execute_wrapper(write_between):
        report = things.verify(MOVE)
    other.close()
    assert len(reads) >= 4
    assert report.ok
    assert report.comparison.source_rows == report.comparison.target_rows
    assert things.verify(MOVE).comparison.source_rows == report.comparison.source_rows + len(reads)
