"""Empties PostgreSQL after a test that commits, as Django's `flush` does, in a tenth of the time.

`flush` truncates every table, and then announces a migration, so that all content types and permissions are written
anew. Here what a flush left stays, and what came since goes; where something of it is lost, Django's own way is gone.
"""

from collections.abc import Iterable
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
left: dict[tuple[str, str], dict[str, set[str]]] = {}
"""By alias and name of a database: the rows of each table that has any after a flush."""


def install() -> None:
    TransactionTestCase._fixture_teardown = empty  # type: ignore[attr-defined]


def empty(test: Any) -> None:
    used = [connections[alias] for alias in test._databases_names(include_mirrors=False)]
    if any(connection.vendor != "postgresql" for connection in used):
        flush(test)
    elif not all(take_back(connection) for connection in used):
        flush(test)
        for connection in used:
            left[key(connection)] = rows(connection, filled(connection))


def take_back(connection: BaseDatabaseWrapper) -> bool:
    """Whether nothing else is there than after a flush."""
    known = left.get(key(connection))
    if known is None:
        return False
    there = filled(connection)
    found = rows(connection, known.keys() & there)
    if any(not kept <= found.get(name, set()) for name, kept in known.items()):
        return False
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        if more := there - known.keys():
            cursor.execute(f"TRUNCATE {', '.join(map(quote, sorted(more)))} CASCADE")
        if new := {name: found[name] - kept for name, kept in known.items() if found[name] != kept}:
            # Rows that came together point at each other.
            cursor.execute("SET session_replication_role = replica")
            for name, some in new.items():
                cursor.execute(f"DELETE FROM {quote(name)} t WHERE t::text = ANY(%s)", [list(some)])
            cursor.execute("RESET session_replication_role")
    return True


def key(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    return connection.alias, str(connection.settings_dict["NAME"])


def filled(connection: BaseDatabaseWrapper) -> set[str]:
    """Tables of models that have rows."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return {name for name, some in ask(connection, "EXISTS (SELECT FROM {table})", names) if some}


def rows(connection: BaseDatabaseWrapper, names: Iterable[str]) -> dict[str, set[str]]:
    every = "(SELECT array_agg(t::text) FROM {table} t)"
    return {name: set(some) for name, some in ask(connection, every, names)}


def ask(connection: BaseDatabaseWrapper, expression: str, names: Iterable[str]) -> list[tuple[str, Any]]:
    """The expression for each table."""
    quote = connection.ops.quote_name
    asked = [(name, expression.format(table=quote(name))) for name in names]
    if not asked:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT %s, {one}" for _, one in asked), [name for name, _ in asked])
        return cursor.fetchall()
