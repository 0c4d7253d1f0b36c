"""How rehome asks the server: statements of its own, those of the project, and several in one message."""

import collections
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import settings
from rehome.postgres.sql import inlined


def query(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Run one reading statement of rehome's own and return all of its rows, whatever schemas are looked in just now."""
    with settings.own(connection):
        return fetch(connection, statement, params)


def fetch(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
    """The same for a statement whose names mean what they mean just now."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def fetch_each(connection: BaseDatabaseWrapper, statements: Iterable[tuple[str, Any]]) -> list[list[tuple[Any, ...]]]:
    """The rows of each of several statements with their parameters, in one message to the server."""
    text = ";".join(inlined(connection, statement, params) for statement, params in statements)
    with connection.wrap_database_errors:
        # A project may have its connections prepare what they repeat, which several statements can't be.
        cursor = connection.connection.execute(text, prepare=False)
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
    return found


def fetch_for_project(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
    """The rows of a statement whose names mean what they mean to the project."""
    if not settings.is_own(connection):
        return fetch(connection, statement, params)
    paths = settings.paths_of(connection)
    there, back = ((settings.LOOK_IN, [path, connection.in_atomic_block]) for path in (paths[0], paths[-1]))
    _, rows, _ = fetch_each(connection, [there, (statement, params), back])
    return rows


def column(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> list[Any]:
    """The one column of `query`."""
    return [found for (found,) in query(connection, statement, params)]


def value(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> Any:
    """The one value of `query`."""
    (found,) = column(connection, statement, params)
    return found


def by_oid(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    """Rows without their first value, under that value."""
    found = collections.defaultdict(list)
    for oid, *row in rows:
        found[oid].append(tuple(row))
    return found
