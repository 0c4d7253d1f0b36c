"""Who moves the rows, and where: an ordinary role, and a database that is not the default one."""

from contextlib import AbstractContextManager

import pytest
from django.db import connection

from accounts.models import Profile
from portal import models as portal
from printers.models import Printer
from scripts import seeding
from tests.database import dump
from tests.farm import farm
from tests.farm.databases import Owned, connected_to


@pytest.mark.long
@pytest.mark.parametrize("online", ["0", "1"])
def test_the_owner_of_the_tables_is_enough_and_others_keep_what_they_may_do(
    owned: Owned, monkeypatch: pytest.MonkeyPatch, online: str
) -> None:
    monkeypatch.setenv("REHOME_ONLINE", online)

    def connected_as(role: str) -> AbstractContextManager[None]:
        return connected_to(owned.name, USER=role, PASSWORD="secret")

    with connected_as(owned.owner):
        assert farm.sql("SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user") == [(False,)]
        farm.build_monolith()
        seeding.fill(connection, profiles=20, printers=40)
        farm.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON portal_profile, portal_printer TO "{owned.clerk}"')
        farm.sql(f'GRANT SELECT ON auth_user TO "{owned.clerk}"')
        farm.sql(f'GRANT USAGE ON SEQUENCE portal_profile_id_seq, portal_printer_id_seq TO "{owned.clerk}"')
        farm.migrate()
        farm.assert_in_step()

    with connected_as(owned.clerk):
        old = portal.Profile.objects.create(name="the clerk's")
        new = Printer.objects.create(profile_id=old.pk, ip_address="192.0.2.1", api_key="the clerk's")
        portal.Printer.objects.filter(pk=10).delete()
        Profile.objects.filter(pk=40).update(name="renamed")

    with connected_as(owned.owner):
        farm.assert_in_step()
        farm.migrate_back()
        assert portal.Printer.objects.get(pk=new.pk).profile_id == old.pk
        assert portal.Profile.objects.get(pk=40).name == "renamed"
        assert not portal.Printer.objects.filter(pk=10).exists()
        farm.migrate()
        farm.assert_in_step()
        farm.migrate_back()

    with connected_as(owned.clerk):
        assert portal.Printer.objects.create(ip_address="192.0.2.2").pk == new.pk + 1


@pytest.mark.long
def test_a_move_on_another_database_leaves_the_default_one_alone(other: str) -> None:
    before = dump()
    ((rows,),) = farm.sql("SELECT count(*) FROM portal_printer")

    farm.migrate(database=other)
    farm.assert_in_step(other)
    born = Printer.objects.using(other).create(ip_address="192.0.2.1", api_key="other")
    assert portal.Printer.objects.using(other).get(pk=born.pk).api_key == "other"
    assert Printer.objects.using(other).count() == rows + 1
    farm.migrate_back(other)
    assert portal.Printer.objects.using(other).get(pk=born.pk).api_key == "other"

    assert dump() == before
