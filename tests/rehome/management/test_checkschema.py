"""The command: what it prints, its exit codes, and what it asks of a connection."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rehome.errors import Refused
from tests.farm.farm import sql, watch
from tests.rehome.support.lab import Lab

UNCHANGED = "The models and the database say the same."


def check(app: str, **options: Any) -> str:
    out = StringIO()
    call_command("checkschema", app, stdout=out, no_color=True, **options)
    return out.getvalue()


def fails(app: str, **options: Any) -> tuple[str, CommandError]:
    out = StringIO()
    with pytest.raises(CommandError) as raised:
        call_command("checkschema", app, stdout=out, no_color=True, **options)
    return out.getvalue(), raised.value


@pytest.fixture
def planned(planned: str) -> str:
    """With the longer keys that the models have."""
    sql("ALTER TABLE portal_printer ALTER api_key TYPE varchar(128)")
    return planned


@pytest.fixture
def drifted(planned: str) -> None:
    sql(
        "ALTER TABLE portal_profile ALTER organization TYPE varchar(250), ADD fax text;"
        "TRUNCATE portal_profile CASCADE;"
        "ALTER TABLE portal_profile ALTER fax SET NOT NULL"
    )


def test_each_difference_has_both_sides_and_its_remedy(drifted: None) -> None:
    shown, error = fails("portal")

    assert (error.returncode, str(error)) == (1, "2 differences in database 'default'.")
    assert shown == (
        'portal.Profile (public.portal_profile), column "organization": length\n'
        "    model         character varying(200)\n"
        "    database      character varying(250)\n"
        '    SQL           ALTER TABLE public.portal_profile ALTER COLUMN "organization" TYPE character varying(200) '
        'USING "organization"::character varying(200);\n'
        "    model change  organization: models.CharField(max_length=250)\n"
        'portal.Profile (public.portal_profile), column "fax": unknown\n'
        "    model         -\n"
        "    database      text NOT NULL, without which no row can be inserted\n"
        '    SQL           ALTER TABLE public.portal_profile ALTER COLUMN "fax" DROP NOT NULL;\n'
        "    model change  add fax = models.TextField()\n"
    )


def test_json_says_the_same(drifted: None) -> None:
    shown, error = fails("portal", format="json")

    report = json.loads(shown)
    assert (report["ok"], report["compared"], report["notes"]) == (False, ["portal.Profile", "portal.Printer"], [])
    assert report["differences"][0] == {
        "model": "portal.Profile",
        "table": "public.portal_profile",
        "what": 'column "organization"',
        "kind": "length",
        "expected": "character varying(200)",
        "found": "character varying(250)",
        "sql": [
            'ALTER TABLE public.portal_profile ALTER COLUMN "organization" TYPE character varying(200) '
            'USING "organization"::character varying(200)'
        ],
        "change": "organization: models.CharField(max_length=250)",
        "cured_with": "",
    }
    assert report["differences"][1]["expected"] is None
    assert error.returncode == 1


def test_success_is_printed_and_nothing_stays(planned: str) -> None:
    everything = "SELECT count(*) FROM pg_class"
    before = sql(everything)
    assert check("portal").strip() == UNCHANGED
    assert json.loads(check("portal", format="json"))["ok"] is True
    assert sql(everything) == before


def test_wrong_usage_exits_with_2(db: None) -> None:
    for wrong in (["nowhere"], ["portal", "--database", "nowhere"], ["portal", "--format", "xml"]):
        with pytest.raises(CommandError) as raised:
            call_command("checkschema", *wrong)
        assert "nowhere" in str(raised.value) or "xml" in str(raised.value)
    assert raised.value.returncode == 1  # argparse itself exits with 2 where no other code calls the command
    assert fails("nowhere")[1].returncode == 2


def test_an_app_without_tables_is_no_success(db: None) -> None:
    assert str(fails("humanize")[1]) == "Nothing was compared: app 'humanize' has no table in database 'default'."


class Elsewhere:
    """Has printers in another database."""

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        return model_name != "printer"


def test_models_that_a_router_keeps_out_are_left_out(planned: str, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [Elsewhere()]
    sql("DROP TABLE portal_printer")
    assert json.loads(check("portal", format="json"))["compared"] == ["portal.Profile"]


def test_a_view_in_the_place_of_a_table_is_told(planned: str) -> None:
    sql("ALTER TABLE portal_printer RENAME TO kept; CREATE VIEW portal_printer AS SELECT * FROM kept")

    shown, _ = fails("portal")

    assert "portal.Printer (public.portal_printer), table: type" in shown
    assert "database      view" in shown


def test_a_missing_table_is_told_with_the_statements_that_make_it(planned: str) -> None:
    sql('ALTER TABLE portal_printer RENAME TO "Portal_Printer"')

    shown, _ = fails("portal")

    assert 'portal.Printer ("portal_printer"), table: missing' in shown
    assert 'SQL           CREATE TABLE "portal_printer" (' in shown
    assert 'SQL           ALTER TABLE "portal_printer" ADD CONSTRAINT' in shown
    assert "model change  Meta: db_table='Portal_Printer'" in shown


def test_a_connection_that_only_reads_is_enough(planned: str) -> None:
    sql("SET default_transaction_read_only = on")
    assert check("portal").strip() == UNCHANGED
    assert sql("SHOW transaction_read_only") == [("on",)]


def test_only_catalogs_are_locked_and_rows_are_never_waited_for(lab: Lab, another: Callable[[str], Any]) -> None:
    """Somebody has written to the table and not committed; nobody's write would wait for what is locked here."""
    writer = another("INSERT INTO auth_group (name) VALUES ('x')")
    ((pid,),) = sql("SELECT pg_backend_pid()")
    held: set[tuple[str, str]] = set()
    locks = (
        "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
        "WHERE l.pid = %s AND c.relkind <> 'S'"
        " AND c.relnamespace IN ('public'::regnamespace, 'pg_catalog'::regnamespace)"
    )

    def look(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(statement, params, many, context)
        with writer.cursor() as cursor:
            cursor.execute(locks, [pid])
            held.update(cursor.fetchall())
        return result

    with connection.execute_wrapper(look):
        assert check("auth").strip() == UNCHANGED

    public = {name for (name,) in sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")}
    assert {mode for _, mode in held} >= {"AccessShareLock"}
    assert {lock for lock in held if lock[0] in public and lock[1] != "AccessShareLock"} == set()


def test_a_role_that_owns_nothing_can_check_and_is_told_what_it_can_t_do(
    lab: Lab, make_role: Callable[[str], str]
) -> None:
    reader = make_role("reader")
    lab.sql(f'SET ROLE "{reader}"')

    shown = check("portal")

    rights = "SELECT, INSERT, UPDATE, DELETE"
    assert f"Note on public.portal_profile: The role {reader!r} lacks {rights}; GRANT {rights}" in shown
    assert f"migrations of role {reader!r} can't alter it." in shown
    assert f"GRANT USAGE ON SEQUENCE public.accounts_profile_id_seq TO {reader}" in shown
    assert shown.strip().endswith(UNCHANGED)


def test_without_temporary_tables_it_is_refused(lab: Lab, make_role: Callable[[str], str]) -> None:
    reader, database = make_role("reader"), connection.settings_dict["NAME"]
    lab.sql(f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC')
    lab.sql(f'SET ROLE "{reader}"')
    try:
        with pytest.raises(Refused, match="make no temporary tables.*GRANT TEMPORARY ON DATABASE"):
            check("portal")
    finally:
        lab.sql(f'RESET ROLE; GRANT TEMPORARY ON DATABASE "{database}" TO PUBLIC')


def test_what_no_model_can_say_is_noted(planned: str) -> None:
    sql(
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER stamped BEFORE UPDATE ON portal_profile FOR EACH ROW EXECUTE FUNCTION stamp();"
        "CREATE RULE silent AS ON DELETE TO portal_profile DO INSTEAD NOTHING;"
        "ALTER TABLE portal_profile ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE portal_printer DISABLE TRIGGER ALL;"
        "CREATE TABLE invoice (profile bigint CONSTRAINT paid_by REFERENCES portal_profile);"
        "CREATE POLICY own ON portal_profile USING (name = current_user);"
        "CREATE VIEW payers AS SELECT name FROM portal_profile"
    )
    shown = check("portal")

    assert (
        "Note on public.portal_profile: Foreign key paid_by of table invoice, which has no model, points here." in shown
    )
    assert "No migration can change the type of a column that is used by view public.payers." in shown
    assert "It has policy own, which no migration made" in shown
    assert shown.count("which has no model") == 1

    assert "Note on public.portal_profile: Trigger stamped runs public.stamp()." in shown
    assert "Rules rewrite its statements: silent." in shown
    assert "Row-level security" in shown
    assert "Note on public.portal_printer: Triggers of its foreign keys are disabled" in shown


def test_keys_that_an_import_left_behind_the_sequence_are_told(planned: str) -> None:
    ((last,),) = sql("SELECT setval('auth_group_id_seq', 5)")
    sql("INSERT INTO auth_group (id, name) VALUES (9, 'nine')")

    shown, _ = fails("auth")

    assert f"is at {last}: the table has keys up to 9" in shown
    assert 'SELECT setval(\'"public"."auth_group_id_seq"\', 9);' in shown


def test_a_sequence_at_its_end_is_told(planned: str) -> None:
    sql("SELECT setval('portal_printer_id_seq', 2147483647)")

    shown, _ = fails("portal")

    assert "which is exhausted at 2147483647" in shown


def test_rows_may_come_at_any_moment(lab: Lab, another: Callable[[str], Any]) -> None:
    writer = another("INSERT INTO auth_group (name) VALUES ('x')")
    names = iter(range(10_000))

    def insert(execute: Any, *call: Any) -> Any:
        result = execute(*call)
        with writer.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES (%s)", [next(names)])
        writer.commit()
        return result

    with connection.execute_wrapper(insert):
        assert check("auth").strip() == UNCHANGED
    assert next(names) > 100


def test_nothing_but_temporary_tables_is_ever_made(planned: str) -> None:
    with watch() as seen:
        check("portal")
    made = [statement for statement in seen if statement.startswith("CREATE") and "INDEX" not in statement]
    assert len(made) == 3
    assert all(statement.startswith('CREATE TEMPORARY TABLE "rehome_twin_') for statement in made)
