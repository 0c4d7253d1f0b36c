"""The portal on views: old code, new code and the admin, in every order of retiring and unretiring."""

import itertools
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test import Client

from accounts.models import Profile
from portal import models as portal
from printers.models import Printer
from tests.farm import farm

pytestmark = pytest.mark.server

PROFILE, PRINTER = "accounts.Profile", "printers.Printer"
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
 WHERE contype = 'f' ORDER BY 1, 2
"""


def retire(*arguments: str, **options: Any) -> None:
    name = connection.settings_dict["NAME"]
    call_command("retiremoves", *arguments, "--noinput", confirm=name, verbosity=0, stdout=StringIO(), **options)


@pytest.fixture
def admin(live: str) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "secret"))
    return client


def write_everything() -> None:
    """What old code does in a day, through the ORM; new code sees all of it."""
    profile = portal.Profile.objects.create(name="retired")
    born = portal.Printer.objects.create(profile=profile, ip_address="192.0.2.1", api_key="1")
    assert Printer.objects.get(pk=born.pk).profile_id == Profile.objects.get(name="retired").pk
    with transaction.atomic():
        locked = portal.Printer.objects.select_for_update().get(pk=born.pk)
        locked.api_key = "2"
        locked.save()
    addresses = [f"198.51.100.{number}" for number in range(20)]
    portal.Printer.objects.bulk_create(portal.Printer(ip_address=address, api_key="bulk") for address in addresses)
    again = [portal.Printer(ip_address=address, api_key="bulk", ping=True) for address in [*addresses[:5], "new"]]
    portal.Printer.objects.bulk_create(again, ignore_conflicts=True)
    again = [portal.Printer(ip_address=address, api_key="bulk", ping=True) for address in addresses[:5]]
    portal.Printer.objects.bulk_create(
        again, update_conflicts=True, unique_fields=["ip_address", "api_key"], update_fields=["ping"]
    )
    bulk = portal.Printer.objects.filter(api_key="bulk")
    assert (bulk.count(), Printer.objects.filter(api_key="bulk", ping=True).count()) == (21, 6)
    changed = list(bulk.order_by("pk")[:10])
    for printer in changed:
        printer.printing = True
    assert portal.Printer.objects.bulk_update(changed, ["printing"]) == 10
    assert bulk.filter(printing=True).update(api_key=F("ip_address")) == 10
    with pytest.raises(IntegrityError), transaction.atomic():
        portal.Printer.objects.create(ip_address="192.0.2.1", api_key="2")
    bulk.delete()
    portal.Printer.objects.filter(api_key=F("ip_address")).delete()
    profile.delete()
    assert not Printer.objects.filter(pk=born.pk).exists()


@pytest.mark.parametrize(
    ("retired", "unretired"),
    list(itertools.product(itertools.permutations([PROFILE, PRINTER]), repeat=2)),
    ids=lambda names: " ".join(name.partition(".")[2] for name in names),
)
def test_moves_are_retired_and_unretired_in_any_order(
    live: str, retired: tuple[str, str], unretired: tuple[str, str]
) -> None:
    before = farm.sql(FOREIGN_KEYS)
    for name in retired:
        retire(name)
        write_everything()
    for name in unretired:
        retire(name, "--undo")
        write_everything()
    assert farm.sql(FOREIGN_KEYS) == before
    farm.assert_in_step()


@pytest.mark.long
@pytest.mark.parametrize("retired", [[PROFILE], [PRINTER], [PRINTER, PROFILE]])
def test_migrate_leads_back_from_every_state(live: str, retired: list[str]) -> None:
    for name in retired:
        retire(name)
    farm.migrate()
    born = portal.Profile.objects.create(name="while retired")
    Printer.objects.create(profile_id=born.pk, ip_address="a", api_key="b")
    keys = len(farm.sql(FOREIGN_KEYS))

    farm.migrate_back()

    assert portal.Printer.objects.get(api_key="b").profile == portal.Profile.objects.get(name="while retired")
    assert (Profile.objects.count(), Printer.objects.count()) == (0, 0)
    assert all(validated for *_, validated in farm.sql(FOREIGN_KEYS))
    assert len(farm.sql(FOREIGN_KEYS)) >= keys
    farm.migrate()
    farm.assert_in_step()


@pytest.mark.long
def test_the_admin_works(admin: Client) -> None:
    retire()
    nothing_known = {"machine-TOTAL_FORMS": "0", "machine-INITIAL_FORMS": "0"}
    written = {"ip_address": "https://new.example", "api_key": "new", "profile": "20", "printing": "on"} | nothing_known
    assert admin.post("/admin/printers/printer/30/change/", written).status_code == 302
    assert admin.post("/admin/printers/printer/add/", written | {"api_key": "another"}).status_code == 302
    assert portal.Printer.objects.get(pk=30).profile_id == 20
    assert portal.Printer.objects.filter(api_key="another").count() == 1
    owner = User.objects.get(pk=10)
    assert admin.post(f"/admin/auth/user/{owner.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not portal.Profile.objects.filter(user_id=10).exists()
    retire("--undo")
    assert not User.objects.filter(pk=10).exists()
    farm.assert_in_step()


def test_retiring_and_unretiring_leaves_no_trace(live: str) -> None:
    before = farm.picture()
    retire()
    retire("--undo")
    assert farm.picture() == before


@pytest.mark.long
def test_an_ordinary_role_is_enough(owned: Any) -> None:
    from django.db import connection

    from scripts import seeding
    from tests.farm.databases import connected_to

    with connected_to(owned.name, USER=owned.owner, PASSWORD="secret"):
        farm.build_monolith()
        seeding.fill(connection, profiles=10, printers=20)
        farm.migrate()
        retire()
        write_everything()
        retire("--undo")
        farm.assert_in_step()
        retire()
        retire("--drop")
        write_everything()


def test_a_flushed_database_is_one_whose_new_tables_are_empty(live: str) -> None:
    retire()
    call_command("flush", interactive=False, verbosity=0)
    assert portal.Printer.objects.count() == Printer.objects.count() == 0
    portal.Profile.objects.create(name="after")
    assert Profile.objects.get().name == "after"
    retire("--undo")
    assert farm.rows("portal_profile") == farm.rows("accounts_profile")
    assert (portal.Profile.objects.count(), portal.Printer.objects.count()) == (1, 0)
