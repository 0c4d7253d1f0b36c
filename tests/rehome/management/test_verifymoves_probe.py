"""What `verifymoves --probe` prints, records and exits with; what it finds is tested with the probe itself."""

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import call_command

from rehome.models import MoveRun
from rehome.verify.roles import KINDS
from tests.farm import farm
from tests.rehome.management.test_verifymoves import PRINTER, Result

pytestmark = pytest.mark.server


def verify(**options: object) -> Result:
    return Result("printers.Printer", probe=True, verbosity=0, **options)


def old_writes() -> tuple[int, int]:
    shown = StringIO()
    call_command("showmoves", format="json", stdout=shown)
    (move,) = [move for move in json.loads(shown.getvalue()) if move["move"] == PRINTER]
    assert move["writers"] == []
    return move["old_writes"], move["old_writes_since_verification"]


def test_what_worked_is_a_table_and_what_is_not_undone_is_told(live: str) -> None:
    result = verify()

    assert (result.code, result.failure) == (0, "")
    told = result.out.split("\n\n")[1]
    title, head, *rows, last = told.splitlines()
    assert title == f"{PRINTER}: writes that were tried, and undone"
    assert head.split(maxsplit=2)[2] == "INSERT  UPDATE  change of key  DELETE"
    assert [row.split()[1:] for row in rows] == [
        ["public.portal_printer", *["yes"] * 4],
        ["public.printers_printer", *["yes"] * 4],
    ]
    assert last == "  Not undone: numbers that they drew from sequences, and effects outside the database."
    assert "writes that were tried" not in Result("printers.Printer").out


def test_json_has_each_trial(live: str) -> None:
    (move,) = verify(format="json").json["moves"]

    assert {(trial["name"], trial["kind"]) for trial in move["probe"]} == {
        (f"public.{table}", kind) for table in ("portal_printer", "printers_printer") for kind in KINDS
    }
    assert [list(trial) for trial in move["probe"]] == [["role", "name", "kind", "worked", "reason"]] * 8
    assert MoveRun.objects.latest("pk").verification == move


def test_the_writes_of_a_probe_are_no_writes_of_old_code(live: str) -> None:
    farm.sql("UPDATE portal_printer SET ping = NOT ping WHERE id = 10")
    farm.sql("SELECT pg_advisory_unlock_all()")
    before = old_writes()
    for _ in range(2):
        assert verify().code == 0
        assert old_writes() == (before[0], 0)
    farm.sql("UPDATE portal_printer SET ping = NOT ping WHERE id = 10")
    farm.sql("SELECT pg_advisory_unlock_all()")
    assert old_writes() == (before[0] + 1, 1)


def test_a_write_that_fails_is_a_bad_result_with_its_cure(live: str) -> None:
    farm.sql("ALTER SEQUENCE printers_printer_id_seq MAXVALUE 999999999 RESTART 10")

    result = verify()

    assert (result.code, result.failure) == (1, f"Not in order: {PRINTER}.")
    assert "A write fails: " in result.out
    assert "INSERT through public.portal_printer: the key 10 that the table gave is not new." in result.out
    assert "Cure: Correct what is named; `manage.py sqlmove printers 0002_migrate_printer_data | " in result.out


def test_a_connection_that_may_only_read_is_told_before_anything_is_compared(live: str) -> None:
    farm.sql("SET default_transaction_read_only = on")

    result = verify()

    assert (result.code, result.out) == (1, "")
    assert result.failure == (
        "This connection may not write to public.printers_printer, so no write can be tried. Run the command without "
        "--probe, or on the primary server without default_transaction_read_only."
    )


@pytest.fixture
def stranger(live: str) -> Iterator[str]:
    """A role that may read and write every table and owns none, and is this connection's."""
    role = f"{live}_stranger"
    farm.sql(f'CREATE ROLE "{role}" IN ROLE pg_read_all_data, pg_write_all_data')
    farm.sql(f'SET ROLE "{role}"')
    yield role
    farm.sql("RESET ROLE")
    farm.sql(f'DROP ROLE "{role}"')


def test_a_role_that_does_not_own_the_tables_is_told(stranger: str) -> None:
    failure = verify().failure

    assert failure.startswith("public.printers_printer belongs to ")
    assert stranger in failure
