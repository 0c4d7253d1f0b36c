"""What the other commands say of a retired move, and how a view that is gone comes back."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.database import psql
from tests.farm import farm

pytestmark = pytest.mark.server

VIEW = "DROP VIEW portal_printer CASCADE"


def call(*arguments: str, **options: Any) -> str:
    stdout = StringIO()
    call_command(*arguments, stdout=stdout, **options)
    return stdout.getvalue()


def printers(text: str) -> dict[str, Any]:
    shown = json.loads(text)
    (found,) = (move for move in shown.get("moves", shown) if move["move"].endswith("printers.Printer"))
    return found


@pytest.fixture
def retired(live: str) -> None:
    farm.sql("GRANT SELECT ON portal_printer TO PUBLIC")
    farm.sql("GRANT UPDATE (api_key) ON portal_printer TO pg_monitor")
    call("retiremoves", "printers.Printer")


def test_a_retired_move_in_order(retired: None) -> None:
    printed = call("verifymoves")
    assert printed.endswith("\nEqual.\n")
    (row,) = (line for line in printed.splitlines() if line.startswith("portal.Printer"))
    assert row.split()[3:5] == [str(len(farm.rows("printers_printer")))] * 2
    shown = json.loads(call("showmoves", format="json"))[1]
    assert (shown["phase"], shown["sync"], shown["old_writes"], shown["writers"]) == ("retired", None, None, None)
    assert (shown["verified_ok"], shown["note"]) == (True, "")
    assert "BEGIN" not in call("sqlmove", "printers", "0002")


def test_the_sql_of_the_way_back_undoes_the_retirement_first(retired: None) -> None:
    script = call("sqlmove", "printers", "0002", "--backwards")
    assert script.index('DROP VIEW "public"."portal_printer"') < script.index('TRUNCATE "public"."printers_printer"')
    before = farm.rows("portal_printer")
    psql(script)
    assert farm.rows("portal_printer") == before
    assert farm.rows("printers_printer") == {}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (VIEW, "public.portal_printer, the view of public.printers_printer, is gone."),
        (
            "CREATE OR REPLACE VIEW portal_printer WITH (security_invoker) AS TABLE printers_printer LIMIT 1000",
            "public.portal_printer is not the view of public.printers_printer that the move made.",
        ),
        (
            "CREATE RULE nothing AS ON INSERT TO portal_printer DO INSTEAD NOTHING",
            "public.portal_printer does not carry every write to public.printers_printer.",
        ),
        (
            "ALTER VIEW portal_printer RESET (security_invoker)",
            "public.portal_printer has lost security_invoker, so it is read with the rights of its owner.",
        ),
        (
            "REVOKE SELECT ON portal_printer FROM PUBLIC",
            "public.portal_printer lacks privileges that public.printers_printer gives to PUBLIC.",
        ),
        (
            "REVOKE UPDATE (api_key) ON portal_printer FROM pg_monitor",
            "public.portal_printer lacks privileges that public.printers_printer gives to pg_monitor.",
        ),
    ],
    ids=["gone", "another", "a rule", "security_invoker", "a privilege", "a privilege on a column"],
)
@pytest.mark.parametrize("cure", ["retiremoves", pytest.param("sqlmove", marks=pytest.mark.long)])
def test_a_damaged_view_is_reported_and_made_again(retired: None, damage: str, said: str, cure: str) -> None:
    whole = farm.picture()
    farm.sql(damage)
    assert said in call("showmoves")
    report = printers(failed("verifymoves", format="json"))
    assert (report["ok"], report["view"]) == (False, [said])
    assert "sqlmove printers 0002_migrate_printer_data | manage.py dbshell" in failed("verifymoves", "printers.Printer")

    if cure == "sqlmove":
        psql(call("sqlmove", "printers", "0002"))
    else:
        assert call("retiremoves", "printers.Printer") == f"{farm.MOVES[1]} is retired already.\n"

    assert farm.picture() == whole
    assert call("verifymoves").endswith("\nEqual.\n")


@pytest.mark.long
@pytest.mark.parametrize("drop", [False, True], ids=["retiremoves", "--drop"])
def test_a_view_that_a_newer_server_prints_in_other_words_is_made_again_once(retired: None, drop: bool) -> None:
    farm.sql(
        "UPDATE rehome_moverun SET kept = jsonb_set(kept, '{views,public.portal_printer,definition}', "
        """'"SELECT XMLSERIALIZE ( CONTENT id AS text NO INDENT )"') WHERE source_table = 'public.portal_printer'"""
    )
    assert "is not the view" in failed("verifymoves")
    call("retiremoves", "printers.Printer", drop=drop, confirm=connection.settings_dict["NAME"])
    assert call("verifymoves").endswith("\nEqual.\n")


def failed(*arguments: str, **options: Any) -> str:
    stdout = StringIO()
    with pytest.raises(CommandError, match=f"Not in order: {farm.MOVES[1]}"):
        call_command(*arguments, stdout=stdout, **options)
    return stdout.getvalue()


def test_the_old_table_comes_back_without_its_view_too(retired: None) -> None:
    before = farm.rows("portal_printer")
    farm.sql(VIEW)
    call("retiremoves", "--undo")
    assert farm.rows("portal_printer") == before
    farm.assert_in_step()


def test_foreign_keys_that_are_not_valid_are_reported(retired: None) -> None:
    ((name, definition),) = farm.sql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'printers_printer'::regclass "
        "AND contype = 'f'"
    )
    farm.sql(f'ALTER TABLE printers_printer DROP CONSTRAINT "{name}"')
    farm.sql(f'ALTER TABLE printers_printer ADD CONSTRAINT "{name}" {definition} NOT VALID')
    assert printers(failed("verifymoves", format="json"))["unvalidated"] == [name]


def test_a_move_that_has_ended_is_no_problem(retired: None) -> None:
    call("retiremoves", "--drop", confirm=connection.settings_dict["NAME"])
    farm.sql("DROP VIEW portal_printer")
    assert json.loads(call("showmoves", format="json"))[1]["note"] == ""
    assert call("verifymoves").endswith("\nEqual.\n")
    with pytest.raises(CommandError, match="It was retired on this database; its old table and the view are dropped"):
        call("verifymoves", "printers.Printer")
