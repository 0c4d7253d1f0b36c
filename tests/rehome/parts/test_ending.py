"""The SQL of an ending: it drops what is left of a move, or raises before it drops anything."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import Value
from django.db.models.functions import Lower
from django.db.utils import DatabaseError

from rehome import Move
from rehome.models import MoveRun, Phase
from rehome.moves import runner
from rehome.parts import ending
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.people import grant, may, permission, register

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
LEFT = """
SELECT relname::text FROM pg_class WHERE relname ~ '^(rehome_|old_)' AND relname <> 'rehome_moverun' UNION ALL
SELECT proname::text FROM pg_proc WHERE proname ~ '^rehome_' UNION ALL
SELECT tgname::text FROM pg_trigger WHERE tgname ~ '^rehome_' UNION ALL
SELECT conname::text FROM pg_constraint WHERE obj_description(oid, 'pg_constraint') ~ '^rehome' ORDER BY 1
"""
EVERYTHING = """
SELECT oid, relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace UNION ALL
SELECT oid, proname, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION ALL
SELECT oid, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1
"""


OURS: set[tuple[str]] = set()
"""Of the moves that the tests' database has."""


@pytest.fixture(autouse=True)
def known(lab: Lab) -> None:
    OURS.clear()
    OURS.update(lab.sql(LEFT))


@pytest.fixture
def things(lab: Lab) -> Lab:
    """Things with a parent and tags, notes about things; all but the tags move."""
    lab.model("rest.Tag", {})
    lab.twins(
        lambda app: {
            "name": models.CharField(max_length=20),
            "code": models.IntegerField(unique=True, null=True),
            "parent": models.ForeignKey("self", models.CASCADE, null=True),
            "tags": models.ManyToManyField("rest.Tag", related_name="+"),
        }
    )
    lab.model(
        "rest.Note",
        {
            "thing": models.ForeignKey("old.Thing", models.CASCADE),
            "code": models.ForeignKey("old.Thing", models.CASCADE, to_field="code", null=True, related_name="+"),
        },
    )
    return lab


def fill(lab: Lab) -> None:
    thing = lab.get("old.Thing").objects.create(name="lamp", code=1)
    thing.tags.add(lab.get("rest.Tag").objects.create())
    lab.get("rest.Note").objects.create(thing=thing, code=thing)


def ends_of(lab: Lab, table: str) -> set[str]:
    """What its foreign keys lead to."""
    found = "SELECT confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass"
    return {end for (end,) in lab.sql(found, [table])}


def left(lab: Lab) -> list[Any]:
    """The tests' own moves are live beside it."""
    return sorted(set(lab.sql(LEFT)) - OURS)


def end(lab: Lab, plan: Plan | None = None, *, last: bool = True) -> None:
    with transaction.atomic():
        lab.sql(ending.statement(plan or lab.plan(MOVE), last=last))


def refused(lab: Lab, plan: Plan) -> str:
    """What is said where nothing is dropped."""
    before = lab.sql(EVERYTHING)
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        lab.sql(ending.statement(plan, last=True))
    assert lab.sql(EVERYTHING) == before
    return str(raised.value)


def retired(lab: Lab) -> None:
    lab.forward(MOVE)
    lab.retire(MOVE)


def dropped(lab: Lab) -> None:
    retired(lab)
    runner.drop(MOVE, lab.apps, lab.connection)


def in_place(lab: Lab) -> None:
    lab.forward(Move("old.Thing", "new.Thing", in_place=True))


def moved_back_before(lab: Lab) -> None:
    lab.forward(MOVE)
    lab.back(MOVE)
    in_place(lab)


@pytest.mark.parametrize("way", [retired, dropped, in_place, moved_back_before])
def test_nothing_is_left_and_every_row_is_there(things: Lab, way: Any) -> None:
    fill(things)
    way(things)
    things.sql("INSERT INTO old_thing (name) VALUES ('by old code')")

    end(things)

    assert left(things) == []
    assert things.sql("SELECT name FROM new_thing ORDER BY id") == [("lamp",), ("by old code",)]
    assert things.sql("SELECT count(*) FROM new_thing_tags") == [(1,)]
    assert ends_of(things, "rest_note") == {"new_thing"}
    things.get("new.Thing").objects.create(name="by new code")
    things.get("new.Thing").objects.all()[2].delete()


def test_the_record_says_so_until_the_last_ending(things: Lab) -> None:
    fill(things)
    retired(things)
    plan = things.plan(MOVE)
    end(things, plan, last=False)
    run = Ledger("default").latest_named(str(MOVE))
    assert run
    assert run.phase == Phase.ENDED
    end(things, plan)
    MoveRun.objects.get(pk=run.pk)  # The tests' own moves are in it.


def test_a_second_time_it_changes_nothing(things: Lab) -> None:
    fill(things)
    retired(things)
    plan = things.plan(MOVE)
    end(things, plan)
    before = things.sql(EVERYTHING)
    end(things, plan)
    assert things.sql(EVERYTHING) == before


def test_a_new_database_has_an_empty_old_table_which_goes(things: Lab) -> None:
    plan = things.plan(MOVE)
    fields = {"thing": models.ForeignKey("old.Thing", models.CASCADE, null=True, db_constraint=True)}
    things.model("rest.Later", fields)

    end(things, plan)

    assert left(things) == []
    assert ends_of(things, "rest_note") == ends_of(things, "rest_later") == {"new_thing"}
    things.get("new.Thing").objects.create(name="first")


PARTS = """
ALTER TABLE old_thing ADD loud text GENERATED ALWAYS AS (upper(name)) STORED;
CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER told AFTER UPDATE OF code ON old_thing
   FOR EACH ROW WHEN (old.name IS DISTINCT FROM new.name) EXECUTE FUNCTION told();
CREATE POLICY own ON old_thing USING (code > 0);
CREATE INDEX partly ON old_thing (lower(name)) WHERE code > 0;
CREATE STATISTICS together ON name, code FROM old_thing;
CREATE RULE silent AS ON DELETE TO old_thing WHERE old.code = 7 DO ALSO SELECT 1
"""


def test_in_a_new_database_the_old_table_goes_with_all_its_parts(things: Lab) -> None:
    things.sql(PARTS)

    end(things)

    assert left(things) == []


def test_a_backup_from_before_the_move_is_refused(things: Lab) -> None:
    fill(things)
    said = refused(things, things.plan(MOVE))
    assert (
        "public.old_thing has rows, and old.Thing -> new.Thing has not run on this database. Nothing is dropped" in said
    )
    assert (
        "Run `manage.py migrate` and `manage.py retiremoves new.Thing` with the release before this migration" in said
    )


def test_a_table_that_only_a_many_to_many_field_has_filled_is_refused(things: Lab) -> None:
    plan = things.plan(MOVE)
    things.sql("INSERT INTO rest_tag DEFAULT VALUES")
    things.sql("SET session_replication_role = replica")
    things.sql("INSERT INTO old_thing_tags (thing_id, tag_id) VALUES (1, 1)")
    things.sql("SET session_replication_role = origin")
    assert "public.old_thing_tags has rows" in refused(things, plan)


def test_rows_that_policies_hide_are_not_dropped(things: Lab) -> None:
    fill(things)
    things.sql("ALTER TABLE old_thing ENABLE ROW LEVEL SECURITY")
    assert "has rows" in refused(things, things.plan(MOVE))


@pytest.mark.parametrize("rows", [True, False])
def test_a_live_move_is_refused(things: Lab, *, rows: bool) -> None:
    if rows:
        fill(things)
    things.forward(MOVE)
    said = refused(things, things.plan(MOVE))
    assert "old.Thing -> new.Thing is 'live' on this database, neither retired nor in place" in said
    assert "Run `manage.py retiremoves new.Thing` with the release before this migration." in said


def test_a_move_that_went_back_is_refused(things: Lab) -> None:
    fill(things)
    things.forward(MOVE)
    things.back(MOVE)
    said = refused(things, things.plan(MOVE))
    assert "is 'back' on this database" in said
    assert "Run `manage.py migrate` and `manage.py retiremoves new.Thing`" in said


def test_a_frozen_move_ends_once_its_old_table_is_gone(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.CharField(max_length=20), "more": models.TextField(null=True)})
    lab.model("new.Thing", {"name": models.CharField(max_length=20)})
    move = Move("old.Thing", "new.Thing", discard=["more"], irreversible=True)
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    lab.forward(move)
    plan = lab.plan(move)
    assert "Drop the old table, after a backup" in refused(lab, plan)

    lab.sql("DROP TABLE old_thing")
    end(lab, plan)

    assert left(lab) == []
    assert lab.sql("SELECT name FROM new_thing") == [("lamp",)]


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE VIEW report AS SELECT name FROM old_thing", "view public.report"),
        ("CREATE MATERIALIZED VIEW report AS SELECT name FROM old_thing", "view public.report"),
        ("CREATE FUNCTION named() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT name FROM old_thing; END", "function"),
        ("CREATE TABLE kept (thing old_thing)", "column thing of table public.kept"),
    ],
)
def test_what_still_uses_the_old_name_is_named(things: Lab, made: str, named: str) -> None:
    fill(things)
    retired(things)
    plan = things.plan(MOVE)
    things.sql(made)
    said = refused(things, plan)
    assert named in said
    assert "still use what old.Thing -> new.Thing has replaced. Nothing is dropped." in said


def test_a_view_and_a_table_of_somebody_else_stay(things: Lab) -> None:
    fill(things)
    retired(things)
    plan = things.plan(MOVE)
    things.sql("COMMENT ON VIEW old_thing IS 'for the accountants'")
    assert "old_thing is a view that old.Thing -> new.Thing has not made" in refused(things, plan)
    things.sql("DROP VIEW old_thing")
    things.sql("CREATE TABLE old_thing (id int)")
    assert "old_thing is a table, and old.Thing -> new.Thing is recorded as 'retired'" in refused(things, plan)


def test_a_record_that_somebody_else_has_made_is_not_believed(things: Lab) -> None:
    plan = things.plan(MOVE)
    things.sql("CREATE SCHEMA first")
    things.sql("CREATE VIEW first.rehome_moverun AS SELECT 1 AS id")
    things.sql("SET search_path = first, public")
    try:
        assert "is not the table in which rehome keeps its records" in refused(things, plan)
    finally:
        things.sql("RESET search_path")


def test_values_that_the_move_computes_leave_no_function(lab: Lab) -> None:
    lab.twins(lambda app: {"email": models.CharField(max_length=60), "note": models.CharField(max_length=60)})
    move = Move(
        "old.Thing", "new.Thing",
        fields={"email": Lower("email"), "note": Value("n")}, backwards={"email": "email", "note": Lower("note")},
        discard=["note"],
    )  # fmt: skip
    lab.forward(move)
    assert lab.sql("SELECT count(*) > 0 FROM pg_proc WHERE proname ^@ 'rehome_value_'") == [(True,)]
    lab.retire(move)
    end(lab, lab.plan(move))
    assert left(lab) == []


def test_odd_names_and_schemas_of_their_own(lab: Lab) -> None:
    for schema in ("here", "the.re"):
        lab.sql(f'CREATE SCHEMA "{schema}"')
    tables = {"old": '"here"."odd ""name % \'"', "new": '"the.re"."select"'}
    for app, table in tables.items():
        lab.model(f"{app}.Thing", {"name": models.CharField(max_length=20, db_column="a b's")}, db_table=table)
    lab.sql(f"""INSERT INTO {tables["old"]} ("a b's") VALUES ('lamp')""")
    lab.forward(MOVE)
    lab.retire(MOVE)
    end(lab, lab.plan(MOVE))
    assert left(lab) == []
    assert lab.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'here'::regnamespace") == [(0,)]
    assert lab.sql('SELECT count(*) FROM "the.re"."select"') == [(1,)]


def test_of_two_moves_one_ends_and_the_other_goes_on(things: Lab) -> None:
    other = Move("old.Other", "new.Other")
    things.twins(lambda app: {"thing": models.ForeignKey(f"{app}.Thing", models.CASCADE, null=True)}, name="Other")
    fill(things)
    things.sql("INSERT INTO old_other (thing_id) SELECT id FROM old_thing")
    things.forward(MOVE)
    things.forward(other)
    things.retire(other)

    end(things, things.plan(other))

    assert not [name for name in left(things) if "other" in name[0]]
    assert things.verify(MOVE).ok
    things.sql("INSERT INTO old_thing (name) VALUES ('by old code')")
    things.retire(MOVE)
    things.unretire(MOVE)
    assert things.verify(MOVE).ok
    assert things.sql("SELECT count(*) FROM new_other") == [(1,)]


def test_what_old_code_has_written_under_its_label_is_brought_over(things: Lab) -> None:
    register("old", "thing")
    tag = {"content_type": models.ForeignKey("contenttypes.ContentType", models.CASCADE), "label": models.TextField()}
    things.model("tags.Tag", tag, unique_together={("content_type", "label")})
    fill(things)
    retired(things)
    plan = things.plan(MOVE)
    label = (
        "INSERT INTO tags_tag (content_type_id, label) SELECT id, '{}' FROM django_content_type WHERE app_label = '{}'"
    )
    things.sql(label.format("bright", "old"))
    things.sql(label.format("bright", "new"))
    assert "Rows of tags_tag name both content types of old.Thing -> new.Thing" in refused(things, plan)

    things.sql(
        "DELETE FROM tags_tag WHERE content_type_id = (SELECT id FROM django_content_type WHERE app_label = 'new')"
    )
    end(things, plan)

    labels = "SELECT app_label FROM tags_tag t JOIN django_content_type c ON c.id = t.content_type_id"
    assert things.sql(labels) == [("new",)]


def test_permissions_that_both_labels_have_are_no_loss(lab: Lab) -> None:
    """As each move leaves them, for old code. What one label alone has is refused."""
    lab.model("old.Thing", {"name": models.CharField(max_length=20)})
    lab.model("new.Item", {"name": models.CharField(max_length=20)})
    move = Move("old.Thing", "new.Item")
    ann = User.objects.create(username="ann")
    register("old", "thing", "lend_thing")
    grant(ann, "old.change_thing", "old.lend_thing")
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    lab.forward(move)
    lab.retire(move)
    plan = lab.plan(move)
    assert may(ann) == {"old.change_thing", "old.lend_thing", "new.change_item", "new.lend_thing"}
    for named in ("new.change_item", "new.lend_thing"):
        ann.user_permissions.remove(permission(named))
        assert (
            "auth_user_user_permissions give permissions under the old label of old.Thing -> new.Item only"
            in refused(lab, plan)
        )
        grant(ann, named)

    end(lab, plan)

    assert left(lab) == []
    assert may(ann) >= {"new.change_item", "new.lend_thing"}


def test_it_waits_for_a_reader_and_nobody_waits_long_for_it(things: Lab) -> None:
    fill(things)
    retired(things)
    plan = things.plan(MOVE)
    reader = Client(things)
    try:
        reader.run("BEGIN")
        reader.run("SELECT FROM new_thing")
        few = ending.statement(plan, last=True).replace("1..30", "1..2").replace("= 30", "= 2")
        with pytest.raises(DatabaseError, match="lock timeout"), transaction.atomic():
            things.sql(few)
        reader.run("COMMIT")
    finally:
        reader.close()
    end(things, plan)
    assert left(things) == []
