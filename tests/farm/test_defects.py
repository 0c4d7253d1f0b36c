"""What a naive version of these moves gets wrong; each test is named after what must hold instead."""

import pytest
from django.core.management import call_command

from accounts.models import Profile
from portal import models as portal
from printers.models import Printer
from rehome.moves import way
from scripts import seeding
from tests.farm import farm

pytestmark = pytest.mark.server


def test_1_a_printer_whose_profile_has_no_user_keeps_its_owner(monolith: None) -> None:
    without_user = portal.Printer.objects.filter(profile__isnull=False, profile__user=None)
    owners = dict(without_user.values_list("pk", "profile_id"))
    assert owners[20] == 20

    farm.migrate()

    assert dict(Printer.objects.filter(pk__in=owners).values_list("pk", "profile_id")) == owners


@pytest.mark.long
def test_2_primary_keys_stay_so_that_references_from_outside_hold(monolith: None) -> None:
    keys = set(portal.Profile.objects.values_list("pk", flat=True))
    assert {10, 20, 30, seeding.LARGEST_BIGINT} <= keys

    farm.migrate()

    assert set(Profile.objects.values_list("pk", flat=True)) == keys
    assert Profile.objects.get(pk=10).name == "Ada Lovelace"


@pytest.mark.long
def test_3_the_next_insert_gets_a_key_of_its_own_through_either_model(monolith: None) -> None:
    ((last,),) = farm.sql("SELECT last_value FROM portal_printer_id_seq")

    farm.migrate()

    born = [
        model.objects.create(ip_address="192.0.2.7", api_key=str(number)).pk
        for number, model in enumerate((Printer, portal.Printer, Printer, portal.Printer))
    ]
    assert born == [last + 1, last + 2, last + 3, last + 4]
    assert Profile.objects.create().pk + 1 == portal.Profile.objects.create().pk


@pytest.mark.long
def test_4_nothing_is_left_to_migrate_or_to_make_migrations_for(monolith: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)

    farm.migrate()

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    call_command("migrate", check_unapplied=True, verbosity=0)


def test_5_rows_born_after_the_move_outlive_the_rollback(monolith: None) -> None:
    farm.migrate()
    profile = Profile.objects.create(name="born after the move")
    printer = Printer.objects.create(profile=profile, ip_address="192.0.2.8", api_key="born after the move")

    farm.migrate_back()

    assert portal.Profile.objects.get(pk=profile.pk).name == "born after the move"
    assert portal.Printer.objects.get(pk=printer.pk).profile_id == profile.pk


@pytest.mark.long
def test_6_both_tables_stay_in_sync_whichever_is_written(monolith: None) -> None:
    farm.migrate()

    portal.Printer.objects.filter(pk=10).update(printing=False)
    Printer.objects.filter(pk=20).update(ping=False, profile=None)
    portal.Profile.objects.create(name="old code")
    Profile.objects.create(name="new code")
    portal.Printer.objects.filter(pk=30).delete()
    Profile.objects.filter(pk=40).delete()

    assert not Printer.objects.get(pk=10).printing
    assert portal.Printer.objects.get(pk=20).profile is None
    assert Profile.objects.filter(name="old code").exists()
    assert portal.Profile.objects.filter(name="new code").exists()
    assert not Printer.objects.filter(pk__in=[30, 40]).exists()
    farm.assert_in_step()


@pytest.mark.long
def test_7_the_number_of_statements_does_not_grow_with_the_rows(
    monolith: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How many writes are tried depends on the time that is left for them.
    monkeypatch.setattr(way, "TRYING_S", 600)

    def count() -> list[int]:
        numbers = []
        for go in (farm.migrate, farm.migrate_back):
            with farm.watch() as statements:
                go()
            numbers.append(len(statements))
        return numbers

    count()  # The first time also makes the new tables.
    few = count()
    farm.sql("INSERT INTO portal_profile (name) SELECT 'one of many' FROM generate_series(1, 3000)")
    farm.sql(
        "INSERT INTO portal_printer (ip_address, api_key, ping, printing, profile_id) "
        "SELECT '192.0.2.9', id, false, false, id FROM portal_profile WHERE name = 'one of many'"
    )

    assert count() == few


@pytest.mark.long
def test_8_the_verification_counts_what_it_compared_and_finds_one_wrong_value(monolith: None) -> None:
    farm.migrate()
    profiles, printers = farm.reports()
    assert (profiles.ok, profiles.comparison.target_rows) == (True, Profile.objects.count())
    assert (printers.ok, printers.comparison.target_rows) == (True, Printer.objects.count())

    farm.sql("ALTER TABLE printers_printer DISABLE TRIGGER USER")
    Printer.objects.filter(pk=10).update(profile=20)
    farm.sql("ALTER TABLE printers_printer ENABLE TRIGGER USER")

    _, printers = farm.reports()
    assert not printers.ok
    assert [(d.kind, d.key, d.columns) for d in printers.comparison.differences] == [
        ("different", ["10"], ["profile_id"])
    ]
