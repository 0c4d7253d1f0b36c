from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import environ
import pytest
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from core.legacy import ALIAS, APP, legacy_config
from tests.legacy_app.ostans import TABLE, Ostans
from tests.servers.mariadb import MariaDB
from tests.servers.postgis import PostGIS
from tests.servers.starting import Database

Connect = Callable[..., AbstractContextManager[BaseDatabaseWrapper]]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Connect:
    """Have this process see an older database as the settings have it for its environment; others come on top."""

    @contextmanager
    def run(database: Database, **changes: Any) -> Iterator[BaseDatabaseWrapper]:
        for name, value in database.environment.items():
            monkeypatch.setenv(name, value)
        config = legacy_config(environ.Env())
        routers = ["rehome.ReadOnlyRouter"]
        with (
            override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, APP], DATABASE_ROUTERS=routers),
            database.alias(ALIAS, **{**config, **changes}) as alias,
            django_db_blocker.unblock(),
        ):
            yield connections[alias]

    return run


@pytest.fixture
def older(postgis: PostGIS) -> Iterator[Ostans]:
    """The older application's database on PostGIS, with 31 provinces."""
    with postgis.database() as database:
        yield Ostans(postgis, database)


@pytest.fixture
def legacy(older: Ostans, connect: Connect) -> Iterator[BaseDatabaseWrapper]:
    """This process's connection to it."""
    with connect(older.database) as connection:
        yield connection


@pytest.fixture
def maria(mariadb: MariaDB, postgis: PostGIS) -> Iterator[Database]:
    """An older database on MariaDB, with the table and nothing in it. PostGIS's fixture says where GDAL is missing."""
    with mariadb.database() as database:
        columns = "id int PRIMARY KEY, name_fa varchar(100), name_en varchar(100), border geometry"
        mariadb.run(f"CREATE TABLE {TABLE} ({columns})", name=database.name)
        yield database
