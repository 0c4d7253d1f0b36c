"""Databases that a script makes beside the project's own, and the models that fit their migrations."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.apps.registry import Apps
from django.core.management import CommandError
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from psycopg.sql import SQL, Composable, Identifier, Literal

PROJECT: str = connection.settings_dict["NAME"]
LONGEST_NAME = 63
MARK = "Made by scripts/"
"""How the comment of a database begins that a script may drop."""


def use(name: str) -> None:
    """The default connection leads to this database from now on."""
    connections.close_all()
    connection.settings_dict["NAME"] = name


def make(purpose: str) -> str:
    """Make a database anew, and return its name, which is the project's with the purpose behind it.

    Raises CommandError when the name is taken by a database that no script made.
    """
    name = name_for(purpose)
    create(name)
    return name


@contextmanager
def made(purpose: str, *, template: str = "template1") -> Iterator[str]:
    """The same, from a template, and gone afterwards."""
    name = name_for(purpose)
    try:
        create(name, template)
        yield name
    finally:
        drop(name)


def name_for(purpose: str) -> str:
    name = f"{PROJECT[: LONGEST_NAME - 1 - len(purpose)]}_{purpose}"
    use(PROJECT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [name])
        found = cursor.fetchone()
    if found and not str(found[0]).startswith(MARK):
        raise CommandError(f"There is a database {name!r} that this script did not make; rename it first.")
    return name


def create(name: str, template: str = "template1") -> None:
    drop(name)
    comment = f"{MARK}{Path(sys.argv[0]).name}, which drops it when it runs again."
    on_server(
        SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)),
        SQL("COMMENT ON DATABASE {} IS {}").format(Identifier(name), Literal(comment)),
    )


def drop(name: str) -> None:
    """Whoever is connected to it."""
    on_server(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def on_server(*statements: Composable) -> None:
    """Run statements beside every database that they make or drop."""
    use(PROJECT)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connections.close_all()


def models() -> Apps:
    """The models as the migrations describe them that the default connection's database has had.

    Today's have columns that come with later migrations, and a script's database stands where the script left it.
    """
    loader = MigrationLoader(connection)
    had = [migration for migration in loader.applied_migrations if migration in loader.graph.nodes]
    return loader.project_state(had).apps
