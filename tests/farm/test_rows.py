"""Rows through the whole history of migrations, by django-test-migrations, which mutes the signals of migrate."""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django_test_migrations.migrator import Migrator

from scripts import seeding
from scripts.record import Record
from tests.farm import farm

pytestmark = pytest.mark.server

PORTAL = ("portal", "0001_initial")
DJANGO = [("auth", "0012_alter_user_first_name_max_length"), ("admin", "0003_logentry_add_action_flag_choices")]
AFTER = [("accounts", "0002_migrate_profile_data"), ("printers", "0002_migrate_printer_data")]
BACK = [("printers", "0001_initial"), ("accounts", "0001_initial")]
PROFILE = ("id", "user_id", "name", "username", "organization", "email")
PRINTER = ("id", "profile_id", "ip_address", "api_key", "ping", "printing")


@pytest.fixture
def seeded(migrator: Migrator) -> Migrator:
    # Not both at once: the migrator applies whatever is sorted before the last of its first targets.
    migrator.apply_initial_migration(PORTAL)
    migrator.apply_tested_migration(DJANGO)
    applied = set(MigrationRecorder(connection).applied_migrations())
    assert PORTAL in applied, "the tests run with --nomigrations"
    assert not applied & set(AFTER)
    seeding.fill(connection, profiles=30, printers=60)
    return migrator


def values(model: Any, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return list(model.objects.order_by("pk").values_list(*columns))


def test_every_row_arrives_with_its_keys_and_values(seeded: Migrator) -> None:
    before = farm.rows("portal_profile"), farm.rows("portal_printer")

    apps = seeded.apply_tested_migration(AFTER).apps

    assert (farm.rows("accounts_profile"), farm.rows("printers_printer")) == before
    farm.assert_in_step()
    Profile, Printer = apps.get_model("accounts.Profile"), apps.get_model("printers.Printer")
    profiles, printers = values(Profile, PROFILE), values(Printer, PRINTER)
    # The awkward rows against the list of them, not against what the old table says now.
    assert [row for row in profiles if not seeding.BULK < row[0] < seeding.LARGEST_BIGINT] == seeding.PROFILES
    assert [row for row in printers if not seeding.BULK < row[0] < seeding.LARGEST_INT] == seeding.PRINTERS
    assert (len(profiles), len(printers)) == (30 + len(seeding.PROFILES), 60 + len(seeding.PRINTERS))
    owned = Printer.objects.select_related("profile__user")
    assert owned.get(pk=10).profile.user.username == "awkward10"
    assert owned.get(pk=20).profile.user is None
    assert owned.get(pk=30).profile is None
    assert owned.get(pk=70).profile.pk == seeding.LARGEST_BIGINT
    assert not Profile.objects.filter(user=99).exists()
    assert owned.exclude(profile=None).count() == sum(row[1] is not None for row in printers)


@pytest.mark.long
def test_what_was_written_through_either_model_since_comes_back(seeded: Migrator) -> None:
    before = {"profile": farm.rows("portal_profile"), "printer": farm.rows("portal_printer")}
    apps = seeded.apply_tested_migration(AFTER).apps
    old = apps.get_model("portal.Profile"), apps.get_model("portal.Printer")
    new = apps.get_model("accounts.Profile"), apps.get_model("printers.Printer")
    record = Record()

    # Born, pointed at by printers that are born too, through the same app's model and through the other's.
    for Profile, printers in ((old[0], (old[1], new[1])), (new[0], (new[1], old[1]))):
        born = record.insert(Profile, name=f"born in {Profile._meta.app_label}", organization="")
        for Printer in printers:
            key = f"{Profile._meta.app_label} {Printer._meta.app_label}"
            record.insert(Printer, profile_id=born, ip_address="2001:db8::7", api_key=key)
    # Changed: by one side, by both, to NULL, to an empty string, to another owner.
    record.update(old[0], 10, name="renamed by old code", email=None)
    record.update(new[0], 10, organization="", email="🖨️@example.com")
    record.update(old[1], 10, profile_id=born)
    record.update(new[1], 20, profile_id=None, ip_address="https://new.example")
    record.update(new[1], 60, printing=False)
    record.update(old[1], 60, printing=True)
    # Another key, and a row born again under the key it left.
    record.change_key(old[1], 30, 31)
    record.insert(new[1], id=30, ip_address="192.0.2.30", api_key="born again")
    record.change_key(new[1], 50, 51)
    # Deleted: by one side, one with the last key, one changed before, one born since.
    record.delete(old[1], 40)
    record.delete(new[1], seeding.LARGEST_INT)
    record.update(old[1], 80, ping=True)
    record.delete(new[1], 80)
    record.delete(new[0], record.insert(old[0], name="here and gone"))
    farm.assert_in_step()

    apps = seeded.apply_tested_migration(BACK).apps

    for name, table in (("profile", "portal_profile"), ("printer", "portal_printer")):
        expected = dict(before[name])
        for pk, written in record.rows[name].items():
            expected[pk] = None if written is None else expected.get(pk, {}) | written
        assert farm.rows(table) == {pk: row for pk, row in expected.items() if row is not None}
    assert not farm.rows("accounts_profile")
    assert not farm.rows("printers_printer")
    last = max(pk for pk in record.rows["printer"] if pk < seeding.LARGEST_INT)
    assert apps.get_model("portal.Printer").objects.create(ip_address="192.0.2.1").pk == last + 1
