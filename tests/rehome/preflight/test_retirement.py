"""What keeps an old table from being retired, and what a table keeps through it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import ProgrammingError, models, transaction

from rehome import Move
from rehome.errors import MoveFailed, Refused
from rehome.moves import runner
from tests.database import dump
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")


def text(**options: Any) -> models.CharField:
    return models.CharField(max_length=60, **options)


@pytest.fixture
def live(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": text(), "code": models.IntegerField(unique=True)})
    lab.get("old.Thing").objects.create(name="one", code=1)
    lab.forward(MOVE)
    return lab


@pytest.mark.parametrize(
    ("obstacle", "said"),
    {
        "view": ("CREATE VIEW seen AS SELECT id FROM old_thing", "because the view public.seen depends"),
        "materialized view": (
            "CREATE MATERIALIZED VIEW seen AS TABLE old_thing",
            "because the view public.seen depends",
        ),
        "function": (
            "CREATE FUNCTION counted() RETURNS bigint LANGUAGE SQL BEGIN ATOMIC SELECT count(*) FROM old_thing; END",
            r"because function public.counted\(\) depends",
        ),
        "function over rows": (
            "CREATE FUNCTION named(old_thing) RETURNS text LANGUAGE SQL AS 'SELECT $1.name'",
            r"because function public.named\(public.old_thing\) depends",
        ),
        "column of rows": (
            "CREATE TABLE kept (thing old_thing[])",
            "because column thing of table public.kept depends",
        ),
        "policy": (
            "CREATE TABLE kept (id int); CREATE POLICY seen ON kept USING (id IN (SELECT id FROM old_thing))",
            "because policy seen on table public.kept depends",
        ),
        "rule": ("CREATE RULE mine AS ON DELETE TO old_thing DO ALSO NOTIFY gone", "has the rule 'mine'"),
        "policies": ("ALTER TABLE old_thing ENABLE ROW LEVEL SECURITY", "has row-level security"),
        "a target that a crash empties": (
            "ALTER TABLE new_thing SET UNLOGGED",
            "new_thing is unlogged, and a crash of the server would empty it",
        ),
        "heir": ("CREATE TABLE heir () INHERITS (old_thing)", "is part of an inheritance tree"),
        "key to what an index alone makes unique": (
            "CREATE UNIQUE INDEX ON old_thing (name); CREATE TABLE kept (name varchar REFERENCES old_thing (name))",
            "points at name of public.old_thing, and public.new_thing has no such unique columns",
        ),
        "another move": (
            "CREATE FUNCTION rehome_forward_0123456789ab() RETURNS trigger "
            "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER rehome_forward_0123456789ab AFTER INSERT ON old_thing FOR EACH ROW "
            "EXECUTE FUNCTION rehome_forward_0123456789ab()",
            "is part of another move too",
        ),
    }.values(),
)
def test_what_a_view_can_not_replace_is_refused(live: Lab, obstacle: str, said: str) -> None:
    for statement in obstacle.split(";") if "BEGIN" not in obstacle else [obstacle]:
        live.sql(statement)
    before = dump(live.alias)
    with pytest.raises(Refused, match=said):
        live.retire(MOVE)
    assert dump(live.alias) == before


def test_a_trigger_that_was_created_after_the_move_fires_once_the_table_is_retired(live: Lab) -> None:
    live.sql(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN new.name := upper(new.name); RETURN new; END $$"
    )
    live.sql("CREATE TRIGGER mine BEFORE INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION shout()")
    live.forward(MOVE)  # Until then verifymoves says that nothing takes over what the trigger makes of a carried row.
    live.retire(MOVE)
    live.sql("INSERT INTO old_thing (name, code) VALUES ('two', 2)")
    assert live.sql("SELECT name FROM new_thing ORDER BY code") == [("one",), ("TWO",)]


@pytest.mark.parametrize("way", [runner.unretire, runner.drop])
def test_a_move_that_is_not_retired_can_not_be_unretired(lab: Lab, way: Callable[..., None]) -> None:
    lab.twins(lambda app: {"name": text()})
    with pytest.raises(Refused, match="is not retired on database 'default': it never ran here"):
        way(MOVE, lab.apps, lab.connection)


def test_a_move_that_was_rolled_back_is_not_retired(live: Lab) -> None:
    live.back(MOVE)
    with pytest.raises(Refused, match="is not live on database 'default': its phase is 'back'"):
        live.retire(MOVE)


def test_a_table_of_somebody_else_that_points_here_is_named(live: Lab, make_role: Callable[[str], str]) -> None:
    owner, stranger = make_role("owner"), make_role("stranger")
    for name in ("old_thing", "new_thing", "rehome_moverun"):
        live.sql(f'ALTER TABLE {name} OWNER TO "{owner}"')
    live.sql(f'GRANT ALL ON SCHEMA public TO "{owner}", "{stranger}"')
    live.sql(f'GRANT REFERENCES ON old_thing TO "{stranger}"')
    live.sql(f'SET ROLE "{stranger}"')
    live.sql("CREATE TABLE theirs (thing bigint REFERENCES old_thing)")
    live.sql("RESET ROLE")
    try:
        live.sql(f'SET ROLE "{owner}"')
        with pytest.raises(Refused, match="theirs belongs to"):
            live.retire(MOVE)
    finally:
        live.sql("RESET ROLE")
        ((admin,),) = live.sql("SELECT current_user")
        live.sql(f'ALTER TABLE rehome_moverun OWNER TO "{admin}"')


def test_a_trigger_that_is_gone_at_the_last_moment_stops_it(live: Lab) -> None:
    def sabotage(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        if statement.startswith("DO ") and " is missing." in statement:
            execute("ALTER TABLE public.new_thing DISABLE TRIGGER USER", None, False, context)
        return execute(statement, params, many, context)

    with (
        live.connection.execute_wrapper(sabotage),
        pytest.raises(MoveFailed, match="A trigger between public.old_thing and public.new_thing is missing"),
    ):
        live.retire(MOVE)
    assert live.verify(MOVE).ok


def test_foreign_keys_keep_their_definition(live: Lab) -> None:
    live.sql('CREATE SCHEMA "Other"')
    live.sql(
        'CREATE TABLE "Other"."Odd (x)" ("Thing" bigint CONSTRAINT "by id" REFERENCES old_thing ON DELETE CASCADE, '
        'code int CONSTRAINT "by code" REFERENCES old_thing (code) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE)'
    )
    live.sql(
        'ALTER TABLE "Other"."Odd (x)" ADD CONSTRAINT late FOREIGN KEY (code) REFERENCES old_thing (code) NOT VALID'
    )
    live.sql('INSERT INTO "Other"."Odd (x)" VALUES (1, 1)')
    before = dump(live.alias, without_data=["rehome_moverun"])
    live.retire(MOVE)
    live.sql("UPDATE old_thing SET code = 2")
    assert live.sql('SELECT * FROM "Other"."Odd (x)"') == [(1, 2)]
    live.sql("UPDATE old_thing SET code = 1")
    live.unretire(MOVE)
    assert dump(live.alias, without_data=["rehome_moverun"]) == before
    live.retire(MOVE)
    live.sql("DELETE FROM old_thing")
    assert live.sql('SELECT * FROM "Other"."Odd (x)"') == []


def test_a_foreign_key_that_somebody_re_pointed_stays_where_it_is(live: Lab) -> None:
    live.sql("CREATE TABLE kept (thing bigint CONSTRAINT mine REFERENCES old_thing)")
    live.retire(MOVE)
    live.sql("ALTER TABLE kept DROP CONSTRAINT mine, ADD CONSTRAINT mine FOREIGN KEY (thing) REFERENCES new_thing")
    live.unretire(MOVE)
    found = "SELECT confrelid::regclass::text FROM pg_constraint WHERE conname = 'mine'"
    assert live.sql(found) == [("new_thing",)]


def test_what_was_granted_and_revoked_on_the_view_is_on_the_table_afterwards(
    lab: Lab, make_role: Callable[[str], str]
) -> None:
    """A right that neither table gives is nobody's."""
    reader, writer, stranger = make_role("reader"), make_role("writer"), make_role("stranger")
    lab.twins(lambda app: {"name": text()})
    lab.sql(f'GRANT SELECT, DELETE ON old_thing TO "{reader}"')
    lab.forward(MOVE)
    lab.retire(MOVE)
    lab.sql(f'REVOKE DELETE ON old_thing FROM "{reader}"')
    lab.sql(f'GRANT INSERT ON old_thing TO "{writer}", "{stranger}"; GRANT INSERT ON new_thing TO "{writer}"')
    lab.unretire(MOVE)
    held = "SELECT has_table_privilege(%s, 'old_thing', %s)"
    wanted = {
        (reader, "SELECT"): True, (reader, "DELETE"): False, (writer, "INSERT"): True, (writer, "SELECT"): False,
        (stranger, "INSERT"): False,
    }  # fmt: skip
    assert {question: lab.sql(held, list(question))[0][0] for question in wanted} == wanted


def test_a_role_that_got_rights_after_the_move_can_still_use_the_old_name(
    live: Lab, make_role: Callable[[str], str]
) -> None:
    late = make_role("late")
    live.sql(f'GRANT SELECT, UPDATE ON old_thing TO "{late}"')
    live.retire(MOVE)
    with transaction.atomic():
        live.sql(f'SET LOCAL ROLE "{late}"')
        live.sql("UPDATE old_thing SET name = 'mine'")
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            live.sql("DELETE FROM old_thing")
    live.unretire(MOVE)
    live.back(MOVE)
    assert live.sql("SELECT has_table_privilege(%s, 'new_thing', 'SELECT')", [late]) == [(False,)]


def test_a_sequence_that_only_the_old_table_had_is_kept_without_it(lab: Lab) -> None:
    lab.model("old.Thing", {"id": models.BigIntegerField(primary_key=True), "name": text()})
    lab.model("new.Thing", {"id": models.BigIntegerField(primary_key=True), "name": text()})
    lab.sql("CREATE SEQUENCE numbers OWNED BY old_thing.id")
    lab.sql("ALTER TABLE old_thing ALTER id SET DEFAULT nextval('numbers')")
    lab.forward(MOVE)
    lab.sql("INSERT INTO old_thing (name) VALUES ('one')")
    lab.retire(MOVE)
    lab.sql("INSERT INTO old_thing (name) VALUES ('two')")
    runner.drop(MOVE, lab.apps, lab.connection)
    assert lab.sql("INSERT INTO old_thing (name) VALUES ('three') RETURNING id") == [(3,)]
    lab.sql("DROP VIEW old_thing")
    assert lab.sql("SELECT to_regclass('numbers')") == [(None,)]


def test_a_way_back_that_is_refused_leaves_the_move_retired(lab: Lab) -> None:
    lab.model("old.Thing", {"name": text()})
    lab.model("new.Thing", {"name": text(), "note": text(null=True)})
    lab.forward(MOVE)
    lab.retire(MOVE)
    lab.get("new.Thing").objects.create(name="one", note="only here")
    before = dump(lab.alias)
    with pytest.raises(Refused, match="note has values that public.old_thing can't hold"):
        lab.back(MOVE)
    assert dump(lab.alias) == before
