"""Databases of the farm's own: the monolith as it stood is built and filled once, and cloned for each test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from pytest_django import DjangoDbBlocker

from scripts import seeding
from tests.moves import farm

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@contextmanager
def connected_to(name: str) -> Iterator[None]:
    """The default connection leads to another database of the same server."""
    before = connection.settings_dict["NAME"]
    connection.close()
    ContentType.objects.clear_cache()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        ContentType.objects.clear_cache()
        connection.settings_dict["NAME"] = before


@contextmanager
def database(name: str, *, template: str = "template1") -> Iterator[str]:
    """A database that is gone afterwards."""
    farm.on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield name
    finally:
        farm.on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


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
