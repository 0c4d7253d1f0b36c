"""The functions of the triggers: who calls them, what their names mean, and as whom and how others' code is run."""

import copy
from collections.abc import Callable

import psycopg
import pytest
from django.db import models
from django.db.models import F, Func
from django.db.models.functions import Cast, Concat, Lower

from rehome import Move
from rehome.parts import sync
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.rehome.support.trio import ALONE, MOVE, SIDES, Trio

pytestmark = pytest.mark.server

Open = Callable[..., Client]

WRITES = """
    INSERT INTO public.{t} (id, name) VALUES (31, 'x')
    INSERT INTO public.{t} (id, name) VALUES (31, 'y') ON CONFLICT (id) DO UPDATE SET name = excluded.name
    UPDATE public.{t} SET name = 'y', code = code OPERATOR(pg_catalog.+) 1000 WHERE id OPERATOR(pg_catalog.<) 9
    UPDATE public.{t} SET id = id OPERATOR(pg_catalog.+) 50 WHERE id OPERATOR(pg_catalog.>) 25
    UPDATE public.{t} SET place = 21 OPERATOR(pg_catalog.-) place
    WITH gone AS (DELETE FROM public.{t} WHERE id OPERATOR(pg_catalog.=) 1 RETURNING id)
      UPDATE public.{t} AS it SET id = gone.id FROM gone WHERE it.id OPERATOR(pg_catalog.=) 2
    WITH gone AS (DELETE FROM public.{t} WHERE id OPERATOR(pg_catalog.=) 3 RETURNING *)
      INSERT INTO public.{t} SELECT * FROM gone
    BEGIN ISOLATION LEVEL SERIALIZABLE
    UPDATE public.{t} SET note = 'x' WHERE id OPERATOR(pg_catalog.=) 5
    DELETE FROM public.{t} WHERE id OPERATOR(pg_catalog.=) 6
    COMMIT
    DELETE FROM public.{t} WHERE id OPERATOR(pg_catalog.<) 5
    TRUNCATE public.{t}
"""
# Whatever PostgreSQL has of these names, with the same arguments and results.
FUNCTIONS = """
SELECT format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS $$ BEGIN RAISE ''captured''; END $$',
              proname, pg_get_function_identity_arguments(oid), pg_get_function_result(oid))
  FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
   AND proname IN ('set_config', 'current_setting', 'nextval', 'pg_try_advisory_lock_shared', 'pg_relation_size',
                   'char_length', 'repeat', 'row_security_active', 'lower', 'upper')
   AND pg_get_function_identity_arguments(oid) !~ 'any|VARIADIC'
"""
OPERATORS = """
SELECT format('CREATE OPERATOR hostile.%s (FUNCTION = hostile.captures_%s, LEFTARG = %s, RIGHTARG = %s)', o.oprname,
              row_number() OVER (), o.oprleft::regtype, o.oprright::regtype),
       format('CREATE FUNCTION hostile.captures_%s(%s, %s) RETURNS %s LANGUAGE plpgsql '
              'AS $$ BEGIN RAISE ''captured''; END $$',
              row_number() OVER (), o.oprleft::regtype, o.oprright::regtype, o.oprresult::regtype)
  FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b' AND o.oprcode::oid <> 0
   AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '+', '-', '*=', '*<>')
   AND o.oprleft::regtype::text !~ 'any' AND o.oprright::regtype::text !~ 'any'
"""
TYPES = (
    "text",
    "record",
    "regclass",
    "regprocedure",
    "bool",
    "int8",
    "int4",
    "varchar",
    "name",
    "oid",
    "jsonb",
    "uuid",
)


@pytest.fixture
def hostile(lab: Lab) -> Callable[[], str]:
    """Make a schema in which each function, operator and type that a trigger might use raises an error."""

    def make() -> str:
        lab.sql("CREATE SCHEMA hostile")
        for (function,) in lab.sql(FUNCTIONS):
            lab.sql(function)
        for operator, function in lab.sql(OPERATORS):
            lab.sql(function)
            lab.sql(operator)
        for name in TYPES:
            lab.sql(f"CREATE DOMAIN hostile.{name} AS pg_catalog.point CHECK (false)")
        for table in (*SIDES, "pg_trigger", "pg_constraint", "pg_class", "pg_namespace"):
            lab.sql(f"CREATE TABLE hostile.{table} (nothing pg_catalog.int4)")
        return "hostile, pg_catalog, public"

    return make


@pytest.mark.parametrize("definer", [False, True], ids=["invoker", "definer"])
@pytest.mark.parametrize("side", SIDES)
def test_no_object_earlier_in_the_search_path_is_used(
    lab: Lab, open_client: Open, hostile: Callable[[], str], make_role: Callable[[str], str], side: str, definer: bool
) -> None:
    trio = Trio(lab)
    if definer:
        lab.sql(f'GRANT INSERT ON old_thing TO "{make_role("partial")}"')
    lab.forward(MOVE)
    assert {trigger.users is None for trigger in sync.wanted(lab.plan(MOVE)) if trigger.each == "ROW"} == {definer}
    alone, client = open_client(), open_client()
    client.run(f"SET search_path = {hostile()}")
    trio.reset()
    expected = alone.play(WRITES, ALONE)
    assert expected[:-1] == [1, 1, 8, 1, 21, 1, 1, -1, 1, 1, -1, 3]
    assert client.play(WRITES, side) == [*expected[:-1], "55000"]
    client.run(f"TRUNCATE {', '.join(f'public.{table}' for table in SIDES)}")
    assert lab.sql("SELECT FROM old_thing") == lab.sql("SELECT FROM new_thing") == []


def test_what_a_move_computes_is_computed_in_the_names_of_the_move(
    lab: Lab, open_client: Open, hostile: Callable[[], str]
) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "size": models.IntegerField()})
    fields = {"name": models.TextField(), "label": models.CharField(max_length=40)}
    lab.model("new.Thing", {**fields, "size": models.IntegerField(), "extra": models.JSONField(default=dict)})
    label = Concat(Lower("name"), Cast("size", models.TextField()))
    move = Move("old.Thing", "new.Thing", fields={"label": label})
    lab.forward(move)
    client = open_client()
    client.run(f"SET search_path = {hostile()}")
    assert client.play("INSERT INTO public.{t} (name, size) VALUES ('Lamp', 3), ('DESK', 4)", "old_thing") == [2]
    assert client.play("UPDATE public.{t} SET name = 'Chair' WHERE size OPERATOR(pg_catalog.=) 4", "old_thing") == [1]
    assert client.play("UPDATE public.{t} SET name = 'Stool' WHERE size OPERATOR(pg_catalog.=) 4", "new_thing") == [1]
    assert lab.sql("SELECT name, label, extra FROM new_thing ORDER BY id") == [
        ("Lamp", "lamp3", "{}"),
        ("Stool", "stool4", "{}"),
    ]
    assert lab.sql("SELECT name FROM old_thing ORDER BY id") == [("Lamp",), ("Stool",)]
    lab.sql("DROP SCHEMA hostile CASCADE")
    lab.back(move)
    assert lab.sql("SELECT proname FROM pg_proc WHERE proname ^@ 'rehome_value'") == []


@pytest.mark.parametrize("definer", [False, True], ids=["invoker", "definer"])
def test_a_view_under_the_old_name_uses_no_object_earlier_in_the_search_path(
    lab: Lab, open_client: Open, hostile: Callable[[], str], make_role: Callable[[str], str], definer: bool
) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "size": models.IntegerField()})
    lab.model("new.Thing", {"name": models.TextField(), "height": models.IntegerField()})
    fields, backwards = {"height": F("size") + 1}, {"size": F("height") - 1}
    move = Move("old.Thing", "new.Thing", fields=fields, backwards=backwards)
    if definer:
        lab.sql(f'GRANT INSERT ON old_thing TO "{make_role("partial")}"')
    lab.sql("INSERT INTO old_thing (name, size) VALUES ('lamp', 1), ('desk', 2)")
    lab.forward(move)
    lab.retire(move)
    [(function, is_definer)] = lab.sql("SELECT proname, prosecdef FROM pg_proc WHERE proname ~ '^rehome_view_'")
    assert is_definer == definer
    client = open_client()
    client.run(f"SET search_path = {hostile()}")
    writes = """
        INSERT INTO public.{t} (name, size) VALUES ('chair', 3)
        UPDATE public.{t} SET size = 7, name = 'stool' WHERE name OPERATOR(pg_catalog.=) 'chair'
        DELETE FROM public.{t} WHERE name OPERATOR(pg_catalog.=) 'lamp'
    """
    assert client.play(writes, "old_thing") == [1, 1, 1]
    assert lab.sql("SELECT name, height FROM new_thing ORDER BY 1") == [("desk", 3), ("stool", 8)]
    client.run("CREATE TEMPORARY VIEW mine AS SELECT * FROM public.new_thing")
    client.run(f"CREATE TRIGGER t INSTEAD OF INSERT ON mine FOR EACH ROW EXECUTE FUNCTION public.{function}()")
    with pytest.raises(
        psycopg.errors.InsufficientPrivilege, match="serves the trigger of that name on public.old_thing"
    ):
        client.run("INSERT INTO mine (name) VALUES ('forged')")
    lab.sql("DROP SCHEMA hostile CASCADE")


# ----- who calls


FORWARD = (
    "SELECT tgname FROM pg_trigger WHERE tgrelid = 'old_thing'::regclass AND tgname ~ '^rehome_forward_[0-9a-f]+$'"
)
MISUSES = {
    "on a table of one's own": "CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {f}()",
    "before": "CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION {f}()",
    "for a statement": "CREATE TRIGGER t AFTER INSERT ON mine FOR EACH STATEMENT EXECUTE FUNCTION {f}()",
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_function_serves_no_trigger_of_anybody_elses(trio: Trio, lab: Lab, open_client: Open, misuse: str) -> None:
    client = open_client()
    for (function,) in lab.sql("SELECT proname FROM pg_proc WHERE proname ~ '^rehome_(forward|backward)_[0-9a-f]+$'"):
        client.run("CREATE TEMPORARY TABLE mine (LIKE public.old_thing)")
        client.run(MISUSES[misuse].format(f=f"public.{function}"))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="serves the trigger of that name on public"):
            client.run("INSERT INTO mine (id, name) VALUES (1, 'forged')")
        client.run("DROP TABLE mine")
    assert trio.agrees()


def test_a_second_trigger_on_the_table_itself_serves_nobody_before_the_row_is_written(trio: Trio, lab: Lab) -> None:
    [(function,)] = lab.sql(FORWARD)
    lab.sql(f"CREATE TRIGGER t BEFORE INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION {function}()")
    with pytest.raises(Exception, match="serves the trigger of that name on public.old_thing, and no other"):
        lab.sql("INSERT INTO old_thing (name) VALUES ('x')")


# ----- what a carried write sets off

SEEN = """
CREATE TABLE seen (told text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO seen SELECT string_agg(name || '=' || setting, ', ' ORDER BY name) FROM pg_settings
                     WHERE name !~ '^(rehome[.]|transaction_)';
  INSERT INTO seen VALUES (current_user || ' ' || session_user || ' ' || current_schemas(true)::text);
  RETURN new; END $$;
"""


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_it_runs_as_the_writer_under_every_setting_of_the_writer(
    lab: Lab, open_client: Open, make_role: Callable[[str], str], when: str
) -> None:
    role = make_role("writer")
    trio = Trio(lab)
    lab.sql(SEEN)
    lab.sql(
        f'GRANT ALL ON seen, old_thing, one_thing TO "{role}"; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO "{role}"'
    )
    lab.forward(MOVE)
    trio.reset()
    for table in ("new_thing", ALONE):
        lab.sql(f"CREATE TRIGGER told {when} INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION tell()")
    client = open_client(role=role, search_path="public, pg_temp", timezone="Asia/Tokyo", datestyle="German")
    told = {}
    for table in ("old_thing", ALONE):
        client.run(f"INSERT INTO {table} (name) VALUES ('x')")
        client.run(f"UPDATE {table} SET name = 'y', id = id + 500 WHERE name = 'x'")
        told[table] = lab.sql("SELECT told FROM seen")
        lab.sql("TRUNCATE seen")
    assert told["old_thing"] == told[ALONE]
    assert len(told[ALONE]) == 4
    assert trio.agrees()


def test_a_trigger_and_a_check_that_need_the_search_path_work_on_both_sides(lab: Lab) -> None:
    lab.twins(lambda app: {"title": models.TextField()})
    lab.sql("CREATE FUNCTION long_enough(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) > 0'")
    lab.sql("CREATE FUNCTION good_title(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT long_enough($1)'")
    for table in SIDES:
        lab.sql(f"ALTER TABLE {table} ADD CHECK (good_title(title))")
    lab.forward(MOVE)
    lab.sql("CREATE TABLE audit (what text)")
    lab.sql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO audit VALUES (new.title); RETURN new; END $$"
    )
    lab.sql("CREATE TRIGGER note BEFORE INSERT OR UPDATE ON new_thing FOR EACH ROW EXECUTE FUNCTION note()")
    for table in SIDES:
        lab.sql(f"INSERT INTO {table} (title) VALUES ('{table}')")
    assert lab.sql("SELECT what FROM audit") == [("old_thing",), ("new_thing",)]
    # A trigger that may change a row is answered by one of the move's, which the next `migrate` makes.
    lab.forward(MOVE)
    assert lab.verify(MOVE).ok


# ----- what an error says


@pytest.mark.parametrize("definer", [False, True], ids=["invoker", "definer"])
def test_an_error_shows_nothing_that_the_writer_may_not_read(
    lab: Lab, open_client: Open, make_role: Callable[[str], str], definer: bool
) -> None:
    role = make_role("writer")
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField(), "secret": models.TextField(default="xyzzy")})
    move = Move("old.Thing", "new.Thing", discard=["secret"])
    if definer:
        lab.sql(f'GRANT INSERT, UPDATE (name) ON old_thing TO "{role}"')
    else:
        lab.sql(f'GRANT ALL ON old_thing TO "{role}"')
    lab.forward(move)
    lab.sql("ALTER TABLE new_thing ADD CONSTRAINT short CHECK (length(name) < 9)")
    client = open_client(role=role)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        client.run("INSERT INTO old_thing (name) VALUES ('very long, indeed')")
    assert refused.value.diag.constraint_name == "short"
    assert "xyzzy" in str(refused.value) if not definer else "xyzzy" not in str(refused.value)
    assert refused.value.diag.message_primary == 'new row for relation "new_thing" violates check constraint "short"'


QUOTING = {
    "a number": Cast("secret", models.BigIntegerField()),
    "a date": Cast("secret", models.DateField()),
    "what a search looks for": Func("secret", function="to_tsquery", output_field=models.TextField()),
    "a function of the project's": Func("secret", function="public.read_code", output_field=models.BigIntegerField()),
}


@pytest.mark.parametrize("kind", QUOTING)
def test_what_can_not_be_computed_is_not_quoted_to_who_may_not_read_it(
    lab: Lab, open_client: Open, make_role: Callable[[str], str], kind: str
) -> None:
    """Not in the message either, through the table and through the view; whoever owns the table is told."""
    lab.sql(
        "CREATE FUNCTION public.read_code(text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN RETURN $1::bigint; END $$"
    )
    role = make_role("writer")
    lab.model("old.Thing", {"name": models.TextField(), "secret": models.TextField()})
    type_ = models.BigIntegerField if kind in {"a number", "a function of the project's"} else models.TextField
    type_ = models.DateField if kind == "a date" else type_
    lab.model("new.Thing", {"name": models.TextField(), "secret": models.TextField(), "code": type_(null=True)})
    # What is computed is good, until the writer has a word in it.
    expression = copy.deepcopy(QUOTING[kind])
    secret = {"a date": "2001-02-03"}.get(kind, "4711")
    expression.set_source_expressions([Concat("secret", "name")])
    lab.sql("INSERT INTO old_thing (name, secret) VALUES ('', %s)", [secret])
    lab.sql(f'GRANT SELECT (id, name), UPDATE (name) ON old_thing TO "{role}"')
    move = Move("old.Thing", "new.Thing", fields={"code": expression})
    lab.forward(move)
    for step in (None, lab.retire):
        if step:
            step(move)
        client = open_client()
        client.run(f'SET SESSION AUTHORIZATION "{role}"')
        with pytest.raises(psycopg.Error) as refused:
            client.run("UPDATE old_thing SET name = ' ( & !x'")
        assert secret not in str(refused.value)
        assert refused.value.diag.message_primary == (
            "A value that is carried to public.new_thing can't be computed from this row, or does not fit there."
        )
    with pytest.raises(psycopg.Error) as told:
        open_client().run("UPDATE old_thing SET name = ' ( & !x'")
    assert secret in str(told.value)


# ----- policies


@pytest.mark.parametrize("hidden", SIDES)
def test_a_policy_that_would_hide_rows_is_an_error(
    lab: Lab, open_client: Open, make_role: Callable[[str], str], hidden: str
) -> None:
    role = make_role("writer")
    trio = Trio(lab)
    lab.sql(f'GRANT ALL ON old_thing TO "{role}"')
    lab.forward(MOVE)
    lab.sql(f"ALTER TABLE {hidden} ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON {hidden} USING (id < 10)")
    client = open_client(role=role)
    for side in SIDES:
        assert client.play("UPDATE {t} SET name = 'x' WHERE id = 3\nDELETE FROM {t} WHERE id = 4", side) == 2 * [
            "42501"
        ]
    assert trio.agrees()


# ----- constraints that were dropped since


@pytest.mark.parametrize("change", ["DROP CONSTRAINT {c}", "RENAME CONSTRAINT {c} TO {c}_by_now"])
def test_writes_are_carried_after_a_deferrable_constraint_is_gone(trio: Trio, lab: Lab, change: str) -> None:
    for app in ("old", "new", "one"):
        lab.sql(f"ALTER TABLE {app}_thing {change.format(c=f'{app}_place')}")
        lab.sql(f"ALTER TABLE {app}_thing DROP CONSTRAINT {app}_rank")
    for side in SIDES:
        for table in (side, ALONE):
            lab.sql(f"UPDATE {table} SET place = place + 100, name = 'x' WHERE id = 1")
            lab.sql(f"UPDATE {table} SET rank = 2 WHERE id = 1")
            lab.sql(f"INSERT INTO {table} (id, name) VALUES (300, 'x')")
            lab.sql(f"DELETE FROM {table} WHERE id = 300")
        assert trio.agrees()


# ----- renewed


STALE: dict[str, str] = {
    "security": "ALTER FUNCTION {f}() SECURITY DEFINER",
    "a setting": "ALTER FUNCTION {f}() SET search_path = public",
    "body": "CREATE OR REPLACE FUNCTION {f}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "a condition": (
        "DROP TRIGGER {f} ON old_thing; CREATE TRIGGER {f} AFTER INSERT OR UPDATE OR DELETE ON old_thing "
        "FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION {f}()"
    ),
}


@pytest.fixture
def forward(trio: Trio, lab: Lab) -> str:
    [(function,)] = lab.sql(FORWARD)
    return function


@pytest.mark.parametrize("stale", STALE)
def test_a_function_that_is_another_by_now_is_outdated_and_renewed(forward: str, lab: Lab, stale: str) -> None:
    assert sync.state(lab.plan(MOVE)) == "installed"
    lab.sql(STALE[stale].format(f=forward))
    assert sync.state(lab.plan(MOVE)) == "outdated"
    lab.forward(MOVE)
    assert sync.state(lab.plan(MOVE)) == "installed"


def test_a_function_of_a_value_that_is_gone_is_renewed(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField(), "label": models.TextField()})
    move = Move("old.Thing", "new.Thing", fields={"label": Lower("name")})
    lab.forward(move)
    assert sync.state(lab.plan(move)) == "installed"
    [(function,)] = lab.sql("SELECT oid::regprocedure::text FROM pg_proc WHERE proname ^@ 'rehome_value_'")
    lab.sql(f"DROP FUNCTION {function}")
    assert sync.state(lab.plan(move)) == "outdated"
    lab.forward(move)
    assert sync.state(lab.plan(move)) == "installed"
    lab.sql("INSERT INTO old_thing (name) VALUES ('Lamp')")
    assert lab.sql("SELECT label FROM new_thing") == [("lamp",)]


def test_a_function_of_another_owner_is_outdated_and_renewed(
    forward: str, lab: Lab, make_role: Callable[[str], str]
) -> None:
    role = make_role("other")
    lab.sql(f'GRANT CREATE ON SCHEMA public TO "{role}"; ALTER FUNCTION {forward}() OWNER TO "{role}"')
    assert sync.state(lab.plan(MOVE)) == "outdated"
    lab.forward(MOVE)
    assert sync.state(lab.plan(MOVE)) == "installed"
