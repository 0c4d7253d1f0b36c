"""The portal while both tables live: old code and new code in one process, and the admin."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from django.db.models import F, Model
from django.test import Client

from accounts.models import Profile
from portal import models as portal
from printers.models import Printer
from scripts import seeding
from tests.farm import farm


@pytest.fixture
def live(monolith: None) -> None:
    farm.migrate()


@pytest.fixture
def admin(live: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "secret"))
    return client


def test_deleting_a_user_in_the_admin_takes_both_profiles_and_all_printers_along(admin: Client) -> None:
    owner = User.objects.get(pk=10)
    born = Printer.objects.create(profile_id=10, ip_address="192.0.2.11", api_key="born after the move")
    address = f"/admin/auth/user/{owner.pk}/delete/"
    assert admin.get(address).status_code == 200

    assert admin.post(address, {"post": "yes"}).status_code == 302

    assert not User.objects.filter(pk=owner.pk).exists()
    for models in ((portal.Profile, portal.Printer), (Profile, Printer)):
        assert not models[0].objects.filter(pk=10).exists()
        assert not models[1].objects.filter(pk__in=[10, seeding.LARGEST_INT, born.pk]).exists()
        assert models[1].objects.filter(pk=20, profile=20).exists()
    farm.assert_in_step()


@pytest.mark.long
def test_what_the_admin_writes_old_code_reads(admin: Client) -> None:
    nothing_known = {"machine-TOTAL_FORMS": "0", "machine-INITIAL_FORMS": "0"}
    written = {"ip_address": "https://new.example", "api_key": "new", "profile": "20", "printing": "on"} | nothing_known
    assert admin.post("/admin/printers/printer/30/change/", written).status_code == 302
    assert admin.post("/admin/printers/printer/add/", written | {"api_key": "another"}).status_code == 302
    assert admin.post("/admin/accounts/profile/40/delete/", {"post": "yes"}).status_code == 302

    values = portal.Printer.objects.values_list("ip_address", "profile", "printing", "ping").get(pk=30)
    assert values == ("https://new.example", 20, True, False)
    assert portal.Printer.objects.filter(api_key="another").count() == 1
    assert not portal.Printer.objects.filter(pk=40).exists()
    # Taken by old code, and refused to new code before the database would.
    portal.Printer.objects.create(ip_address="192.0.2.77", api_key="taken")
    taken = {"ip_address": "192.0.2.77", "api_key": "taken"} | nothing_known
    refused = admin.post("/admin/printers/printer/add/", taken)
    assert b"already exists" in refused.content
    farm.assert_in_step()


def test_old_and_new_code_share_a_transaction(live: None) -> None:
    with transaction.atomic():
        profile = Profile.objects.create(name="new")
        old = portal.Profile.objects.select_for_update().get(pk=profile.pk)
        old.organization = "old"
        old.save()
        printer = portal.Printer.objects.create(profile=old, ip_address="192.0.2.1", api_key="1")
        Printer.objects.filter(pk=printer.pk).update(ip_address=F("api_key"), profile=None)
        with pytest.raises(IntegrityError), transaction.atomic():
            Printer.objects.create(ip_address="1", api_key="1")
        with pytest.raises(IntegrityError), transaction.atomic():
            portal.Printer.objects.create(ip_address="1", api_key="1")
    with transaction.atomic():
        Profile.objects.filter(pk=profile.pk).delete()
        portal.Profile.objects.create(name="undone")
        transaction.set_rollback(True)

    assert Profile.objects.get(pk=profile.pk).organization == "old"
    assert portal.Printer.objects.get(pk=printer.pk).ip_address == "1"
    assert not Profile.objects.filter(name="undone").exists()
    farm.assert_in_step()


def test_whole_sets_of_rows_are_carried(live: None) -> None:
    addresses = [f"198.51.100.{number}" for number in range(50)]
    portal.Printer.objects.bulk_create(portal.Printer(ip_address=address, api_key="bulk") for address in addresses)
    known = [Printer(ip_address=address, api_key="bulk") for address in addresses]
    Printer.objects.bulk_create(known, ignore_conflicts=True)
    Printer.objects.bulk_create(
        [Printer(ip_address=address, api_key="bulk", ping=True) for address in [*addresses[:10], "198.51.100.99"]],
        update_conflicts=True,
        unique_fields=["ip_address", "api_key"],
        update_fields=["ping"],
    )
    bulk = portal.Printer.objects.filter(api_key="bulk")
    assert (bulk.count(), bulk.filter(ping=True).count()) == (51, 11)
    changed = list(bulk.order_by("pk")[:20])
    for printer in changed:
        printer.printing = True
    portal.Printer.objects.bulk_update(changed, ["printing"])
    _, created = Printer.objects.update_or_create(ip_address=addresses[30], api_key="bulk", defaults={"printing": True})
    assert not created
    assert Printer.objects.filter(api_key="bulk", printing=True).count() == 21
    Profile.objects.update(organization=F("username"))
    Printer.objects.filter(api_key="bulk", printing=False).delete()

    assert bulk.count() == 21
    farm.assert_in_step()


def permission(app_label: str, codename: str) -> Permission:
    return Permission.objects.get(content_type__app_label=app_label, codename=codename)


def has(user: int, *names: str) -> list[bool]:
    return [User.objects.get(pk=user).has_perm(name) for name in names]


@pytest.mark.long
def test_permissions_and_the_admin_log_follow_and_come_back(monolith: None) -> None:
    def log_of(model: type[Model]) -> int:
        return LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model)).count()

    operator = User.objects.get(pk=60)
    operator.groups.set([1])
    entries = log_of(portal.Printer)
    old = ["portal.add_printer", "portal.change_printer", "portal.calibrate_printer", "portal.delete_profile"]
    new = ["printers.add_printer", "printers.change_printer", "printers.calibrate_printer", "accounts.delete_profile"]
    grants = {10: [True, False, False, False], 30: [False, False, False, True], 60: [False, True, True, False]}

    farm.migrate()

    for user, granted in grants.items():
        assert has(user, *new) == granted
        assert has(user, *old) == granted
    assert (log_of(Printer), log_of(portal.Printer)) == (entries, 0)
    assert entries
    # Granted and revoked since, through either label.
    User.objects.get(pk=10).user_permissions.add(permission("printers", "delete_printer"))
    User.objects.get(pk=30).user_permissions.add(permission("portal", "view_printer"))
    User.objects.get(pk=30).user_permissions.remove(permission("accounts", "delete_profile"))

    farm.migrate_back()

    assert has(10, *old, "portal.delete_printer") == [True, False, False, False, True]
    assert has(30, *old, "portal.view_printer") == [False, False, False, False, True]
    assert has(60, *old) == grants[60]
    assert has(60, *new) == [False] * 4
    assert (log_of(Printer), log_of(portal.Printer)) == (0, entries)
