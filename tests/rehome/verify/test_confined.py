"""A role whose writes are tried runs its own code in the session of whoever migrates, and stays that role."""

from collections.abc import Callable

import pytest
from django.db import models

from rehome import Move
from rehome.moves.steps import open_session
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.verify.probe import Probe, try_writes
from tests.rehome.support.lab import Lab

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing")
WRITE = "SELECT, INSERT, UPDATE, DELETE"

BECOMING = (
    "RESET ROLE",
    "SET ROLE NONE",
    "SET LOCAL ROLE NONE",
    "SELECT pg_catalog.set_config('role', 'none', false)",
    "SELECT pg_catalog.set_config('role', 'none', true)",
    "RESET SESSION AUTHORIZATION",
    "SET SESSION AUTHORIZATION DEFAULT",
    "COMMIT",
    "ROLLBACK",
)
# A sequence keeps what it was set to, whatever is rolled back.
HOSTILE = """
CREATE SEQUENCE {schema}.ran; CREATE SEQUENCE {schema}.leak;
GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO "{role}";
CREATE FUNCTION {schema}.peek() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE found bigint;
BEGIN
    PERFORM pg_catalog.setval('{schema}.ran', 2);
    EXECUTE 'SELECT number FROM public.secret' INTO found;
    PERFORM pg_catalog.setval('{schema}.leak', found);
    RETURN true;
EXCEPTION WHEN OTHERS THEN RETURN true;
END $$;
CREATE FUNCTION {schema}.attack() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    way text;
    number integer;
BEGIN
    FOREACH way IN ARRAY ARRAY[{ways}]::text[] LOOP
        BEGIN
            EXECUTE way;
            PERFORM {schema}.peek();
        EXCEPTION WHEN OTHERS THEN PERFORM {schema}.peek();
        END;
    END LOOP;
    FOR number IN 0..200 LOOP
        BEGIN
            EXECUTE 'DEALLOCATE _pg3_' || number;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        BEGIN
            EXECUTE 'PREPARE _pg3_' || number || ' AS SELECT {schema}.peek()';
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    BEGIN
        EXECUTE (SELECT pg_catalog.string_agg(
            pg_catalog.format('CREATE OR REPLACE FUNCTION %s(%s) RETURNS record LANGUAGE sql AS %L',
                p.oid::regproc, pg_catalog.pg_get_function_arguments(p.oid),
                'SELECT {schema}.peek()::int::bigint, NULL::text[]'), ';')
            FROM pg_catalog.pg_proc p WHERE p.pronamespace = pg_catalog.pg_my_temp_schema());
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    PERFORM pg_catalog.set_config('search_path', '{schema}, pg_catalog', false);
    PERFORM pg_catalog.set_config('standard_conforming_strings', 'off', false);
    PERFORM pg_catalog.set_config('client_encoding', 'LATIN1', false);
    RETURN true;
END $$;
CREATE FUNCTION {schema}.same(bigint, bigint) RETURNS boolean LANGUAGE sql AS
    'SELECT {schema}.attack() AND $1 OPERATOR(pg_catalog.=) $2';
CREATE FUNCTION {schema}.same(text, text) RETURNS boolean LANGUAGE sql AS
    'SELECT {schema}.attack() AND $1 OPERATOR(pg_catalog.=) $2';
CREATE OPERATOR {schema}.= (FUNCTION = {schema}.same, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR {schema}.= (FUNCTION = {schema}.same, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION public.notes() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM attack() WHERE new.id = 1::bigint; PERFORM attack(); RETURN NULL; END';
CREATE FUNCTION public.attack() RETURNS boolean LANGUAGE sql AS 'SELECT true';
"""
FIRED = {
    "nothing": "",
    "at once": "CREATE TRIGGER notes AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION notes()",
    "at the end": (
        "CREATE CONSTRAINT TRIGGER notes AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION notes()"
    ),
}


def probe(lab: Lab) -> Probe:
    plan = lab.plan(MOVE)
    run = Ledger(lab.alias).current(plan)
    assert run is not None
    return try_writes(plan, open_session(plan), Record.of(run))


@pytest.fixture
def mallory(lab: Lab, make_role: Callable[[str], str]) -> str:
    lab.twins(lambda app: {"name": models.TextField(), "n": models.IntegerField(default=1)})
    lab.sql("INSERT INTO old_thing (name, n) VALUES ('lamp', 1), ('desk', 2)")
    lab.sql("CREATE TABLE secret (number bigint); INSERT INTO secret VALUES (4711)")
    role = make_role("mallory")
    lab.sql(f'CREATE SCHEMA mallory; GRANT USAGE ON SCHEMA mallory TO "{role}"')
    ways = ", ".join("'" + way.replace("'", "''") + "'" for way in BECOMING)
    lab.sql(HOSTILE.format(schema="mallory", role=role, ways=ways))
    lab.sql(f'ALTER ROLE "{role}" SET search_path = mallory, pg_catalog, public')
    return role


# Where the triggers have the owner's rights, code that finds names by the search path is refused.
@pytest.mark.parametrize("prepares", [False, True])
@pytest.mark.parametrize(("fired", "rights"), [("nothing", "SELECT, UPDATE (name)"), *((way, WRITE) for way in FIRED)])
def test_code_of_a_role_that_is_tried_stays_the_role(
    fired: str, rights: str, prepares: bool, lab: Lab, mallory: str
) -> None:
    if prepares:
        lab.connection.ensure_connection()
        lab.connection.connection.prepare_threshold = 0
    lab.sql(f'GRANT {rights} ON old_thing TO "{mallory}"')
    lab.sql(FIRED[fired].format(table="old_thing"))

    lab.forward(MOVE)
    found = probe(lab)

    assert lab.sql("SELECT last_value FROM mallory.leak") == [(1,)]
    assert lab.sql("SELECT last_value FROM mallory.ran") == [(1 if fired == "nothing" else 2,)]
    assert [trial.reason for trial in found.faults] == []
    assert any(trial.worked for trial in found.trials if trial.role == mallory)
    assert lab.sql("SELECT current_user = session_user, current_setting('role')") == [(True, "none")]
    assert lab.sql("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%peek%'") == [(0,)]
    lab.connection.close()


def test_a_role_that_may_make_no_function_is_compared_in_the_catalog(lab: Lab, mallory: str) -> None:
    lab.sql(f'GRANT {WRITE} ON old_thing TO "{mallory}"')
    lab.forward(MOVE)
    ((database,),) = lab.sql("SELECT quote_ident(current_database())")
    lab.sql(f"REVOKE TEMP ON DATABASE {database} FROM PUBLIC")
    (trial,) = [trial for trial in probe(lab).trials if trial.role == mallory]
    assert (trial.kind, trial.worked) == ("", None)
    assert trial.reason.startswith("not tried: no function of the role's could be made to try it with: permission")
    lab.sql(f"GRANT TEMP ON DATABASE {database} TO PUBLIC")
