"""A profile's province is a column that the old table lacks: the old portal leaves it alone, a way back asks for it."""

from importlib import import_module
from io import StringIO
from threading import Thread
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.models import ProtectedError

from accounts.models import Profile
from core.models import Province
from portal import models as portal
from rehome.errors import Refused
from rehome.graph.rollback import Guard
from tests.farm import farm
from tests.farm.test_waiting_writers import FarmLab
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.waiting import until


@pytest.fixture
def tehran(live: str) -> Province:
    return Province.objects.create(name="تهران", name_en="Tehran", code="IR-23")


@pytest.fixture
def resident(tehran: Province) -> Profile:
    return Profile.objects.create(name="Ada", province=tehran)


def test_what_the_old_portal_makes_has_no_province(live: str) -> None:
    born = portal.Profile.objects.create(name="Ada")
    assert Profile.objects.get(pk=born.pk).province is None


def test_the_old_portal_never_wipes_a_province(resident: Profile, tehran: Province) -> None:
    old = portal.Profile.objects.get(pk=resident.pk)
    old.organization = "Analytical"
    old.save()
    portal.Profile.objects.filter(pk=old.pk).update(name="Ada King")
    portal.Profile.objects.bulk_update([old], ["name"])
    farm.sql("UPDATE portal_profile SET id = -1 WHERE id = %s", [old.pk])
    farm.sql("INSERT INTO portal_profile (id) VALUES (-1) ON CONFLICT (id) DO UPDATE SET email = 'ada@example.com'")

    found = Profile.objects.get(pk=-1)
    assert (found.organization, found.email, found.province) == ("Analytical", "ada@example.com", tehran)
    farm.assert_in_step()


def test_nor_does_it_as_a_view(resident: Profile, tehran: Province) -> None:
    call_command("retiremoves", "portal.Profile", "--noinput", verbosity=0)
    portal.Profile.objects.filter(pk=resident.pk).update(name="Ada King")
    assert Profile.objects.get(name="Ada King").province == tehran
    call_command("retiremoves", "portal.Profile", "--undo", verbosity=0)
    assert Profile.objects.get(name="Ada King").province == tehran


@pytest.mark.parametrize("target", [("accounts", "0001"), ("accounts", "zero"), ("portal", "zero")])
def test_a_way_back_that_would_lose_it_changes_nothing(resident: Profile, target: tuple[str, str]) -> None:
    before = farm.picture(records=True)
    with pytest.raises(Refused) as refusal:
        farm.migrate(*target)
    assert str(refusal.value) == (
        f"public.accounts_profile.province_id has values in 1 rows, such as {resident.pk}, which portal.Profile can't "
        "hold: unapplying accounts.0004_profile_province, which added it, would drop them. Empty it first, or add "
        "--discard-data, which drops it with its values."
    )
    assert farm.picture(records=True) == before


@pytest.mark.parametrize("target", [("printers", "0001"), ("accounts", "0001")])
def test_nor_from_an_older_checkout_which_does_not_know_it(
    resident: Profile, target: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release that a rollback goes to has no file of the migration, so its models lack the column."""

    def load(loader: MigrationLoader) -> None:
        whole(loader)
        del loader.disk_migrations["accounts", "0004_profile_province"]

    whole = MigrationLoader.load_disk
    monkeypatch.setattr(MigrationLoader, "load_disk", load)
    if target[0] == "printers":
        farm.migrate(*target)  # A printer has no such column.
    before = farm.picture(records=True)
    with pytest.raises(Refused) as refusal:
        farm.migrate("accounts", "0001")
    assert str(refusal.value) == (
        f"public.accounts_profile.province_id has values in 1 rows, such as {resident.pk}, but accounts.Profile has no "
        "such column here and public.portal_profile can't hold it. Use the release whose migrations know it. To lose "
        "it, run ALTER TABLE public.accounts_profile DROP COLUMN province_id."
    )
    assert farm.picture(records=True) == before
    Profile.objects.update(province=None)
    farm.migrate("accounts", "0001")
    assert farm.rows("accounts_profile") == {}


@pytest.mark.long
@pytest.mark.parametrize("committed", [True, False])
def test_nor_is_one_that_is_given_while_others_go_back(
    committed: bool, tehran: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of the new version still runs, and its transaction may be open when the column is about to go."""
    ada, client = Profile.objects.create(name="Ada King"), Client(Lab.__new__(FarmLab))
    write = f"UPDATE accounts_profile SET province_id = {tehran.pk} WHERE id = {ada.pk}"

    def begin(guard: Guard, migration: Migration) -> None:
        if migration.name == "0004_profile_province":
            client.run(write if committed else f"BEGIN; {write}")
        whole(guard, migration)

    def watch(execute: Any, text: str, *rest: Any) -> Any:
        locks = text.startswith('LOCK TABLE "public"."accounts_profile" IN ACCESS EXCLUSIVE')
        # A try that was not granted in time is followed by another.
        if locks and not committed and not committing:
            committing.append(Thread(target=commit_when_waited_for, args=[client]))
            committing[0].start()
        return execute(text, *rest)

    whole, committing = Guard.begin, list[Thread]()
    monkeypatch.setattr(Guard, "begin", begin)
    with connection.execute_wrapper(watch), pytest.raises(Refused, match=f"has values in 1 rows, such as {ada.pk},"):
        farm.migrate("accounts", "0001")
    for thread in committing:
        thread.join()
    client.close()

    assert len(committing) == (not committed)
    assert Profile.objects.get(pk=ada.pk).province == tehran
    assert farm.rows("accounts_profile") == farm.rows("portal_profile")
    farm.migrate()
    farm.assert_in_step()


def commit_when_waited_for(client: Client) -> None:
    pid = client.connection.info.backend_pid
    question = "SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
    until(lambda: client.onlooker.execute(question, [pid]).rowcount, "nobody waits")
    client.run("COMMIT")


@pytest.mark.long
def test_it_goes_back_once_nobody_has_one_and_the_cure_works(resident: Profile) -> None:
    Profile.objects.update(province=None)
    farm.migrate_back()
    assert portal.Profile.objects.get(pk=resident.pk).name == "Ada"
    farm.migrate()
    Profile.objects.filter(pk=resident.pk).update(province=Province.objects.get())
    farm.migrate("accounts", "0003")
    farm.migrate_back()
    farm.migrate()
    assert Profile.objects.get(pk=resident.pk).province is None


@pytest.mark.long
@pytest.mark.parametrize("way", ["in place", "retired"])
def test_nor_is_it_lost_where_the_old_table_is_a_view(way: str, planned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    move = import_module("accounts.migrations.0002_migrate_profile_data").profile
    monkeypatch.setattr(move, "in_place", way == "in place")
    farm.migrate()
    if way == "retired":
        call_command("retiremoves", "portal.Profile", "--noinput", verbosity=0)
    resident = Profile.objects.create(name="Ada King", province=Province.objects.create(name="تهران", code="IR-23"))
    before = farm.picture(records=True)
    with pytest.raises(Refused, match="public.accounts_profile.province_id has values in 1 rows"):
        farm.migrate("accounts", "0001")
    assert farm.picture(records=True) == before
    Profile.objects.update(province=None)
    farm.migrate("accounts", "0001")
    assert portal.Profile.objects.get(pk=resident.pk).name == "Ada King"


def test_printers_go_back_alone(resident: Profile, tehran: Province) -> None:
    farm.migrate("printers", "0001")
    assert Profile.objects.get(pk=resident.pk).province == tehran


@pytest.mark.parametrize("target", [("printers", "0001"), ("accounts", "0001")])
def test_a_dropped_table_is_refused_before_any_migration_is_unapplied(live: str, target: tuple[str, str]) -> None:
    call_command("retiremoves", "--noinput", verbosity=0)
    call_command("retiremoves", "portal.Printer", "--drop", confirm=live, verbosity=0, stdout=StringIO())
    before = farm.picture(records=True)
    with pytest.raises(Refused, match="old table of portal.Printer -> printers.Printer was dropped for good"):
        farm.migrate(*target)
    farm.sql("DROP VIEW portal_printer")
    with pytest.raises(Refused, match="public.portal_printer stays a view of public.printers_printer"):
        farm.migrate(*target)
    assert "printers_printer_printing_idx" in before
    assert "printers_printer_printing_idx" in farm.picture(records=True)


def test_a_province_that_somebody_lives_in_stays(resident: Profile, tehran: Province) -> None:
    with pytest.raises(ProtectedError):
        tehran.delete()
    assert str(tehran) == "Tehran (IR-23)"
    assert str(Province(name="تهران", code="IR-23")) == "تهران (IR-23)"
