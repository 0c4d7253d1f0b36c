"""Forward, back, forward, back: what remains is the record of it and the fence."""

import pytest
from django.db import connection
from django_test_migrations.signals import mute_migrate_signals

from portal.models import Printer
from scripts import seeding
from tests.farm import farm

pytestmark = pytest.mark.server

KEYS = """
SELECT c.relname::text, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text, pg_get_serial_sequence(c.relname, 'id')
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id'
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE c.relname IN ('portal_profile', 'portal_printer') ORDER BY c.relname
"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE sequencename LIKE 'portal%' ORDER BY 1"
LABELS = "SELECT id, model FROM django_content_type WHERE app_label = ANY(%s) ORDER BY id"
PERMISSIONS = """
SELECT p.id, p.codename, p.name,
       ARRAY(SELECT group_id FROM auth_group_permissions g WHERE g.permission_id = p.id ORDER BY 1),
       ARRAY(SELECT user_id FROM auth_user_user_permissions u WHERE u.permission_id = p.id ORDER BY 1)
  FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
 WHERE t.app_label = ANY(%s) ORDER BY p.id
"""
LOG = "SELECT id, content_type_id, object_id FROM django_admin_log ORDER BY id"


@pytest.fixture(params=["serial", pytest.param("identity", marks=pytest.mark.long)])
def deployed(request: pytest.FixtureRequest, empty: None) -> tuple[bool, str]:
    """A database on which only portal.0001 has run: by Django 3.2, whose ids are serial, or by this Django.

    Returns whether the keys have a default, and their kind of identity.
    """
    if request.param == "serial":
        farm.sql(farm.DJANGO_32.read_text())
        return True, ""
    farm.build_monolith()
    seeding.fill(connection, profiles=20, printers=50)
    return False, "d"


def identity(*app_labels: str) -> tuple[object, ...]:
    """Content types and permissions of apps, with who was granted them, and the admin log."""
    return farm.sql(LABELS, [list(app_labels)]), farm.sql(PERMISSIONS, [list(app_labels)]), farm.sql(LOG)


@pytest.mark.long
def test_a_deployed_database_goes_there_and_comes_back_as_it_was(deployed: tuple[bool, str]) -> None:
    keys, sequences, names = farm.sql(KEYS), farm.sql(SEQUENCES), identity("portal")
    rows = farm.rows("portal_profile"), farm.rows("portal_printer")
    assert {(bool(default), kind) for _, default, kind, _ in keys} == {deployed}

    for _ in range(2):
        farm.migrate()
        farm.assert_in_step()
        assert identity("accounts", "printers") == names
        assert [default for _, default, _, _ in farm.sql(KEYS)] == [
            "nextval('printers_printer_id_seq'::regclass)",
            "nextval('accounts_profile_id_seq'::regclass)",
        ]
        farm.migrate_back()
        assert (farm.sql(KEYS), farm.sql(SEQUENCES), identity("portal")) == (keys, sequences, names)
        assert (farm.rows("portal_profile"), farm.rows("portal_printer")) == rows

    born = Printer.objects.create(ip_address="192.0.2.200", api_key="next")
    assert born.pk == dict(sequences)["portal_printer_id_seq"] + 1


@pytest.mark.long
def test_what_remains_is_the_record_and_the_fence(deployed: tuple[bool, str]) -> None:
    farm.prepare_everything()
    farm.migrate("portal")
    # A way back leaves a wider column as it is.
    farm.sql("ALTER TABLE printers_printer ALTER api_key TYPE varchar(128)")
    before = farm.picture()

    farm.migrate()
    farm.migrate_back()
    once = farm.picture()
    farm.migrate()
    farm.migrate_back()

    assert farm.picture() == once
    assert once != before
    farm.drop_traces()
    assert farm.picture() == before


@pytest.mark.long
def test_the_moves_end_alike_whether_or_not_the_signals_of_migrate_are_heard(monolith: None) -> None:
    farm.prepare_targets()
    before = identity("portal")
    farm.migrate()
    assert identity("accounts", "printers") == before
    farm.migrate_back()
    with mute_migrate_signals():
        farm.migrate()
        assert identity("accounts", "printers") == before
        farm.assert_in_step()
        farm.migrate_back()
    assert identity("portal") == before


@pytest.mark.long
def test_a_rollback_of_the_profiles_alone_rolls_the_printers_back_first(monolith: None) -> None:
    rows = farm.rows("portal_profile"), farm.rows("portal_printer")
    farm.migrate()
    farm.migrate("accounts", "0001")
    assert (farm.rows("portal_profile"), farm.rows("portal_printer")) == rows
    assert (farm.rows("accounts_profile"), farm.rows("printers_printer")) == ({}, {})

    # From there to before the new apps existed, and all the way again.
    farm.migrate("printers", "zero")
    farm.migrate("accounts", "zero")
    farm.migrate()
    farm.assert_in_step()
    assert (farm.rows("accounts_profile"), farm.rows("printers_printer")) == rows
