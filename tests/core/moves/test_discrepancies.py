"""What a verification finds is kept until one finds nothing more, whoever runs it."""

import pytest
from django.core.management import CommandError, call_command

from core.moves.models import Discrepancy
from tests.core.moves.test_page import PAGE, PRINTERS, enter, execute

pytestmark = pytest.mark.server


def verify() -> None:
    call_command("verifymoves", PRINTERS, verbosity=0)


def set_behind_the_triggers(statement: str) -> None:
    execute("ALTER TABLE printers_printer DISABLE TRIGGER USER")
    execute(statement)
    execute("ALTER TABLE printers_printer ENABLE TRIGGER USER")


def test_from_the_first_that_finds_it_to_the_first_that_does_not(live: str) -> None:
    client = enter()
    set_behind_the_triggers(
        "UPDATE printers_printer SET api_key = 'rosebud-rosebud' WHERE id = (SELECT min(id) FROM printers_printer)"
    )

    for _ in range(2):
        with pytest.raises(CommandError):
            verify()

    one = Discrepancy.objects.get()
    assert (one.move, one.different, one.missing, one.ended_at) == (PRINTERS, 1, 0, None)
    assert one.seen_at > one.found_at
    assert one.rows[0]["columns"] == ["api_key"]

    set_behind_the_triggers("UPDATE printers_printer n SET api_key = o.api_key FROM portal_printer o WHERE o.id = n.id")
    verify()

    one.refresh_from_db()
    assert one.ended_at is not None
    page = client.get(PAGE).content.decode()
    assert "Discrepancies that verifications found: 1" in page
    assert "1 different" in page
    assert "rosebud" not in page


def test_what_is_wrong_without_a_row_that_differs_is_kept_too(live: str) -> None:
    client = enter()
    execute("SELECT setval('printers_printer_id_seq', 1)")

    with pytest.raises(CommandError):
        verify()

    assert "no row differs, but triggers, sequences or rights do" in Discrepancy.objects.get().counts
    assert "no row differs" in client.get(PAGE).content.decode()


def test_equal_tables_leave_nothing(live: str) -> None:
    enter()
    verify()

    assert not Discrepancy.objects.exists()


def test_a_database_without_the_table_is_verified_all_the_same(live: str) -> None:
    execute("DROP TABLE IF EXISTS core_discrepancy")

    verify()
