"""What a move in place refuses, before anything is written: each difference that a name alone can't make up for."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import models
from django.db.models.functions import Lower

from rehome import Move
from rehome.errors import Refused
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

Refusal = Callable[..., str]
MOVE = Move("old.Thing", "new.Thing", in_place=True)


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=20, **options)


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": text(), "size": models.IntegerField(null=True)})
    lab.get("old.Thing").objects.create(name="lamp")
    return lab


# ----- the declaration


def test_online_and_in_place(lab: Lab) -> None:
    with pytest.raises(Refused, match="can't be both online and in place"):
        Move("old.Thing", "new.Thing", online=True, in_place=True)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"fields": {"name": Lower("name")}, "backwards": {"name": "name"}}, "fields names 'name'"),
        ({"backwards": {"name": "name"}}, "backwards names 'name'"),
        ({"discard": ["size"]}, "discard names 'size'"),
    ],
)
def test_what_would_change_a_value(things: Lab, refused: Refusal, options: dict, named: str) -> None:
    message = refused(Move("old.Thing", "new.Thing", in_place=True, **options))
    assert f"which changes no value, but {named}." in message
    assert message.endswith("or leave in_place=True out, so that the rows are copied.")


# ----- the columns


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (text(), models.CharField(max_length=30), "type is 'character varying(20)' here and 'character varying(30)'"),
        (text(), models.TextField(), "type is 'character varying(20)' here and 'text'"),
        (models.IntegerField(), models.BigIntegerField(), "type is 'integer' here and 'bigint'"),
        (text(), text(null=True), "null is False here and True"),
        (text(null=True), text(), "null is True here and False"),
        (text(), text(db_collation="C"), "collation is 'pg_catalog.\"default\"' here and 'pg_catalog.\"C\"'"),
        (
            models.GeneratedField(expression=Lower("size"), output_field=models.TextField(), db_persist=True),
            models.GeneratedField(expression=models.F("size"), output_field=models.TextField(), db_persist=True),
            "generated is 'lower(size)' here and 'size'",
        ),
    ],
)
def test_columns_that_differ(lab: Lab, refused: Refusal, source: Any, target: Any, said: str) -> None:
    lab.model("old.Thing", {"size": models.TextField(), "name": source})
    lab.model("new.Thing", {"size": models.TextField(), "name": target})
    message = refused(MOVE)
    assert message.startswith("public.old_thing.name and public.new_thing.name differ")
    assert said in message


def test_a_key_that_only_one_table_numbers(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"id": models.BigIntegerField(primary_key=True)})
    lab.model("new.Thing", {"id": models.BigAutoField(primary_key=True)})
    assert "numbered by a sequence is False here and True there" in refused(MOVE)


def test_a_column_that_only_the_target_has(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"name": text(), "more": models.IntegerField(null=True)})
    assert refused(MOVE).startswith("public.new_thing.more has no counterpart in public.old_thing.")


def test_a_column_that_only_the_source_has(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"name": text(), "more": models.IntegerField(null=True)})
    lab.model("new.Thing", {"name": text()})
    assert refused(MOVE).startswith("new.Thing has no field for old.Thing.more.")


def test_many_to_many_fields_that_only_the_target_has(lab: Lab, refused: Refusal) -> None:
    lab.model("labels.Tag", {})
    lab.model("old.Thing", {})
    lab.model("new.Thing", {"tags": models.ManyToManyField("labels.Tag")})
    assert refused(MOVE).startswith("new.Thing has 1 many-to-many field(s) that old.Thing lacks.")


# ----- the parts


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (
            {"indexes": [models.Index(fields=["-name"], name="by_name")]},
            'CREATE INDEX CONCURRENTLY ON "public"."old_thing" USING btree ("title" DESC)',
        ),
        (
            {"constraints": [models.UniqueConstraint(fields=["name"], condition=models.Q(size=1), name="one")]},
            'CREATE UNIQUE INDEX CONCURRENTLY ON "public"."old_thing" USING btree ("title") WHERE (size = 1)',
        ),
        ({"unique_together": {("name", "size")}}, 'ALTER TABLE "public"."old_thing" ADD UNIQUE ("title", "size")'),
        (
            {"constraints": [models.CheckConstraint(condition=~models.Q(name="name"), name="named")]},
            """ALTER TABLE "public"."old_thing" ADD CHECK ((NOT (("title")::text = 'name'::text)))""",
        ),
    ],
)
def test_what_the_target_alone_has_and_the_statement_that_makes_it(
    lab: Lab, refused: Refusal, options: dict, remedy: str
) -> None:
    lab.model("old.Thing", {"title": text(), "size": models.IntegerField()})
    lab.model("new.Thing", {"name": text(), "size": models.IntegerField()}, **options)
    move = Move("old.Thing", "new.Thing", fields={"name": "title"}, in_place=True)
    message = refused(move)
    assert message.startswith("public.new_thing has a constraint or an index that public.old_thing lacks. Give it to ")
    statement = message.partition("under any name: ")[2].removesuffix(".").replace("(size = 1)", '("size" = 1)')
    assert statement == remedy.replace("(size = 1)", '("size" = 1)')
    lab.sql(statement)
    lab.forward(move)
    assert lab.verify(move).ok


def test_a_foreign_key_that_the_source_lacks(lab: Lab, refused: Refusal) -> None:
    for app, constraint in (("old", False), ("new", True)):
        owner = models.ForeignKey(
            "auth.User", models.CASCADE, db_constraint=constraint, related_name=f"{app}_things", null=True
        )
        lab.model(f"{app}.Thing", {"owner": owner})
    message = refused(MOVE)
    added = 'ADD FOREIGN KEY ("owner_id") REFERENCES "public"."auth_user" ("id") DEFERRABLE INITIALLY DEFERRED.'
    assert message.endswith(f'ALTER TABLE "public"."old_thing" {added}')


def test_a_constraint_that_was_never_checked(things: Lab, refused: Refusal) -> None:
    things.sql("ALTER TABLE old_thing ADD CONSTRAINT small CHECK (size < 3) NOT VALID")
    assert "Run ALTER TABLE public.old_thing VALIDATE CONSTRAINT small first." in refused(MOVE)


@pytest.mark.parametrize(
    "share",
    ["ALTER SEQUENCE counter OWNED BY NONE", "CREATE TABLE other (id bigint DEFAULT nextval('counter'))"],
)
def test_a_sequence_that_is_not_the_columns_own(things: Lab, refused: Refusal, share: str) -> None:
    things.sql("ALTER TABLE old_thing ALTER id DROP IDENTITY; CREATE SEQUENCE counter OWNED BY old_thing.id")
    things.sql(f"ALTER TABLE old_thing ALTER id SET DEFAULT nextval('counter'); {share}")
    assert "public.old_thing.id draws from the sequence public.counter, which is not its own alone." in refused(MOVE)


def test_a_trigger_that_reads_a_column_by_its_old_name(lab: Lab, refused: Refusal) -> None:
    lab.model("old.Thing", {"title": text()})
    lab.model("new.Thing", {"name": text()})
    lab.sql(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN new.title := upper(new.title); RETURN new; END $$"
    )
    lab.sql("CREATE TRIGGER loud BEFORE INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION shout()")
    message = refused(Move("old.Thing", "new.Thing", fields={"name": "title"}, in_place=True))
    assert "The trigger 'loud' of public.old_thing names the column 'title' in its function" in message


# ----- the twin


def test_a_twin_with_rows(things: Lab, refused: Refusal) -> None:
    things.get("new.Thing").objects.create(name="early")
    assert refused(MOVE).startswith("public.new_thing is not empty.")


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE VIEW bright AS SELECT * FROM new_thing", "view public.bright depends on public.new_thing"),
        ("CREATE FUNCTION f() RETURNS SETOF new_thing LANGUAGE sql AS 'SELECT 1'", "function public.f() depends on"),
        ("CREATE POLICY p ON new_thing USING (true)", "policy p depends on public.new_thing"),
        ("CREATE STATISTICS s ON name, size FROM new_thing", "statistics s depends on public.new_thing"),
        ("CREATE PUBLICATION pub FOR TABLE new_thing", "publication pub sends what is written to public.new_thing"),
        ("CREATE RULE r AS ON DELETE TO new_thing DO INSTEAD NOTHING", "public.new_thing has the rule 'r'"),
        ("ALTER TABLE new_thing ENABLE ROW LEVEL SECURITY", "public.new_thing has row-level security"),
    ],
)
def test_what_would_be_gone_with_the_twin(things: Lab, refused: Refusal, statement: str, named: str) -> None:
    if "SETOF" in statement:
        things.sql("SET check_function_bodies = off")
    things.sql(statement)
    assert named in refused(MOVE)


def test_a_trigger_of_one_name_on_both(things: Lab, refused: Refusal) -> None:
    for table in ("old_thing", "new_thing"):
        called = "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        things.sql(f"CREATE TRIGGER t BEFORE UPDATE ON {table} FOR EACH ROW {called}")
    message = refused(MOVE)
    assert message.startswith(
        "public.old_thing and public.new_thing both have a trigger 't', and a table can have only"
    )
    assert "Run DROP TRIGGER t ON public.new_thing first: that of public.old_thing stays with the table." in message


# ----- places and rights


def test_two_schemas(things: Lab, refused: Refusal) -> None:
    things.sql("CREATE SCHEMA elsewhere; ALTER TABLE old_thing SET SCHEMA elsewhere")
    things.sql("SET search_path = public, elsewhere")
    try:
        assert refused(MOVE).startswith("elsewhere.old_thing and public.new_thing are in two schemas.")
    finally:
        things.sql("RESET search_path")


def test_two_owners(things: Lab, refused: Refusal, make_role: Callable[[str], str]) -> None:
    owner = make_role("owner")
    things.sql(f'ALTER TABLE old_thing OWNER TO "{owner}"')
    assert refused(MOVE).startswith(f"public.old_thing belongs to '{owner}', and public.new_thing to")


def test_an_owner_who_may_not_create_views(things: Lab, refused: Refusal, make_role: Callable[[str], str]) -> None:
    owner = make_role("owner")
    things.sql(f'ALTER TABLE old_thing OWNER TO "{owner}"; ALTER TABLE new_thing OWNER TO "{owner}"')
    message = refused(MOVE)
    assert f"The owner '{owner}' of public.new_thing may not create views in schema public." in message


def test_single_columns_and_policies(things: Lab, refused: Refusal, make_role: Callable[[str], str]) -> None:
    things.sql(
        f'ALTER TABLE old_thing ENABLE ROW LEVEL SECURITY; GRANT SELECT (name) ON old_thing TO "{make_role("c")}"'
    )
    assert "no view could keep both" in refused(MOVE)


def test_a_model_whose_other_end_has_not_moved(things: Lab, refused: Refusal) -> None:
    for app in ("old", "new"):
        owner = models.ForeignKey(f"{app}.Thing", models.CASCADE)
        things.model(f"{app}.Part", {"thing": owner})
    move = Move("old.Part", "new.Part", in_place=True)
    assert "the rows of old.Thing have not been moved there. Move old.Thing to new.Thing first" in refused(move)


# ----- the way back


def test_back_with_a_view_that_reads_the_old_name(things: Lab, refused: Refusal) -> None:
    things.forward(MOVE)
    things.sql("CREATE VIEW bright AS SELECT name FROM old_thing")
    assert (
        refused(MOVE, back=True) == "view public.bright depends on public.old_thing, which is dropped. Drop it first."
    )
    things.sql("DROP VIEW bright")
    things.back(MOVE)


def test_back_with_rows_that_point_at_the_new_model(things: Lab, refused: Refusal) -> None:
    things.forward(MOVE)
    part = things.model("new.Part", {"thing": models.ForeignKey("new.Thing", models.CASCADE)})
    part.objects.create(thing_id=1)
    message = refused(MOVE, back=True)
    assert message.startswith("public.new_part.thing_id still points at rows 1 of public.new_thing.")
    part.objects.all().delete()
    things.back(MOVE)
    things.forward(MOVE)
    assert things.verify(MOVE).ok


def test_back_where_the_name_is_taken(things: Lab, refused: Refusal) -> None:
    things.forward(MOVE)
    things.sql("DROP VIEW old_thing; CREATE TABLE old_thing (id bigint PRIMARY KEY, name text, size integer)")
    assert refused(MOVE, back=True).startswith("public.old_thing is no view of public.new_thing")


BODIES = {
    "nothing": ("new.id := new.id", ""),
    "another table's column": ("PERFORM name FROM (SELECT 1 AS name) AS another", ""),
    "a column of the row": ("new.name := upper(new.name)", "the column 'name'"),
    "a column by a text": ("PERFORM to_jsonb(new) ->> 'name'", "the column 'name'"),
    "the table": ("UPDATE new_thing SET id = id WHERE false", "the table public.new_thing"),
}


@pytest.mark.parametrize("body", BODIES)
def test_back_with_a_trigger_that_was_created_for_the_names_of_now(lab: Lab, refused: Refusal, body: str) -> None:
    """PostgreSQL itself renames the column in the trigger's condition and in UPDATE OF."""
    lab.model("old.Thing", {"title": text()})
    lab.model("new.Thing", {"name": text()})
    move = Move("old.Thing", "new.Thing", fields={"name": "title"}, in_place=True)
    lab.forward(move)
    statement, named = BODIES[body]
    lab.sql(f"CREATE FUNCTION made() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN new; END $$")
    lab.sql(
        "CREATE TRIGGER later BEFORE UPDATE OF name ON new_thing FOR EACH ROW WHEN (new.name <> 'x') "
        "EXECUTE FUNCTION made()"
    )
    if named:
        assert f"The trigger 'later' of public.new_thing names {named} in its function" in refused(move, back=True)
        lab.sql("DROP TRIGGER later ON new_thing")
    lab.back(move)
    lab.sql("INSERT INTO old_thing (title) VALUES ('a'); UPDATE old_thing SET title = 'b'")
    assert lab.sql("SELECT title FROM old_thing") == [("b",)]
