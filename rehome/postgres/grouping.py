"""Queries that Django groups by a primary key alone are grouped by every column where its table is or may be a view.

PostgreSQL does not know that the other columns of a view follow from its key.

What is a view is asked of the catalog while a query is composed, for a connection that was opened before a table was
replaced knows nothing of it. An answer is good for a tenth of a second, so that asking costs nothing that can be
measured; that a table may become a view is known as soon as its rows are kept in sync. Where it still is a table,
PostgreSQL's planner leaves out again what follows from the key.
"""

import functools
import time
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.features import DatabaseFeatures
from psycopg.pq import TransactionStatus

GOOD_FOR_S = 0.1
MAY_BE_A_VIEW = """
SELECT c.relkind OPERATOR(pg_catalog.=) 'v' OR EXISTS (
         SELECT FROM pg_catalog.pg_trigger t
          WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid AND pg_catalog.starts_with(t.tgname::text, 'rehome_forward_'))
  FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%s)
"""
WITHOUT_EQUALITY = {"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"}
"""Types by which PostgreSQL can't group."""

views: set[tuple[str, str]] = set()
"""Database and table of what is a view or may become one; once known, it is not asked again."""
tables: dict[tuple[str, str], float] = {}
"""The same of tables that are no such ones, and when they were asked about."""


def install() -> None:
    """Let Django ask here; safe to repeat."""
    asked = DatabaseFeatures.allows_group_by_selected_pks_on_model
    if hasattr(asked, "__wrapped__"):
        return

    @functools.wraps(asked)
    def allows(features: DatabaseFeatures, model: Any) -> bool:
        return asked(features, model) and is_table(features.connection, model)

    DatabaseFeatures.allows_group_by_selected_pks_on_model = allows  # type: ignore[method-assign, assignment]


def is_table(connection: BaseDatabaseWrapper, model: Any) -> bool:
    """Whether a model's table is one that no move will replace by a view."""
    place = connection.alias, model._meta.db_table
    if place in views:
        return False
    if time.monotonic() - tables.get(place, -GOOD_FOR_S) < GOOD_FOR_S:
        return True
    if not is_askable(connection):
        # Every column is right for a table too, but for the types that can't be grouped by.
        return not can_be_grouped(model, connection)
    return ask(connection, place)


def is_askable(connection: BaseDatabaseWrapper) -> bool:
    """A query is composed before Django connects; nobody may want to send it."""
    driver = connection.connection
    return driver is not None and not driver.closed and driver.info.transaction_status != TransactionStatus.INERROR


def ask(connection: BaseDatabaseWrapper, place: tuple[str, str]) -> bool:
    """Beside Django, whose log and whose count of queries are the project's."""
    try:
        with connection.connection.cursor() as cursor:
            found = cursor.execute(MAY_BE_A_VIEW, [connection.ops.quote_name(place[1])]).fetchone()
    except psycopg.Error:
        return True  # The query itself will say what is wrong.
    if found is None:
        return False
    if found[0]:
        views.add(place)
    else:
        tables[place] = time.monotonic()
    return not found[0]


def can_be_grouped(model: Any, connection: BaseDatabaseWrapper) -> bool:
    return WITHOUT_EQUALITY.isdisjoint(field.db_type(connection) for field in model._meta.concrete_fields)


def forget() -> None:
    """What is known of every database."""
    views.clear()
    tables.clear()
