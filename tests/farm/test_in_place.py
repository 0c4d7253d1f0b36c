"""The farm moves in place, whole or one model of it, by the project's own migrations."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module

import pytest
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import path
from pytest_django import Settings

from accounts.models import Profile
from portal import models as portal
from printers.models import Printer
from scripts import seeding
from tests.database import dump, psql
from tests.farm import farm
from tests.farm.databases import WORKER, Owned, connected_to, database
from tests.farm.test_faults import Migration

pytestmark = pytest.mark.server

MODELS = {
    "accounts": import_module("accounts.migrations.0002_migrate_profile_data").profile,
    "printers": import_module("printers.migrations.0002_migrate_printer_data").printer,
}
LONGER = [
    import_module("portal.migrations.0002_printer_longer_api_key").Migration,
    import_module("printers.migrations.0004_printer_longer_api_key").Migration,
]
OLD_AND_NEW = (("portal_profile", "accounts_profile"), ("portal_printer", "printers_printer"))
WAYS = {"both": ("accounts", "printers"), "profiles": ("accounts",), "printers": ("printers",)}


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the migrations of these apps, and of no others, say in_place=True.

    A view shows a column as it is, so the keys of printers stay as short as they are.
    """

    def run(*apps: str) -> None:
        for app, move in MODELS.items():
            monkeypatch.setattr(move, "in_place", app in apps)
        for longer in LONGER:
            monkeypatch.setattr(longer, "operations", [])

    return run


@pytest.fixture(params=[pytest.param(way, marks=() if way == "both" else pytest.mark.long) for way in WAYS])
def ways(request: pytest.FixtureRequest, monolith: None, declare: Callable[..., None]) -> tuple[str, ...]:
    """Which of the two goes in place; the other goes by copying."""
    declare(*WAYS[request.param])
    farm.prepare_everything()
    return WAYS[request.param]


def picture() -> str:
    """The whole database but for the record, and for what a way back leaves on purpose."""
    for (function,) in farm.sql("SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'rehome_fence%'"):
        farm.sql(f"DROP FUNCTION {function} CASCADE")
    farm.sql("DROP TABLE IF EXISTS rehome_moverun")
    return dump(without_data=[*farm.NUMBERS, *farm.RECORDS])


def write() -> None:
    """Through every model: born, changed, deleted."""
    owner = portal.Profile.objects.create(name="old code")
    heir = Profile.objects.create(name="new code")
    portal.Printer.objects.create(profile=owner, ip_address="192.0.2.1", api_key="old")
    Printer.objects.create(profile=heir, ip_address="192.0.2.2", api_key="new")
    portal.Printer.objects.filter(api_key="new").update(printing=True)
    Printer.objects.filter(api_key="old").update(profile=heir.pk)
    portal.Profile.objects.filter(pk=owner.pk).delete()


@pytest.mark.long
def test_rows_are_the_same_under_both_names_and_there_and_back(ways: tuple[str, ...]) -> None:
    before = picture()
    for _ in range(2):
        farm.migrate()
        call_command("makemigrations", "accounts", check=True, dry_run=True, verbosity=0)
        call_command("verifymoves", verbosity=0)
        for old, new in OLD_AND_NEW:
            assert farm.rows(old) == farm.rows(new)
        for app in ("accounts", "printers"):
            kind = farm.sql(
                "SELECT relkind FROM pg_class WHERE oid = %s::regclass", [MODELS[app].source.replace(".", "_")]
            )
            assert kind == [("v" if app in ways else "r",)]
        farm.migrate_back()
        assert picture() == before


@pytest.mark.long
def test_what_is_written_through_any_model_is_there_after_the_way_back(ways: tuple[str, ...]) -> None:
    farm.migrate()
    write()
    call_command("verifymoves", verbosity=0)
    expected = farm.rows("accounts_profile"), farm.rows("printers_printer")

    farm.migrate_back()

    assert (farm.rows("portal_profile"), farm.rows("portal_printer")) == expected
    assert [p["printing"] for p in expected[1].values() if p["api_key"] == "new"] == [True]
    assert portal.Printer.objects.create(ip_address="192.0.2.9", api_key="next").pk not in expected[1]


@pytest.mark.long
def test_the_tables_are_what_migrations_make_from_nothing(ways: tuple[str, ...]) -> None:
    new = [table for old, table in OLD_AND_NEW if MODELS[table.split("_")[0]].in_place]
    twins = dump(tables=new, schema_only=True)
    farm.migrate("printers", "0002")
    assert dump(tables=new, schema_only=True) == twins


@pytest.mark.long
def test_what_sqlmove_prints_is_what_migrate_does(ways: tuple[str, ...]) -> None:
    def printed(app: str, **options: bool) -> str:
        lines: list[str] = []
        out = type("Out", (), {"write": lines.append, "isatty": lambda _: False})
        call_command("sqlmove", app, "0002", stdout=out, **options)
        return "".join(lines)

    before = picture()
    for app in ways:
        if app == "printers" and ways == ("printers",):
            farm.migrate("accounts", "0002")
        script = printed(app)
        farm.migrate(app, "0002")
        migrated = picture_of_tables()
        back = printed(app, backwards=True)
        farm.migrate(app, "0001")
        psql(script)
        assert picture_of_tables() == migrated
        psql(back)
        farm.migrate(app, "0002")
    farm.migrate_back()
    assert picture() == before


def picture_of_tables() -> str:
    return dump(without_data=[*farm.NUMBERS, *farm.RECORDS], tables=["accounts_*", "printers_*", "portal_*"])


@pytest.mark.long
def test_a_mixed_farm_goes_in_place_after_it_went_by_copying(monolith: None, declare: Callable[..., None]) -> None:
    farm.prepare_everything()
    before = picture()
    for apps in ((), ("accounts", "printers"), ("printers",), (), ("accounts",)):
        declare(*apps)
        farm.migrate()
        write()
        call_command("verifymoves", verbosity=0)
        # Whatever is declared by then, a move goes back the way it came.
        declare()
        farm.migrate_back()
        portal.Printer.objects.filter(api_key__in=["old", "new"]).delete()
        portal.Profile.objects.filter(name__in=["old code", "new code"]).delete()
    after = picture()
    assert [line for line in after.splitlines() if "setval" not in line] == [
        line for line in before.splitlines() if "setval" not in line
    ]


@pytest.mark.long
def test_printers_come_back_to_profiles_that_were_retired_meanwhile(
    monolith: None, declare: Callable[..., None]
) -> None:
    def leads_to() -> str:
        key = "SELECT confrelid::regclass::text, convalidated FROM pg_constraint WHERE contype = 'f' AND conrelid = "
        ((table, validated),) = farm.sql(f"{key} 'portal_printer'::regclass")
        assert validated
        return table

    declare("printers")
    farm.prepare_everything()
    before = picture()
    farm.migrate()
    call_command("retiremoves", "accounts.Profile", interactive=False)
    farm.migrate("printers", "0001")
    assert leads_to() == "accounts_profile"
    call_command("retiremoves", "accounts.Profile", undo=True)
    assert leads_to() == "portal_profile"
    farm.migrate_back()
    farm.sql("DROP SEQUENCE IF EXISTS rehome_writes_adb98c6e4d9a")
    assert picture() == before


@pytest.mark.long
def test_printers_go_in_place_while_profiles_are_retired(monolith: None, declare: Callable[..., None]) -> None:
    declare("printers")
    farm.migrate("accounts")
    call_command("retiremoves", "accounts.Profile", interactive=False)
    farm.migrate()
    write()
    call_command("verifymoves", "printers.Printer", verbosity=0)
    rows = farm.rows("printers_printer")
    farm.migrate_back()
    assert farm.rows("portal_printer") == rows
    assert farm.sql("SELECT count(*) FROM portal_profile WHERE name = 'new code'") == [(1,)]


@pytest.mark.long
def test_profiles_alone_can_not_go_back_under_printers(ways: tuple[str, ...]) -> None:
    farm.migrate()
    farm.migrate("accounts", "0001")
    for old, new in OLD_AND_NEW:
        assert farm.rows(old)
        assert not farm.rows(new)


@pytest.fixture
def in_place(monolith: None, declare: Callable[..., None]) -> None:
    declare("accounts", "printers")
    farm.migrate()


def test_the_admin_of_old_and_new_code(in_place: None, settings: Settings) -> None:
    site = AdminSite(name="admin")
    site.register([portal.Profile, portal.Printer, Profile, Printer])
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [path("admin/", site.urls)]})
    settings.LOGIN_URL = "/admin/login/"
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "secret"))
    for app, log in (("portal", portal.Printer), ("printers", Printer)):
        written = {"ip_address": f"https://{app}.example", "api_key": "admin", "profile": "20", "printing": "on"}
        assert client.post(f"/admin/{app}/printer/add/", written).status_code == 302
        born = Printer.objects.get(ip_address=f"https://{app}.example")
        assert (born.printing, born.profile_id) == (True, 20)
        address = f"/admin/{app}/printer/{born.pk}"
        assert client.get(f"{address}/change/").status_code == 200
        assert client.post(f"{address}/change/", written | {"api_key": "changed"}).status_code == 302
        assert portal.Printer.objects.get(pk=born.pk).api_key == "changed"
        assert b"already exists" in client.post(f"/admin/{app}/printer/add/", written | {"api_key": "changed"}).content
        assert client.post(f"{address}/delete/", {"post": "yes"}).status_code == 302
        assert not Printer.objects.filter(pk=born.pk).exists()
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(log), object_id=str(born.pk))
        assert entries.count() == 3


@pytest.mark.long
def test_permissions_and_the_admin_log_follow_and_come_back(monolith: None, declare: Callable[..., None]) -> None:
    def log_of(model: type[Model]) -> int:
        return LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model)).count()

    declare("accounts", "printers")
    entries = log_of(portal.Printer)
    assert entries
    for _ in range(2):
        farm.migrate()
        assert User.objects.get(pk=10).has_perm("printers.add_printer")
        assert User.objects.get(pk=10).has_perm("portal.add_printer")
        assert (log_of(Printer), log_of(portal.Printer)) == (entries, 0)
        farm.migrate_back()
        assert User.objects.get(pk=10).has_perm("portal.add_printer")
        assert not User.objects.get(pk=10).has_perm("printers.add_printer")
        assert (log_of(Printer), log_of(portal.Printer)) == (0, entries)


@pytest.mark.long
def test_showmoves_says_that_a_move_is_in_place(in_place: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verifymoves", verbosity=0)
    capsys.readouterr()
    call_command("showmoves", format="json")
    moves = json.loads(capsys.readouterr().out)
    assert [(move["phase"], move["sync"], move["verified_ok"], move["note"]) for move in moves] == [
        ("in place", None, True, "")
    ] * 2


@pytest.mark.long
def test_migrating_again_repairs_and_validates_what_is_left(in_place: None) -> None:
    before = picture_of_tables()
    farm.sql("DROP VIEW portal_printer; CREATE VIEW portal_printer AS SELECT * FROM printers_printer")
    Migration(MODELS["printers"], "printers", "0002_migrate_printer_data").forwards()
    assert picture_of_tables() == before
    call_command("verifymoves", verbosity=0)


def test_tests_of_a_project_can_flush(in_place: None) -> None:
    call_command("flush", interactive=False, verbosity=0)
    assert (Printer.objects.count(), portal.Printer.objects.count()) == (0, 0)
    assert portal.Printer.objects.create(ip_address="192.0.2.1", api_key="first").pk == 1


@pytest.mark.long
def test_a_dump_is_restored_as_it_is(in_place: None) -> None:
    # PostgreSQL itself prints its check differently once it is restored.
    farm.sql("DROP TABLE mfa_authenticator")
    script = dump()
    with database(f"test_restored_{WORKER}") as name, connected_to(name):
        psql(script)
        assert dump() == script
        call_command("verifymoves", verbosity=0)
        farm.migrate_back()
        assert farm.rows("portal_printer")


@pytest.mark.long
def test_the_owner_of_the_tables_is_enough(owned: Owned, declare: Callable[..., None]) -> None:
    def connected_as(role: str) -> AbstractContextManager[None]:
        return connected_to(owned.name, USER=role, PASSWORD="secret")

    declare("accounts", "printers")
    with connected_as(owned.owner):
        farm.build_monolith()
        seeding.fill(connection, profiles=20, printers=40)
        farm.prepare_everything()
        farm.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON portal_profile, portal_printer TO "{owned.clerk}"')
        farm.sql(f'GRANT SELECT ON auth_user TO "{owned.clerk}"')
        before = picture()
        for _ in range(2):
            farm.migrate()
            call_command("verifymoves", verbosity=0)
            farm.migrate_back()
            assert picture() == before
        farm.migrate()
    with connected_as(owned.clerk):
        write()
    with connected_as(owned.owner):
        call_command("verifymoves", verbosity=0)
        rows = farm.rows("printers_printer")
        farm.migrate_back()
        assert farm.rows("portal_printer") == rows


@pytest.mark.long
def test_a_database_that_the_migrations_make_is_the_same_whichever_way(
    empty: None, declare: Callable[..., None]
) -> None:
    tables = ["accounts_*", "printers_*"]
    farm.migrate("accounts", "0001")
    farm.migrate("printers", "0001")
    farm.migrate("printers", "zero")
    farm.migrate("accounts", "zero")
    declare("accounts", "printers")
    farm.migrate()
    made = dump(tables=tables, schema_only=True)
    call_command("makemigrations", "accounts", check=True, dry_run=True, verbosity=0)
    assert portal.Printer.objects.create(ip_address="192.0.2.1", api_key="first").pk == 1
    assert Printer.objects.create(ip_address="192.0.2.2", api_key="second").pk == 2
    farm.migrate("printers", "zero")
    farm.migrate("accounts", "zero")
    assert portal.Printer.objects.count() == 2
    farm.migrate()
    assert dump(tables=tables, schema_only=True) == made


@pytest.mark.long
def test_another_database_goes_in_place_and_the_default_one_stays(other: str, declare: Callable[..., None]) -> None:
    declare("accounts", "printers")
    before = dump()
    for _ in range(2):
        farm.migrate(database=other)
        call_command("verifymoves", database=other, verbosity=0)
        born = portal.Printer.objects.using(other).create(ip_address="192.0.2.1", api_key="other")
        assert Printer.objects.using(other).get(pk=born.pk).api_key == "other"
        born.delete()
        farm.migrate_back(other)
    assert dump() == before
