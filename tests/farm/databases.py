"""Databases of the farm's own for a while, and connections that lead to them."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.contenttypes.models import ContentType
from django.db import connection

from tests.farm import farm

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@contextmanager
def connected_to(name: str, **settings: str) -> Iterator[None]:
    """The default connection leads to another database of the same server, and may be another role's."""
    before = dict(connection.settings_dict)
    connection.close()
    ContentType.objects.clear_cache()
    connection.settings_dict.update(NAME=name, **settings)
    try:
        yield
    finally:
        connection.close()
        ContentType.objects.clear_cache()
        connection.settings_dict.update(before)


@contextmanager
def database(name: str, *, template: str = "template1") -> Iterator[str]:
    """A database that is gone afterwards."""
    farm.on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield name
    finally:
        farm.on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


@dataclasses.dataclass(frozen=True)
class Owned:
    """An empty database, the role it belongs to, and another that may do nothing yet; neither is a superuser."""

    name: str
    owner: str
    clerk: str
