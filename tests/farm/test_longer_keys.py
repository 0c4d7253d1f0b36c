"""A column that grows while both tables live: keys of 43 characters go there and back in every phase."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from portal.models import Printer as Old
from printers.fleet.models import LastSeen, Machine, Membership, PrinterGroup, Role
from printers.models import Printer
from printers.states import State
from tests.farm import farm

pytestmark = pytest.mark.server

LONG = "k" * 43


def widths() -> dict[str, int]:
    found = farm.sql(
        "SELECT table_name, character_maximum_length FROM information_schema.columns WHERE column_name = 'api_key'"
    )
    return dict(found)


def there_and_back() -> None:
    """From wherever the move stands."""
    rows = farm.rows("printers_printer")
    assert len([row for row in rows.values() if row["api_key"].startswith(LONG)]) >= 1
    for _ in range(2):
        farm.migrate("printers", "0001")
        assert (farm.rows("portal_printer"), farm.rows("printers_printer")) == (rows, {})
        farm.migrate()
        farm.assert_in_step()
        assert farm.rows("printers_printer") == rows
        assert widths() == {"portal_printer": 128, "printers_printer": 128}


def add_both() -> None:
    Printer.objects.create(ip_address="192.0.2.201", api_key=LONG + "n")
    Old.objects.create(ip_address="192.0.2.202", api_key=LONG + "o")


@pytest.mark.long
def test_on_a_new_database(empty: None) -> None:
    farm.migrate()
    assert widths() == {"portal_printer": 128, "printers_printer": 128}
    add_both()

    there_and_back()


@pytest.mark.long
def test_on_a_database_that_was_live_before_it_grew(monolith: None) -> None:
    farm.migrate("accounts")
    farm.migrate("printers", "0003")
    assert widths() == {"portal_printer": 32, "printers_printer": 32}

    farm.migrate()
    add_both()
    farm.assert_in_step()

    there_and_back()


@pytest.mark.long
def test_on_one_that_is_retired_since(monolith: None) -> None:
    farm.migrate()
    add_both()
    call_command("retiremoves", "printers.Printer", interactive=False, verbosity=0)
    Old.objects.create(ip_address="192.0.2.203", api_key=LONG + "v")

    there_and_back()


def test_where_the_source_had_long_keys_before_there_was_a_target(monolith: None) -> None:
    farm.migrate("portal", "0002")
    Old.objects.create(ip_address="192.0.2.202", api_key=LONG + "o")

    farm.migrate()

    assert Printer.objects.get(ip_address="192.0.2.202").api_key == LONG + "o"
    farm.assert_in_step()


@pytest.mark.long
def test_on_one_that_was_retired_before_it_is_refused_with_the_way_to_do_it(monolith: None) -> None:
    farm.migrate("accounts")
    farm.migrate("printers", "0003")
    call_command("retiremoves", interactive=False, verbosity=0)

    with pytest.raises(CommandError, match="retiremoves portal.Printer --undo|retiremoves printers.Printer --undo"):
        farm.migrate()

    call_command("retiremoves", "printers.Printer", undo=True, interactive=False, verbosity=0)
    farm.migrate()
    call_command("retiremoves", "printers.Printer", interactive=False, verbosity=0)
    Old.objects.create(ip_address="192.0.2.203", api_key=LONG)
    assert Printer.objects.get(ip_address="192.0.2.203").api_key == LONG


def tell_of(printer: Printer) -> None:
    """What only the new side knows of a printer."""
    Machine.objects.create(printer=printer, name="Heron", place="Hall A", tags=["PETG"])
    LastSeen.objects.create(
        printer=printer, state=State.READY, since=timezone.now(), seen_at=timezone.now(), asked_at=timezone.now()
    )
    hall = PrinterGroup.objects.create(name="Hall A")
    Membership.objects.create(group=hall, printer=printer)
    Role.objects.create(user_group=Group.objects.create(name="Crew"), printer_group=hall, action="operate")


def known() -> dict[str, list[dict[str, object]]]:
    return {
        model.__name__: list(model.objects.order_by("pk").values()) for model in (Machine, LastSeen, Membership, Role)
    }


@pytest.mark.parametrize("retired", [False, True], ids=["live", "retired"])
@pytest.mark.long
def test_names_roles_and_what_was_last_seen_are_there_after_going_back_and_forth(monolith: None, retired: bool) -> None:
    farm.migrate()
    printer = Printer.objects.get(pk=10)
    tell_of(printer)
    before = known()
    if retired:
        call_command("retiremoves", interactive=False, verbosity=0)

    farm.migrate_back()
    assert known() == before
    farm.migrate()

    assert known() == before
    found = Printer.objects.whole().get(pk=10)
    assert (found.name, found.state) == ("Heron", State.READY)


@pytest.fixture
def told(monolith: None) -> None:
    farm.migrate()
    tell_of(Printer.objects.get(pk=10))


def test_tables_that_would_go_are_named_with_their_rows_and_refused(told: None) -> None:
    with pytest.raises(CommandError) as refused:
        farm.migrate("printers", "zero")

    message = str(refused.value)
    assert message.startswith("Unapplying fleet.0001_initial, ")
    assert " would drop public.fleet_lastseen with 1 row, public.fleet_machine" in message
    assert message.endswith("or add --discard-data to drop them.")
    farm.assert_in_step()
    assert Machine.objects.count() == 1


@pytest.mark.long
def test_with_discard_data_they_go(told: None) -> None:
    rows = farm.rows("portal_printer")

    call_command("migrate", "printers", "zero", discard_data=True, verbosity=0)

    assert farm.rows("portal_printer") == rows
    assert farm.sql("SELECT to_regclass('fleet_machine')") == [(None,)]
