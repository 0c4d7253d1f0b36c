"""Refused before a move: owners whose rights the triggers can't have, and code that would notice whose they have."""

import contextlib
import itertools
from collections.abc import Callable, Iterator

import pytest
from django.db import models, transaction
from django.db.models import F, Func
from django.db.models.functions import Lower, Upper

from rehome import Move
from rehome.errors import Refused
from rehome.moves.steps import open_session
from rehome.plan.record import Record
from rehome.preflight import rights, writers
from rehome.verify import probe
from rehome.verify.roles import KINDS
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
HELPERS = """
CREATE FUNCTION helper(text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true;
CREATE FUNCTION seeks(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT helper($1)';
CREATE FUNCTION asks(text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = public
  AS 'SELECT current_user IS NOT NULL';
CREATE FUNCTION settled(text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp
  AS 'SELECT helper($1)';
CREATE FUNCTION unsettled(text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = public AS 'SELECT helper($1)';
CREATE FUNCTION passes_on(text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp
  AS 'SELECT asks($1)';
CREATE FUNCTION binds(text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN asks($1);
CREATE FUNCTION makes(text) RETURNS boolean LANGUAGE plpgsql SET search_path = public, pg_temp
  AS 'BEGIN EXECUTE ''SELECT''; RETURN true; END';
CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp
  AS 'SELECT current_user = $1';
CREATE OPERATOR === (FUNCTION = same, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION mention() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
  AS 'BEGIN IF new.name = ''user'' THEN RETURN new; END IF; /* of the user */ RETURN new; END';
CREATE FUNCTION audits() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp
  AS 'BEGIN INSERT INTO audit (name) VALUES (new.name); RETURN NULL; END';
CREATE TABLE audit (name text, who text DEFAULT current_user);
CREATE FUNCTION bound(text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN helper($1);
CREATE FUNCTION measures(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length($1) > 0';
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FUNCTION first() RETURNS text LANGUAGE sql AS 'SELECT ''x''';
CREATE DOMAIN short AS text CHECK (seeks(VALUE));
CREATE DOMAIN mine AS text CHECK (VALUE <> CURRENT_USER);
CREATE DOMAIN ours AS mine;
"""
TRIGGER = "CREATE TRIGGER noted BEFORE INSERT ON {t} FOR EACH ROW "
NOTICED = {
    "a check": ("ALTER TABLE {t} ADD CONSTRAINT good CHECK (seeks(name))", "the constraint good", "seeks"),
    "a check that asks": ("ALTER TABLE {t} ADD CONSTRAINT good CHECK (asks(name))", "the constraint good", "asks"),
    "a default": ("ALTER TABLE {t} ALTER name SET DEFAULT first()", "the default of name", "first"),
    "an index": ("CREATE INDEX sought ON {t} (measures(name))", "the index sought", "measures"),
    "a part of an index": ("CREATE INDEX sought ON {t} (name) WHERE measures(name)", "the index sought", "measures"),
    "a trigger": (
        "CREATE TRIGGER noted BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION note()", "the trigger noted", "note",
    ),
}  # fmt: skip
ASKS = {
    "a check": ("ALTER TABLE {t} ADD CONSTRAINT good CHECK (CURRENT_USER <> name)", "the constraint good"),
    "a check of the role": (
        "ALTER TABLE {t} ADD CONSTRAINT good CHECK (name <> current_setting('role'))", "the constraint good",
    ),
    "a check of rights": (
        "ALTER TABLE {t} ADD CONSTRAINT good CHECK (name = '' OR has_schema_privilege('public', 'USAGE'))",
        "the constraint good",
    ),
    "a check with an operator": (
        "ALTER TABLE {t} ADD CONSTRAINT good CHECK (NOT name === name)",
        "the constraint good, whose function public.same(",
    ),
    "a default": ("ALTER TABLE {t} ALTER name SET DEFAULT CURRENT_USER", "the default of name"),
    "a default of its own": ("ALTER TABLE {t} ADD who text DEFAULT getpgusername()", "the default of who"),
    "a domain": ("ALTER TABLE {t} ADD who mine", "the type public.mine"),
    "a domain of a domain": ("ALTER TABLE {t} ADD who ours", "the type public.ours"),
    "a trigger's condition": (
        TRIGGER + "WHEN (CURRENT_USER <> 'x') EXECUTE FUNCTION mention()", "the trigger noted",
    ),
    "a function that a text calls": (
        "ALTER TABLE {t} ADD CONSTRAINT good CHECK (passes_on(name))",
        "the constraint good, whose function public.asks(",
    ),
    "a function that a body calls": (
        "ALTER TABLE {t} ADD CONSTRAINT good CHECK (binds(name))", "the constraint good, whose function public.asks(",
    ),
    "a default of a table that a trigger writes to": (
        "CREATE TRIGGER noted AFTER INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION audits()", "the trigger noted",
    ),
}  # fmt: skip
CHANGED = {
    "a check": "ALTER TABLE {t} ADD CHECK (strange(name))",
    "a default": "ALTER TABLE {t} ALTER name SET DEFAULT strange('x')::text",
    "an index": "CREATE INDEX sought ON {t} (strange(name))",
    "a domain": "ALTER TABLE {t} ADD other short; ALTER DOMAIN short OWNER TO {r}",
    "a trigger": "ALTER FUNCTION mention() OWNER TO {r}; " + TRIGGER + "EXECUTE FUNCTION mention()",
    "a function that a text calls": (
        "ALTER FUNCTION helper(text) OWNER TO {r}; ALTER TABLE {t} ADD CHECK (settled(name))"
    ),
    "a table that a trigger writes to": (
        "ALTER TABLE audit ALTER who DROP DEFAULT, OWNER TO {r}; " + TRIGGER + "EXECUTE FUNCTION audits()"
    ),
}
UNNOTICED = {
    "its own path": "ALTER TABLE {t} ADD CHECK (settled(name))",
    "a body that is bound": "ALTER TABLE {t} ADD CHECK (bound(name))",
    "a word that asks nobody": 'ALTER TABLE {t} ADD "user" text CHECK ("user" <> \'current_user\')',
    "a function with such words": TRIGGER + "EXECUTE FUNCTION mention()",
    "PostgreSQL's own": "ALTER TABLE {t} ADD CHECK (length(name) > 0)",
    "a disabled trigger": (
        "CREATE TRIGGER noted BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION note(); "
        "ALTER TABLE {t} DISABLE TRIGGER noted"
    ),
}


@pytest.fixture
def things(lab: Lab) -> Lab:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql(HELPERS)
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    return lab


@pytest.mark.parametrize("kind", NOTICED)
@pytest.mark.parametrize("table", ["old_thing", "new_thing"])
def test_code_that_would_notice_the_owners_rights(
    things: Lab, make_role: Callable[[str], str], table: str, kind: str
) -> None:
    change, what, function = NOTICED[kind]
    things.sql(change.format(t=table))
    things.forward(MOVE)
    things.back(MOVE)
    role = make_role("clerk")
    things.sql(f"GRANT SELECT, INSERT ON old_thing TO {role}")
    with pytest.raises(Refused) as refused:
        things.forward(MOVE)
    assert f"public.{table} has {what}, whose function public.{function}(" in str(refused.value)
    assert f"the role {role!r}, which writes to them, lacks DELETE on public.new_thing" in str(refused.value)
    assert f"Run GRANT DELETE ON public.new_thing TO {role}" in str(refused.value)


def refusal(things: Lab, change: str) -> str:
    """What the preflight says once the change is made, which is undone; empty for nothing."""
    with undone(things.alias):
        things.sql(change or "SELECT")
        try:
            writers.refuse_lent_rights(things.plan(MOVE), granting=True)
        except Refused as error:
            return str(error)
        return ""


@contextlib.contextmanager
def undone(alias: str) -> Iterator[None]:
    with transaction.atomic(using=alias):
        yield
        transaction.set_rollback(True, using=alias)


def test_whatever_asks_who_is_writing(things: Lab, make_role: Callable[[str], str]) -> None:
    role = make_role("clerk")
    things.sql(f"GRANT SELECT, INSERT ON old_thing TO {role}")
    for table, (change, what) in itertools.product(["old_thing", "new_thing"], ASKS.values()):
        said = refusal(things, change.format(t=table))
        assert f"public.{table} has {what}" in said
        assert "asks who is writing: it would run as the owner" in said
        assert f"Run GRANT DELETE ON public.new_thing TO {role}, for the triggers" in said
        assert not refusal(things, f"{change.format(t=table)}; GRANT UPDATE, DELETE ON old_thing TO {role}")


def test_a_function_that_nobody_can_look_into(things: Lab, make_role: Callable[[str], str]) -> None:
    things.sql(f"GRANT INSERT ON old_thing TO {make_role('clerk')}")
    said = refusal(things, "ALTER TABLE new_thing ADD CHECK (unsettled(name))")
    assert "as its search_path does not end with pg_temp" in said
    assert "ALTER FUNCTION public.unsettled(text) SET search_path = public, pg_temp" in said
    internal = "CREATE FUNCTION alike(text, text) RETURNS boolean LANGUAGE internal STABLE AS 'texteq'"
    said = refusal(things, f"{internal}; ALTER TABLE new_thing ADD CHECK (alike(name, name))")
    assert "public.alike(text,text) is in internal, and can't be looked into" in said
    assert "runs statements that it makes itself" in refusal(things, "ALTER TABLE new_thing ADD CHECK (makes(name))")


# ----- who decides what runs with the owner's rights


def test_code_that_others_can_change(things: Lab, make_role: Callable[[str], str]) -> None:
    role = make_role("mallory")
    things.sql(
        "CREATE FUNCTION strange(text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN $1 IS NOT NULL; "
        f"ALTER FUNCTION strange(text) OWNER TO {role}; GRANT INSERT ON old_thing TO {role}"
    )
    for table, change in itertools.product(["old_thing", "new_thing"], CHANGED.values()):
        said = refusal(things, change.format(t=table, r=role))
        assert f"the role {role!r} can change at any time: it would run as the owner" in said


@pytest.mark.parametrize("table", ["old_thing", "new_thing"])
def test_a_role_that_may_create_triggers(things: Lab, make_role: Callable[[str], str], table: str) -> None:
    role = make_role("mallory")
    things.sql(f"GRANT INSERT ON old_thing TO {role}; GRANT TRIGGER ON {table} TO {role}")
    with pytest.raises(Refused) as refused:
        things.forward(MOVE)
    assert f"public.{table} has triggers that the role {role!r} may create" in str(refused.value)
    assert f"or REVOKE TRIGGER ON public.{table} FROM {role}." in str(refused.value)
    things.sql(f"REVOKE TRIGGER ON {table} FROM {role}")
    things.forward(MOVE)
    things.sql(f"GRANT TRIGGER ON {table} TO {role}")
    ((found,),) = [things.verify(MOVE).lent]
    assert found.text in str(refused.value)


def test_a_path_in_which_others_create(things: Lab, make_role: Callable[[str], str]) -> None:
    role = make_role("mallory")
    things.sql(
        f"CREATE SCHEMA open; GRANT CREATE ON SCHEMA open TO {role}; GRANT INSERT ON old_thing TO {role}; "
        "ALTER FUNCTION settled(text) SET search_path = public, open, pg_temp; "
        "ALTER TABLE old_thing ADD CHECK (settled(name))"
    )
    assert "finds names in schema open, where others may create objects" in refusal(things, "")


def test_a_repair_that_would_lend_rights(things: Lab, make_role: Callable[[str], str]) -> None:
    app, clerk = make_role("app"), make_role("clerk")
    things.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing TO {app}")
    things.sql("CREATE TRIGGER noted BEFORE INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION note()")
    things.forward(MOVE)
    things.sql(f"GRANT SELECT, UPDATE (name) ON old_thing TO {clerk}")
    found = things.verify(MOVE)
    assert ["finds names by the search path of the session" in one.text for one in found.lent] == [True]
    assert not found.ok
    before = functions_of(things)
    with pytest.raises(Refused, match="finds names by the search path of the session"):
        things.forward(MOVE)
    assert functions_of(things) == before
    things.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing, new_thing TO {clerk}")
    things.forward(MOVE)
    assert things.verify(MOVE).ok
    assert not any(definer for _, definer in functions_of(things))


def functions_of(things: Lab) -> list[tuple[str, bool]]:
    """Rehome's that the triggers of the two tables call, and whether each has its owner's rights."""
    return things.sql(
        "SELECT proname, prosecdef FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid WHERE proname ^@ 'rehome_' "
        "AND tgrelid = ANY('{old_thing,new_thing}'::regclass[]) ORDER BY 1"
    )


def test_code_that_notices_nothing(things: Lab, make_role: Callable[[str], str]) -> None:
    things.sql(f"GRANT INSERT ON old_thing TO {make_role('clerk')}")
    for table, change in itertools.product(["old_thing", "new_thing"], UNNOTICED.values()):
        assert not refusal(things, change.format(t=table))


# ----- what values call


CALLS = {
    "a function": "public.theirs(name)",
    "a function of a function": "public.bound(name)",
    "a function that a text calls": "public.passes(name)",
    "an operator": "name OPERATOR(public.!!!) name",
    "a cast": "(name::public.kept)::text",
}
CALLED = """
CREATE FUNCTION theirs(text) RETURNS text LANGUAGE sql IMMUTABLE RETURN $1;
CREATE FUNCTION theirs(text, text) RETURNS text LANGUAGE sql IMMUTABLE RETURN $1;
CREATE OPERATOR !!! (FUNCTION = theirs, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION theirs_to_keep(text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true;
CREATE DOMAIN kept AS text CHECK (theirs_to_keep(VALUE));
CREATE FUNCTION bound(text) RETURNS text LANGUAGE sql IMMUTABLE RETURN theirs($1);
CREATE FUNCTION passes(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT public.theirs($1)';
"""
OURS = ["theirs(text)", "theirs(text, text)", "theirs_to_keep(text)"]


def calling(expression: str) -> Move:
    """What the expression gives is what is there, so that it has a way back."""
    value = Func(F("name"), template=expression.replace("name", "%(expressions)s"), output_field=models.TextField())
    return Move("old.Thing", "new.Thing", fields={"title": value}, backwards={"name": F("title")})


def test_values_call_nobodys_function_but_the_owners(lab: Lab, make_role: Callable[[str], str]) -> None:
    role = make_role("mallory")
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"title": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    lab.sql(CALLED)
    for what, expression in CALLS.items():
        move = calling(expression)
        owner = lab.plan(move).main.source.owner
        for function in OURS:
            lab.sql(f"ALTER FUNCTION {function} OWNER TO {role}")
        with pytest.raises(Refused, match=f"which the role {role!r} can change at any time") as refused:
            lab.forward(move)
        assert "The value of title is computed by the function public.theirs" in str(refused.value), what
        assert f" OWNER TO {owner}" in str(refused.value)
        for function in OURS:
            lab.sql(f"ALTER FUNCTION {function} OWNER TO {owner}")
        with undone(lab.alias):
            rights.refuse_strangers_code(lab.plan(move))


def test_a_function_that_is_given_away_while_both_tables_live(lab: Lab, make_role: Callable[[str], str]) -> None:
    role, move = make_role("mallory"), calling("public.passes(name)")
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"title": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('lamp')")
    lab.sql(CALLED + "ALTER FUNCTION passes(text) SET search_path = pg_catalog, pg_temp")
    lab.forward(move)
    owner, relations = lab.plan(move).main.source.owner, "SELECT count(*) FROM pg_class"
    before = lab.sql(relations)
    lab.sql(f"ALTER FUNCTION theirs(text) OWNER TO {role}")
    found = lab.verify(move)
    assert [f"the role {role!r} can change at any time" in defect.text for defect in found.lent] == [True]
    assert (found.ok, found.comparison.source_rows) == (False, 0)
    lab.sql("SET default_transaction_read_only = on")  # The functions that stand tell it there.
    assert lab.verify(move).lent == found.lent
    lab.sql("RESET default_transaction_read_only")
    for step in (lab.forward, lab.retire):
        with pytest.raises(Refused, match="can change at any time"):
            step(move)
    assert lab.sql(relations) == before
    lab.sql(f"ALTER FUNCTION theirs(text) OWNER TO {owner}")
    lab.retire(move)
    lab.sql(f"ALTER FUNCTION theirs(text) OWNER TO {role}")
    for step in (lab.retire, lab.unretire):
        with pytest.raises(Refused, match="can change at any time"):
            step(move)
    lab.sql(f"ALTER FUNCTION theirs(text) OWNER TO {owner}")
    lab.unretire(move)
    assert lab.verify(move).ok


# ----- two owners


@pytest.fixture
def owners(things: Lab, make_role: Callable[[str], str]) -> tuple[str, str]:
    one, two = make_role("one"), make_role("two")
    things.sql(f"ALTER TABLE old_thing OWNER TO {one}; ALTER TABLE new_thing OWNER TO {two}")
    return one, two


def test_an_owner_without_rights_to_the_other_table(things: Lab, owners: tuple[str, str]) -> None:
    one, two = owners
    with pytest.raises(Refused) as refused:
        things.forward(MOVE)
    assert f"public.old_thing belongs to {one!r} and public.new_thing to {two!r}" in str(refused.value)
    assert f"Run GRANT DELETE ON public.old_thing TO {two}, or ALTER TABLE public.new_thing OWNER TO {one}." in str(
        refused.value
    )


def test_functions_belong_to_the_owners_and_never_to_a_superuser_who_migrates(
    things: Lab, owners: tuple[str, str]
) -> None:
    one, two = owners
    things.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing TO {two}")
    things.forward(MOVE)
    found = things.sql(
        "SELECT DISTINCT tgrelid::regclass::text, proowner::regrole::text FROM pg_proc JOIN pg_trigger "
        "ON tgfoid = pg_proc.oid WHERE tgrelid IN ('old_thing'::regclass, 'new_thing'::regclass) AND NOT tgisinternal"
    )
    assert dict(found) == {"old_thing": one, "new_thing": two}
    assert things.verify(MOVE).ok


@pytest.mark.long
def test_two_owners_are_in_order_in_each_phase_or_told_how_to_be(
    things: Lab, owners: tuple[str, str], make_role: Callable[[str], str]
) -> None:
    """Each has all rights to the other's table, or the triggers would have an owner's rights, which is refused."""
    (one, two), clerk, writes = owners, make_role("clerk"), "SELECT, INSERT, UPDATE, DELETE"
    things.sql(f"GRANT {writes} ON old_thing TO {two}; GRANT USAGE, CREATE ON SCHEMA public TO {one}, {two}")
    things.sql(f"GRANT {writes} ON old_thing TO {clerk}")
    for step in (things.forward, things.forward, things.retire, things.unretire):
        step(MOVE)
        if step != things.retire:
            assert things.verify(MOVE).ok
    things.sql(f"GRANT INSERT ON new_thing TO {make_role('other')}; REVOKE ALL ON new_thing FROM {one}")
    cures = []
    while found := things.verify(MOVE).lent:
        with pytest.raises(Refused):
            things.forward(MOVE)
        cure, _, _ = found[0].cure.removeprefix("Run ").partition(", for the triggers")
        assert cure.startswith("GRANT ")
        assert cure not in cures
        cures.append(cure)
        things.sql(cure)
    things.forward(MOVE)
    assert things.verify(MOVE).ok


def test_a_superusers_table_that_others_may_write_to(things: Lab, make_role: Callable[[str], str]) -> None:
    owner, clerk = make_role("one"), make_role("clerk")
    things.sql(f"ALTER TABLE old_thing OWNER TO {owner}; GRANT INSERT ON old_thing TO {clerk}")
    with pytest.raises(Refused, match="public.new_thing belongs to the superuser .* would lend to the role 'clerk"):
        things.forward(MOVE)


# ----- who writes


REACHES = {
    "a column": "GRANT INSERT (name) ON old_thing TO {r}",
    "a foreign key that acts": (
        "CREATE TABLE parent (id bigint PRIMARY KEY); GRANT DELETE ON parent TO {r}; "
        "ALTER TABLE old_thing ADD FOREIGN KEY (id) REFERENCES parent ON DELETE CASCADE NOT VALID"
    ),
    "a view": "CREATE VIEW shown AS SELECT * FROM old_thing; GRANT UPDATE ON shown TO {r}",
    "a rule": (
        "CREATE TABLE elsewhere (name text); GRANT INSERT ON elsewhere TO {r}; CREATE RULE also AS "
        "ON INSERT TO elsewhere DO ALSO INSERT INTO old_thing (name) VALUES (new.name)"
    ),
    "everybody": "GRANT INSERT ON old_thing TO PUBLIC",
}


@pytest.mark.parametrize("reach", REACHES)
def test_every_way_to_write_counts(things: Lab, make_role: Callable[[str], str], reach: str) -> None:
    things.sql("ALTER TABLE old_thing ADD CONSTRAINT good CHECK (seeks(name))")
    role = make_role("clerk")
    things.sql(REACHES[reach].format(r=role))
    with pytest.raises(Refused, match="whose function public.seeks.text. finds names by the search path"):
        things.forward(MOVE)


# ----- what others can change, or what asks without a function of the project's


LENDING = {
    "a function of another role's": (
        "CREATE FUNCTION theirs(text) RETURNS boolean LANGUAGE sql SET search_path = public AS 'SELECT true'; "
        "ALTER FUNCTION theirs(text) OWNER TO {r}; ALTER TABLE {t} ADD CONSTRAINT good CHECK (theirs(name))",
        "the constraint good, whose function public.theirs(text) the role '{r}' can change at any time",
        "ALTER FUNCTION public.theirs(text) OWNER TO",
    ),
    "a right to create triggers": (
        "GRANT TRIGGER ON {t} TO {r}", "triggers that the role '{r}' may create",
        "REVOKE TRIGGER ON public.{t} FROM {r}",
    ),
    "everybody's right to create triggers": (
        "GRANT TRIGGER ON {t} TO PUBLIC", "triggers that everybody may create",
        "REVOKE TRIGGER ON public.{t} FROM PUBLIC",
    ),
    "a check that asks": (
        "ALTER TABLE {t} ADD CONSTRAINT good CHECK (current_user <> 'x' OR name <> '')",
        "the constraint good, which asks who is writing", "GRANT",
    ),
    "a default that asks": (
        "ALTER TABLE {t} ALTER name SET DEFAULT current_user",
        "the default of name, which asks who is writing", "GRANT",
    ),
    "a condition that asks": (
        "CREATE FUNCTION aside() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS 'BEGIN RETURN new; END'; "
        "CREATE TRIGGER noted BEFORE INSERT ON {t} FOR EACH ROW WHEN (current_user <> 'x') EXECUTE FUNCTION aside()",
        "the trigger noted, which asks who is writing", "GRANT",
    ),
    "a function that asks in other words": (
        "CREATE FUNCTION who(text) RETURNS boolean LANGUAGE sql SET search_path = public "
        "AS 'SELECT getpgusername() IS NOT NULL'; ALTER TABLE {t} ADD CONSTRAINT good CHECK (who(name))",
        "the constraint good, whose function public.who(text) asks who is writing", "GRANT",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LENDING)
@pytest.mark.parametrize("table", ["old_thing", "new_thing"])
def test_rights_of_the_owner_are_lent_to_nobodys_code(
    things: Lab, make_role: Callable[[str], str], table: str, kind: str
) -> None:
    change, what, cure = LENDING[kind]
    role, clerk = make_role("mallory"), make_role("clerk")
    things.sql(change.format(t=table, r=role))
    things.sql(f"GRANT SELECT, INSERT ON old_thing TO {clerk}")
    with pytest.raises(Refused) as refused:
        things.forward(MOVE)
    assert f"public.{table} has {what.format(r=role)}: it would run as the owner" in str(refused.value)
    assert cure.format(t=table, r=role) in str(refused.value)


def test_a_repair_lends_no_more_than_a_move(things: Lab, make_role: Callable[[str], str]) -> None:
    """A grant to one table, made while both live, gives the triggers the owner's rights from the next repair on."""
    app, clerk = make_role("app"), make_role("clerk")
    things.sql("CREATE TRIGGER noted BEFORE INSERT ON old_thing FOR EACH ROW EXECUTE FUNCTION note()")
    things.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing TO {app}")
    things.forward(MOVE)
    things.sql(f"GRANT SELECT, UPDATE (name) ON old_thing TO {clerk}")
    with pytest.raises(Refused, match="has the trigger noted, whose function public.note"):
        things.forward(MOVE)
    things.sql(f"REVOKE ALL ON old_thing FROM {clerk}")
    things.forward(MOVE)
    assert things.verify(MOVE).ok


def test_a_function_of_the_name_of_one_in_an_expression_elsewhere_is_no_other_value(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField()})
    lab.model("new.Thing", {"title": models.TextField()})
    lab.sql("CREATE SCHEMA aside; CREATE FUNCTION aside.upper(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN END'")
    lab.forward(Move("old.Thing", "new.Thing", fields={"title": Upper("name")}, irreversible=True))


# ----- nobody else's code has the rights of an owner, nor of whoever migrates


def test_code_that_a_move_without_a_way_back_would_lend_rights_to_beside_writers(
    things: Lab, make_role: Callable[[str], str]
) -> None:
    """Nothing is carried once it has ended, but as long as rows are copied."""
    role = make_role("clerk")
    things.sql(f'ALTER FUNCTION settled(text) OWNER TO "{role}"; ALTER TABLE new_thing ADD CHECK (settled(name))')
    things.sql(f'GRANT SELECT, INSERT ON old_thing TO "{role}"')
    move = Move("old.Thing", "new.Thing", online=True, fields={"name": Lower("name")}, irreversible=True)
    with pytest.raises(Refused) as refused:
        things.forward(move)
    assert f"whose function public.settled(text) the role {role!r} can change at any time" in str(refused.value)
    things.forward(Move("old.Thing", "new.Thing", fields={"name": Lower("name")}, irreversible=True))


@pytest.mark.parametrize("given", ["INSERT", "INSERT (name)", "UPDATE (name)", "DELETE"])
def test_rights_that_everybody_has_are_lent_as_a_roles_are(
    things: Lab, make_role: Callable[[str], str], given: str
) -> None:
    """Nobody is told to grant more to everybody."""
    role = make_role("clerk")
    things.sql(f'ALTER FUNCTION settled(text) OWNER TO "{role}"; ALTER TABLE new_thing ADD CHECK (settled(name))')
    things.sql(f"GRANT {given} ON old_thing TO PUBLIC")
    with pytest.raises(Refused) as refused:
        things.forward(MOVE)
    assert "because PUBLIC, which writes to them, lacks" in str(refused.value)
    assert "Run REVOKE INSERT, UPDATE, DELETE ON public.old_thing FROM PUBLIC, and grant" in str(refused.value)


STRANGE = {
    "a trigger": f"{TRIGGER}EXECUTE FUNCTION strange()",
    "a check": "ALTER TABLE {t} ADD CHECK (strange(name))",
    "a default": "ALTER TABLE {t} ALTER name SET DEFAULT strange('x')::text",
    "an index": "CREATE INDEX ON {t} (strange(name))",
    "a generated column": "ALTER TABLE {t} ADD made boolean GENERATED ALWAYS AS (strange(name)) STORED",
    "a domain": "CREATE DOMAIN {t}_name AS text CHECK (strange(value)); ALTER TABLE {t} ALTER name TYPE {t}_name",
    "a domain of the role": "CREATE DOMAIN {t}_name AS text; ALTER DOMAIN {t}_name OWNER TO {r}; "
    "ALTER TABLE {t} ALTER name TYPE {t}_name",
}
MOVED = {"a trigger", "a check", "a default", "an index"}
STRANGE_CODE = """
CREATE SEQUENCE called;
GRANT ALL ON SEQUENCE called TO PUBLIC;
CREATE FUNCTION strange() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN IF current_user !~ 'clerk' THEN PERFORM nextval('public.called'); END IF; RETURN new; END $$;
CREATE FUNCTION strange(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN IF current_user !~ 'clerk' THEN PERFORM nextval('public.called'); END IF; RETURN true; END $$
"""


@pytest.mark.parametrize("kind", STRANGE)
def test_writes_are_not_tried_with_the_rights_of_an_owner_where_others_have_code(
    things: Lab, make_role: Callable[[str], str], kind: str
) -> None:
    """What it does elsewhere would not be undone. Whoever writes there by a grant runs it anyway."""
    role, clerk = make_role("stranger"), make_role("clerk")
    things.sql(STRANGE_CODE)
    things.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON old_thing TO "{clerk}"')
    if kind in MOVED:
        things.sql(STRANGE[kind].format(t="old_thing", r=role))
    things.forward(MOVE)
    if kind not in MOVED:
        things.sql(STRANGE[kind].format(t="old_thing", r=role))
    things.sql(f'ALTER FUNCTION strange() OWNER TO "{role}"; ALTER FUNCTION strange(text) OWNER TO "{role}"')
    things.sql("ALTER SEQUENCE called RESTART")
    plan = things.plan(MOVE)
    found = probe.try_writes(plan, open_session(plan), Record())
    untried = [trial.reason for trial in found.trials if trial.role == plan.main.source.owner]
    assert len(untried) == 1
    assert f"the role {role!r} can change at any time, would run with its rights." in untried[0]
    assert {trial.kind for trial in found.trials if trial.role == clerk} == {*KINDS}
    assert things.sql("SELECT is_called FROM called") == [(False,)]


def test_whoever_migrates_runs_no_trigger_of_anothers(things: Lab, make_role: Callable[[str], str]) -> None:
    """There, in a retirement, and in its undo."""
    role = make_role("stranger")
    things.sql(STRANGE_CODE)
    things.sql(f'{STRANGE["a trigger"].format(t="old_thing")}; ALTER FUNCTION strange() OWNER TO "{role}"')
    move = Move("old.Thing", "new.Thing", discard_triggers=["noted"])
    for way in (things.forward, things.retire, things.unretire, things.back):
        way(move)
        assert things.sql("SELECT is_called FROM called") == [(False,)]
