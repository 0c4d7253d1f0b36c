"""A read-only alias and its router, as a project's settings have them."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from pytest_django import DjangoDbBlocker

from rehome import read_only
from tests.servers.mariadb import MariaDB
from tests.servers.postgis import PLAIN_ENGINE, PostGIS
from tests.servers.starting import Database


def test_what_the_options_say_stays() -> None:
    postgresql = read_only({"ENGINE": PLAIN_ENGINE, "OPTIONS": {"options": "-c statement_timeout=5s", "pool": True}})
    assert postgresql["OPTIONS"] == {
        "options": "-c statement_timeout=5s -c default_transaction_read_only=on",
        "pool": True,
    }
    mysql = read_only({"ENGINE": "django.db.backends.mysql", "TEST": {"NAME": "x"}}, apps=["shop"])
    assert mysql["OPTIONS"] == {"init_command": "SET SESSION TRANSACTION READ ONLY"}
    assert (mysql["TEST"], mysql["READ_ONLY_APPS"]) == ({"MIRROR": "default", "NAME": "x"}, ("shop",))


@pytest.mark.parametrize("engine", ["django.db.backends.sqlite3", "", None])
def test_another_engine_is_refused(engine: str | None) -> None:
    with pytest.raises(ImproperlyConfigured, match="ENGINE is .*, which rehome can't keep from writing"):
        read_only({"ENGINE": engine})


def refuses_to_write(database: Database, statement: str, **options: str) -> str:
    """What a session says of its zone, having refused to write."""
    settings = read_only({**database.settings, "OPTIONS": options})
    with database.alias("legacy", OPTIONS=settings["OPTIONS"]), connections["legacy"].cursor() as cursor:
        with pytest.raises(DatabaseError, match="(?i)read[- ]only transaction"):
            cursor.execute(statement)
        cursor.execute("SELECT current_setting('TimeZone')" if "options" in options else "SELECT @@session.time_zone")
        return str(cursor.fetchone()[0])


def test_a_session_on_mariadb_only_reads(mariadb: MariaDB, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), mariadb.database() as database:
        zone = refuses_to_write(database, "CREATE TABLE mine (id int)", init_command="SET time_zone = '+03:30'")
    assert zone == "+03:30"


def test_a_session_on_postgresql_only_reads(postgis: PostGIS, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), postgis.database(engine=PLAIN_ENGINE) as database:
        refuses_to_write(database, "CREATE TABLE mine (id int)", options="-c statement_timeout=5s")
