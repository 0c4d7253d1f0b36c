"""The farm in three states, as databases to copy: before anything moved, after, and back again."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from scripts import seeding
from tests.farm import farm
from tests.farm.databases import WORKER, connected_to, database

PROFILES, PRINTERS = 20, 50


@contextmanager
def house(template: str) -> Iterator[str]:
    """A copy of a database, to which the default connection leads."""
    with database(f"{template}_copy", template=template) as name, connected_to(name):
        yield name


@contextmanager
def planned() -> Iterator[str]:
    """Old rows, new empty tables, and nothing moved."""
    with database(f"test_planned_{WORKER}") as name:
        with connected_to(name):
            farm.build_monolith()
            seeding.fill(connection, profiles=PROFILES, printers=PRINTERS)
            farm.prepare_targets()
        yield name


@contextmanager
def live(template: str) -> Iterator[str]:
    """Everything moved, both tables in use."""
    with database(f"test_live_{WORKER}", template=template) as name:
        with connected_to(name):
            farm.migrate()
        yield name
