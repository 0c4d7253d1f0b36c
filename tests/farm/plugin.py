"""The farm's databases as fixtures: the monolith as it stood is built and filled once, and cloned for each test.

A plugin, for tests everywhere ask for them, and each is to be there once.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import connection, connections
from pytest_django import DjangoDbBlocker

from scripts import seeding
from tests.farm import farm
from tests.farm.databases import WORKER, Owned, connected_to, database
from tests.servers import pgbouncer
from tests.servers.plugin import refuse
from tests.servers.starting import NotInstalled


@pytest.fixture(scope="session")
def filled(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The name of a database as the monolith left it, with content types, permissions and awkward rows."""
    with django_db_blocker.unblock(), database(f"test_monolith_{WORKER}") as name:
        with connected_to(name):
            farm.build_monolith()
            seeding.fill(connection, profiles=60, printers=200)
        yield name


@pytest.fixture
def monolith(filled: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The default connection leads to the monolith's database, a copy that the test may do anything to."""
    with django_db_blocker.unblock(), database(f"test_farm_{WORKER}", template=filled) as name, connected_to(name):
        yield


@pytest.fixture
def empty(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The default connection leads to a database without any table."""
    with django_db_blocker.unblock(), database(f"test_empty_{WORKER}") as name, connected_to(name):
        yield


@pytest.fixture
def owned(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Owned]:
    roles, name = (f"test_owner_{WORKER}", f"test_clerk_{WORKER}"), f"test_owned_{WORKER}"
    with django_db_blocker.unblock():
        # A run that was killed has left its database, whose owner could not be dropped.
        farm.on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        for role in roles:
            farm.on_server(f'DROP ROLE IF EXISTS "{role}"', f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'secret'")
        with database(name):
            farm.on_server(f'ALTER DATABASE "{name}" OWNER TO "{roles[0]}"')
            yield Owned(name, *roles)
        farm.on_server(*(f'DROP ROLE "{role}"' for role in roles))


@pytest.fixture
def other(monolith: None, filled: str) -> Iterator[str]:
    """An alias beside `default`, with a copy of the monolith's database of its own."""
    with database(f"test_other_{WORKER}", template=filled) as name:
        connections.databases["other"] = connections.databases["default"] | {"NAME": name}
        try:
            yield "other"
        finally:
            connections["other"].close()
            del connections["other"], connections.databases["other"]


@pytest.fixture
def pooled() -> Callable[..., AbstractContextManager[None]]:
    """Lets the default connection go through a PgBouncer of a mode, and of other settings, until a block ends."""

    @contextmanager
    def through(mode: str, **settings: object) -> Iterator[None]:
        behind = connection.get_connection_params()
        with pgbouncer.started(behind, mode, **settings) as place, connected_to(behind["dbname"], **place):
            yield

    try:
        pgbouncer.program()
    except NotInstalled as missing:
        refuse(missing)
    return through
