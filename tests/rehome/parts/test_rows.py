"""The SQL of a move as text: no database is asked."""

import pytest
from django.db import models

from rehome.models import MoveRun
from rehome.parts import foreign_keys, rows, triggers
from rehome.parts.sequences import create
from rehome.plan import facts
from rehome.plan.plan import Assignment, Flow, TablePair, read_column
from rehome.plan.record import Record
from rehome.postgres import sql
from rehome.postgres.tables import Column, Constraint, End, ForeignKey, Sequence, Table, Terms

pytestmark = pytest.mark.server


def column(name: str, kind: str = "bigint", *, identity: str = "") -> Column:
    base = kind.partition("(")[0]
    return Column(
        name, kind, base, "pg_catalog", nullable=True, default=None, identity=identity, generated="", collation=""
    )


def table(name: str, *columns: Column, schema: str = "public", constraints: tuple[Constraint, ...] = ()) -> Table:
    return Table(
        oid=0, schema=schema, name=name, kind="r", owner="owner", owned=True, row_security=False, persistence="p",
        inherits=False, partition=False, rules=(), columns=columns, constraints=constraints, foreign_keys=(),
        incoming=(), indexes=(), triggers=(), grants=(), sequences={},
    )  # fmt: skip


def pair(source: Table, target: Table) -> TablePair:
    """Two tables with the same columns in the same order; the first is the key."""
    names = list(zip([c.name for c in source.columns], [c.name for c in target.columns], strict=True))

    def flow(origin: Table, destination: Table, columns: list[tuple[str, str]]) -> Flow:
        assigned = [Assignment(destination.column(t), read_column(o), frozenset({o})) for o, t in columns]
        return Flow(origin, destination, (columns[0],), tuple(assigned))

    return TablePair(
        source=source,
        target=target,
        source_model=models.Model,
        target_model=models.Model,
        forward=flow(source, target, names),
        backward=flow(target, source, [(t, s) for s, t in names]),
        lost=(),
        dropped=(),
    )


OLD = table("old_thing", column("id", "integer"), column("name", "character varying(20)"))
NEW = table("new_thing", column("id", identity="a"), column("label", "character varying(20)"))
PAIR = pair(OLD, NEW)
UNIQUE = Constraint(
    "one_name", "u", "UNIQUE (label) DEFERRABLE", ("label",), validated=True, deferrable=True, expression=None
)  # fmt: skip


def test_copy_names_its_columns_and_overrides_what_is_always_generated() -> None:
    assert rows.copy(PAIR.forward).as_string() == (
        'INSERT INTO "public"."new_thing" ("id", "label") OVERRIDING SYSTEM VALUE '
        'SELECT "new"."id", "new"."name" FROM "public"."old_thing" AS "new"'
    )
    assert rows.copy(PAIR.backward).as_string() == (
        'INSERT INTO "public"."old_thing" ("id", "name") '
        'SELECT "new"."id", "new"."label" FROM "public"."new_thing" AS "new"'
    )


def test_every_name_is_quoted() -> None:
    odd = table('a "b"', column("x;--"), schema="Schéma.1")
    assert sql.lock([odd, OLD], "SHARE").as_string() == (
        'LOCK TABLE "Schéma.1"."a ""b""", "public"."old_thing" IN SHARE MODE'
    )
    assert sql.truncate([odd]).as_string() == 'TRUNCATE "Schéma.1"."a ""b"""'
    assert rows.copy(pair(odd, odd).forward).as_string() == (
        'INSERT INTO "Schéma.1"."a ""b""" ("x;--") SELECT "new"."x;--" FROM "Schéma.1"."a ""b""" AS "new"'
    )


def test_a_constraint_is_added_as_it_was_defined() -> None:
    added = [
        sql.add_constraint("public", "new_thing", "fk", f"FOREIGN KEY (x) REFERENCES y(z){kept}", validate=validate)
        for kept, validate in (("", True), ("", False), (" NOT VALID", True), (" NOT VALID", False))
    ]
    whole = 'ALTER TABLE "public"."new_thing" ADD CONSTRAINT "fk" FOREIGN KEY (x) REFERENCES y(z)'
    assert [statement.as_string() for statement in added] == [whole, *[f"{whole} NOT VALID"] * 3]


def test_a_foreign_key_that_a_run_of_an_earlier_version_kept_is_read_again() -> None:
    kept = {
        "schema": "public", "table": "note", "name": "note_thing", "head": "FOREIGN KEY (thing, \"Of\")",
        "tail": " ON DELETE CASCADE", "end": {"schema": "s", "table": 'odd "y"', "columns": ["id", "Z"]},
        "origin": None, "validated": True,
    }  # fmt: skip
    (key,) = Record.of(MoveRun(kept={"foreign_keys": [kept]})).foreign_keys or ()
    terms = Terms(on_delete="CASCADE")
    end = End("s", 'odd "y"', ("id", "Z"))
    assert key == ForeignKey("public", "note", "note_thing", ("thing", "Of"), end, terms, validated=True)
    moved = foreign_keys.with_end(key, End("public", "new_thing", ("id", "z")))
    assert facts.encode(foreign_keys.to_keep(moved)) == facts.encode(key)
    assert [statement.as_string() for statement in foreign_keys.move(moved, key.end)] == [
        'ALTER TABLE "public"."note" DROP CONSTRAINT IF EXISTS "note_thing"',
        'ALTER TABLE "public"."note" ADD CONSTRAINT "note_thing" FOREIGN KEY ("thing", "Of") REFERENCES '
        '"s"."odd ""y""" ("id", "Z") ON DELETE CASCADE NOT VALID',
    ]


def test_a_sequence_is_made_with_every_option_and_belongs_to_its_column() -> None:
    sequence = Sequence("public", "s", "integer", 7, -2, -99, 9, 5, True)
    assert [statement.as_string() for statement in create(sequence, "owner", "public", "new_thing", "id")] == [
        'CREATE SEQUENCE "public"."s" AS integer INCREMENT BY  -2 MINVALUE  -99 MAXVALUE 9 START WITH 7 CACHE 5 CYCLE',
        'ALTER SEQUENCE "public"."s" OWNER TO "owner"',
        'ALTER SEQUENCE "public"."s" OWNED BY "public"."new_thing"."id"',
    ]


def test_a_trigger_has_a_name_of_its_own_for_each_pair_that_postgresql_does_not_cut() -> None:
    long = table("t" * 63, column("id"))
    names = {
        trigger.name
        for tables in ((OLD, NEW), (NEW, OLD), (long, NEW), (OLD, long))
        for trigger in triggers.sync_triggers(pair(*(table(t.name, column("id")) for t in tables)), (), ())
    }
    assert len(names) == 16
    assert max(len(name) for name in names) < 64


def test_a_body_is_between_quotes_that_it_does_not_contain() -> None:
    assert triggers.quoted("x").as_string() == "$rehome$x$rehome$"
    assert triggers.quoted("$rehome$ $rehome_$").as_string() == "$rehome__$$rehome$ $rehome_$$rehome__$"


def test_a_fence_says_its_words_whatever_is_in_them() -> None:
    fence = triggers.fence("fence", NEW, PAIR, "it's 100 % \\ closed", 'go\'s "on"')
    assert fence.body.endswith(
        "  RAISE object_not_in_prerequisite_state USING "
        "MESSAGE =  E'it''s 100 % \\\\ closed', HINT = 'go''s \"on\"';\nEND\n"
    )
    name = triggers.trigger_name("fence", PAIR)
    assert fence.create()[-1].as_string() == (
        f'CREATE OR REPLACE TRIGGER "{name}" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON "public"."new_thing" '
        f'FOR EACH STATEMENT EXECUTE FUNCTION "public"."{name}"()'
    )


WRITES = """\
SET CONSTRAINTS "public"."one_name" DEFERRED;
UPDATE "public"."new_thing" AS kept SET "id" = "new"."id", "label" = "new"."name" \
WHERE "kept"."id" OPERATOR(pg_catalog.=) "old"."id" \
RETURNING "kept"."id" OPERATOR(pg_catalog.=) "written"."id" INTO as_sent;
SET CONSTRAINTS "public"."one_name" DEFERRED;
UPDATE "public"."new_thing" AS kept SET \
"id" = CASE WHEN ROW(kept."id")::pg_catalog.record OPERATOR(pg_catalog.*=) \
ROW(("old"."id")::bigint)::pg_catalog.record \
THEN "new"."id" ELSE kept."id" END, \
"label" = CASE WHEN ROW(kept."label")::pg_catalog.record OPERATOR(pg_catalog.*=) \
ROW(("old"."name")::pg_catalog.text)::pg_catalog.record \
THEN "new"."name" ELSE kept."label" END \
WHERE "kept"."id" OPERATOR(pg_catalog.=) "old"."id" \
AND ROW("kept"."id", "kept"."label")::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW((\
CASE WHEN ROW(kept."id")::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(("old"."id")::bigint)::pg_catalog.record \
THEN "new"."id" ELSE kept."id" END)::bigint, (\
CASE WHEN ROW(kept."label")::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(("old"."name")::pg_catalog.text)\
::pg_catalog.record THEN "new"."name" ELSE kept."label" END)::pg_catalog.text)::pg_catalog.record;
UPDATE "public"."new_thing" AS kept SET "id" = "new"."id", "label" = "new"."name" \
WHERE "kept"."id" OPERATOR(pg_catalog.=) "old"."id" \
RETURNING "kept"."id" OPERATOR(pg_catalog.=) "written"."id" INTO as_sent;
DELETE FROM "public"."new_thing" AS kept WHERE "kept"."id" OPERATOR(pg_catalog.=) "new"."id" AND \
ROW("kept"."id", "kept"."label")::pg_catalog.record OPERATOR(pg_catalog.*=) \
ROW(("written"."id")::bigint, ("written"."name")::pg_catalog.text)::pg_catalog.record;
UPDATE "public"."new_thing" AS kept SET "id" = "new"."id", "label" = "new"."name" \
WHERE "kept"."id" OPERATOR(pg_catalog.=) "old"."id" AND \
(ROW("kept"."id", "kept"."label")::pg_catalog.record OPERATOR(pg_catalog.*=) \
ROW(("old"."id")::bigint, ("old"."name")::pg_catalog.text)::pg_catalog.record OR \
NOT EXISTS (SELECT FROM "public"."old_thing" AS reborn WHERE "reborn"."id" OPERATOR(pg_catalog.=) "old"."id")) \
RETURNING "kept"."id" OPERATOR(pg_catalog.=) "written"."id" INTO as_sent;
DELETE FROM "public"."new_thing" AS kept WHERE "kept"."id" OPERATOR(pg_catalog.=) "old"."id" AND (carry.leads OR \
ROW("kept"."id", "kept"."label")::pg_catalog.record OPERATOR(pg_catalog.*=) \
ROW(("old"."id")::bigint, ("old"."name")::pg_catalog.text)::pg_catalog.record)
INSERT INTO "public"."new_thing" AS kept ("id", "label") VALUES ("new"."id", "new"."name")
ON CONFLICT ("id") DO UPDATE SET "id" = "new"."id", "label" = "new"."name"
WHERE ROW("kept"."id", "kept"."label")::pg_catalog.record OPERATOR(pg_catalog.*<>) \
ROW("excluded"."id", "excluded"."label")::pg_catalog.record \
RETURNING "kept"."id" OPERATOR(pg_catalog.=) "written"."id" INTO as_sent;
"""


def test_what_a_trigger_writes_to_the_other_table() -> None:
    source = table("old_thing", column("id", "integer"), column("name", "text"))
    target = table("new_thing", column("id"), column("label", "text"), constraints=(UNIQUE,))
    [forward, _, backward, _] = triggers.sync_triggers(pair(source, target), (), ())
    begin = ("UPDATE", "DELETE", "INSERT", "ON CONFLICT", "WHERE", "SET CONSTRAINTS")
    lines = [line.lstrip() for line in forward.body.splitlines(keepends=True)]
    written = [line for line in lines if line.startswith(begin) and "relid" not in line]
    assert "".join(written) == WRITES
    # The source has no deferrable constraint.
    assert "SET CONSTRAINTS" not in backward.body
    assert " SET " not in forward.create()[0].as_string().partition("$rehome$")[0]
