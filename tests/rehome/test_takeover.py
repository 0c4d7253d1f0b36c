"""docs/takeover.md, from its first block to its last, on databases that others made, with the others still writing."""

import dataclasses
import datetime
import re
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.farm.databases import WORKER, connected_to, database
from tests.farm.farm import sql
from tests.pages import commands
from tests.rehome.support.old_shop import EXAMPLES, PAGE, WORK, Log, Project, old_application
from tests.servers.mariadb import MariaDB

SAME = "The models and the database say the same."
VIENNA = zoneinfo.ZoneInfo("Europe/Vienna")


@pytest.fixture
def shop(django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Project]:
    """The old application's database, to which the default connection leads, and a project without models."""
    with django_db_blocker.unblock(), database(f"test_takeover_{WORKER}") as name, connected_to(name):
        sql(EXAMPLES["shop"])
        known = {key: connection.settings_dict[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
        project = Project(tmp_path, {"ENGINE": "django.db.backends.postgresql", **known})
        project.build()
        yield project


@pytest.fixture
def execute(shop: Project) -> Iterator[Callable[..., Any]]:
    """As the PHP application: a plain session in the zone of the shop."""
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if parameters.get(name)}
    with psycopg.connect(**known, autocommit=True) as session:
        session.execute("SET TIME ZONE 'Europe/Vienna'")

        def run(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
            named = re.sub(r"\bcustomers\b", '"Customers"', re.sub(r"\borders\b", '"order"', statement))
            return session.execute(named, parameters).fetchall()

        yield run


def run_apart(script: str) -> None:
    """Each statement by itself, as psql would."""
    for statement in filter(None, map(str.strip, script.split(";"))):
        sql(statement)


def assert_nothing_is_lost(log: Log) -> None:
    assert log.totals
    assert log.gone
    assert dict(sql('SELECT id, total FROM "order"')) == log.totals
    assert sql('SELECT id FROM "Customers" WHERE id = ANY(%s)', [list(log.gone)]) == []
    active = dict(sql('SELECT id, active FROM "Customers" WHERE id = ANY(%s)', [list(log.switched)]))
    assert active == {customer: "Y" if on else "N" for customer, on in log.switched.items()}


def assert_both_have_one_time() -> None:
    """The clock of the wall in Vienna, whoever wrote it."""
    here = datetime.datetime.now(VIENNA).replace(tzinfo=None)
    for (created,) in sql('SELECT created FROM "order"'):
        assert abs(here - created) < datetime.timedelta(minutes=10)


def test_every_block_of_the_page_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert EXAMPLES.keys() == set(re.findall(r'EXAMPLES\["(\w+)"\]', source))
    assert PAGE.count("```python") + PAGE.count("```sql") + PAGE.count("```diff") == len(EXAMPLES)


def test_every_command_of_the_page_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for block in commands("docs/takeover.md"):
        for line in block.commands.splitlines():
            command = line.removeprefix("python manage.py ").partition(" >")[0]
            assert f'"{command}' in source, line


@pytest.mark.long
def test_a_database_is_taken_over_while_both_applications_write(shop: Project, execute: Callable[..., Any]) -> None:
    log = Log()
    with old_application(execute, log, psycopg.errors.DeadlockDetected) as written:
        shop.write("shop/models.py", shop.run("inspectdb"))
        told = re.search(r"\d+ differences in database 'default'", shop.run("checkschema shop", code=1))
        assert told
        assert f"names all of that: {told[0].partition(' in')[0]} here" in PAGE.replace("\n", " ")

        shop.write("shop/fields.py", EXAMPLES["fields"])
        shop.write("shop/models.py", EXAMPLES["models"])
        run_apart(EXAMPLES["remedies"])
        printed = shop.run("checkschema shop", WORK)
        assert SAME in printed
        log.read(printed)

        shop.manage()
        sql('ALTER TABLE "order" ALTER note TYPE varchar(200)')
        refused = shop.run("makemigrations shop", "migrate --fake-initial", code=1)
        assert 'shop.Order, column "note": type' in refused
        assert sql("SELECT to_regclass('django_migrations')") == [(None,)]
        sql('ALTER TABLE "order" ALTER note TYPE text')
        assert "Applying shop.0001_initial... FAKED" in shop.run("migrate --fake-initial")

        shop.edit(EXAMPLES["later"])
        before = written()
        printed = shop.run("makemigrations shop", "migrate", "checkschema shop", WORK)
        assert re.search(r"Applying shop\.0002_\w+\.\.\. OK", printed)
        assert SAME in printed
        assert written() > before
        log.read(printed)

    assert_nothing_is_lost(log)
    assert_both_have_one_time()

    shop.edit(EXAMPLES["alone"])
    assert SAME in shop.run("makemigrations shop", "migrate", "checkschema shop")
    with database(f"test_takeover_new_{WORKER}") as name:
        assert SAME in dataclasses.replace(shop, database={**shop.database, "NAME": name}).run(
            "migrate", "checkschema shop"
        )
    assert_nothing_is_lost(log)


@pytest.fixture
def maria_shop(mariadb: MariaDB, tmp_path: Path) -> Iterator[Project]:
    with mariadb.database(f"takeover_{WORKER}") as older:
        mariadb.run(*filter(None, map(str.strip, EXAMPLES["mariadb_shop"].split(";"))), name=older.name)
        project = Project(tmp_path, older.settings)
        project.build()
        project.write("shop/models.py", EXAMPLES["mariadb_models"])
        yield project


LATER_ON_MARIADB = """\
-    total = models.DecimalField(max_digits=10, decimal_places=2, default=0, db_default=0)
+    total = models.DecimalField(max_digits=12, decimal_places=2, default=0, db_default=0)
+    phone = models.CharField(max_length=30, default="", db_default="")
@@
-        constraints = [models.UniqueConstraint(fields=["email"], name="customers_email")]
+        constraints = [models.UniqueConstraint(fields=["email", "active"], name="customers_email")]
"""


@pytest.mark.long
def test_a_database_of_mariadb_is_taken_over(maria_shop: Project, mariadb: MariaDB) -> None:
    from MySQLdb import OperationalError

    session = mariadb.connect(maria_shop.database["NAME"])

    def execute(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
        changed = statement.replace("orders", "`order`").replace("(name, email) VALUES ('Old', ", "(email) VALUES (")
        returning = not statement.startswith("UPDATE")
        with session.cursor() as cursor:
            cursor.execute(changed if returning else changed.removesuffix(" RETURNING id"), parameters)
            return list(cursor.fetchall()) if returning else [()] * cursor.rowcount

    log = Log()
    with old_application(execute, log, OperationalError):
        assert SAME in maria_shop.run("checkschema shop")
        maria_shop.manage()
        faked = maria_shop.run("makemigrations shop", "migrate --fake-initial")
        assert "Applying shop.0001_initial... FAKED" in faked
        maria_shop.edit(LATER_ON_MARIADB)
        printed = maria_shop.run("makemigrations shop", "migrate", "checkschema shop")
        assert re.search(r"Applying shop\.0002_\w+\.\.\. OK", printed)
        assert SAME in printed

    found = execute("SELECT id, total FROM orders", [])
    session.close()
    assert log.totals
    assert dict(found) == log.totals
