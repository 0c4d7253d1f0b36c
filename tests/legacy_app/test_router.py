"""Models of the older database are read from it, and nothing writes to it by any way."""

from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.test.utils import get_unique_databases_and_mirrors

from accounts.models import Profile
from core.models import Province
from rehome.errors import Refused
from tests.legacy_app.conftest import Connect
from tests.legacy_app.ostans import Ostans
from tests.manage import manage
from tests.servers.mariadb import MariaDB
from tests.servers.starting import Database, free_port

ROWS = "SELECT xmin::text, to_jsonb(o)::text FROM prjapi_ostans o ORDER BY id"
READ_ONLY = "(?i)read[- ]only transaction"


@pytest.fixture
def model(legacy: BaseDatabaseWrapper) -> type:
    from legacy_app.models import Ostans as model

    return model


WRITES: dict[str, Callable] = {
    "save": lambda model: model.objects.first().save(),
    "save of a new one": lambda model: model(name_fa="x").save(),
    "create": lambda model: model.objects.create(name_fa="x"),
    "update": lambda model: model.objects.update(name_en="x"),
    "update with F": lambda model: model.objects.filter(pk=1).update(name_en=Concat(F("name_en"), Value("x"))),
    "delete": lambda model: model.objects.first().delete(),
    "delete of many": lambda model: model.objects.all().delete(),
    "bulk_create": lambda model: model.objects.bulk_create([model(name_fa="x")]),
    "bulk_update": lambda model: model.objects.bulk_update([model.objects.first()], ["name_en"]),
    "get_or_create": lambda model: model.objects.get_or_create(name_fa="x"),
    "update_or_create": lambda model: model.objects.update_or_create({"name_en": "x"}, name_fa="x"),
    "select_for_update": lambda model: list(model.objects.select_for_update()),
}


def test_every_write_raises(model: type, older: Ostans) -> None:
    before = older.sql(ROWS)
    for name, write in WRITES.items():
        with pytest.raises(Refused, match="Ostans is a table of database 'legacy', which is only read"):
            write(model)
        assert older.sql(ROWS) == before, name


def test_only_legacy_models_are_read_from_the_legacy_database(model: type) -> None:
    assert model.objects.count() == 31
    assert model.objects.get(name_en="Tehran").border.num_geom == 1
    assert router.db_for_read(Profile) == router.db_for_write(Profile) == "default"


def test_writes_that_name_the_legacy_database_are_refused(model: type, older: Ostans) -> None:
    found = model.objects.get(name_en="Tehran")
    for write in (
        lambda: found.save(using="legacy"),
        lambda: found.delete(using="legacy"),
        lambda: model.objects.using("legacy").update(name_en="x"),
        lambda: model.objects.using("legacy").bulk_create([model(name_fa="x", border=found.border)]),
    ):
        with pytest.raises((DatabaseError, Refused), match=f"{READ_ONLY}|is only read"):
            write()
    assert older.sql("SELECT count(*) FROM prjapi_ostans WHERE name_en = 'Tehran'") == [(1,)]


def test_sql_can_not_write_to_the_legacy_database(legacy: BaseDatabaseWrapper, older: Ostans) -> None:
    before = older.sql(ROWS)
    for statement in (
        "UPDATE prjapi_ostans SET name_en = 'x'",
        "DELETE FROM prjapi_ostans",
        "TRUNCATE prjapi_ostans",
        "DROP TABLE prjapi_ostans",
        "CREATE TABLE mine (id int)",
        "SELECT nextval('prjapi_ostans_id_seq')",
        "COPY prjapi_ostans (id) FROM STDIN",
    ):
        with legacy.cursor() as cursor, pytest.raises(DatabaseError, match=READ_ONLY):
            cursor.execute(statement)
    assert older.sql(ROWS) == before


def test_sql_can_not_write_to_a_legacy_mariadb(maria: Database, mariadb: MariaDB, connect: Connect) -> None:
    mariadb.run("CREATE TABLE counted (id int) ENGINE=MyISAM", name=maria.name)
    with connect(maria) as connection:
        for statement in (
            "INSERT INTO counted VALUES (1)",
            "TRUNCATE counted",
            "DROP TABLE counted",
            "ALTER TABLE prjapi_ostans ADD note int",
            "CREATE TABLE mine (id int)",
            "LOCK TABLES counted WRITE",
        ):
            with connection.cursor() as cursor, pytest.raises(DatabaseError, match=READ_ONLY):
                cursor.execute(statement)
        with transaction.atomic(using="legacy"), connection.cursor() as cursor:
            cursor.execute("SELECT @@session.tx_isolation, (SELECT count(*) FROM counted)")
            assert cursor.fetchone() == ("REPEATABLE-READ", 0)
            with pytest.raises(DatabaseError, match=READ_ONLY):
                cursor.execute("INSERT INTO counted VALUES (1)")


def test_no_relation_crosses(model: type) -> None:
    ostan, province = model.objects.first(), Province(name="x")
    assert router.allow_relation(ostan, province) is router.allow_relation(province, ostan) is False
    assert router.allow_relation(ostan, model.objects.last()) is True


def test_nothing_is_migrated_there(model: type, older: Ostans) -> None:
    before = older.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
    for app_label in ("core", "accounts", "auth", "legacy_app"):
        assert router.allow_migrate("legacy", app_label) is False
    assert router.allow_migrate("default", "legacy_app") is False
    assert router.allow_migrate("default", "core") is True
    with pytest.raises(CommandError, match=READ_ONLY):
        call_command("migrate", database="legacy", verbosity=0)
    assert older.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1") == before


def test_the_test_runner_neither_makes_nor_drops_it(legacy: BaseDatabaseWrapper) -> None:
    made, mirrored = get_unique_databases_and_mirrors({"default", "legacy"})
    assert mirrored == {"legacy": "default"}
    assert [name for name, aliases in made.values()] == [connections["default"].settings_dict["NAME"]]


@pytest.mark.long
def test_other_commands_do_not_need_the_legacy_database(older: Ostans) -> None:
    """They neither reach for it nor see its models as theirs."""
    away = older.database.environment | {"LEGACY_DB_PORT": str(free_port())}
    for command in (["makemigrations", "--check", "--dry-run"], ["check"], ["showmigrations", "legacy_app"]):
        done = manage(*command, **away)
        assert (done.returncode, "legacy_app.Ostans" in done.stdout) == (0, False), done.stderr
