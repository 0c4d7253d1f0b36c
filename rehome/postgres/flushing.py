"""`flush`, with which a TransactionTestCase ends too, empties the old table of a live move along with the new one.

Django empties the tables of the models that the code has, all in one statement. The old class is gone from the code,
and its table is not: it is kept in sync, so the new one can't be emptied alone, and its foreign keys lead to tables
that can't be emptied without it.
"""

import functools
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.operations import DatabaseOperations

from rehome.postgres import asking, resolution
from rehome.postgres.sql import Identifier

SOURCES = r"""
SELECT DISTINCT s.nspname::text, c.relname::text
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace s ON s.oid = c.relnamespace
  JOIN pg_class n ON n.oid = ANY (%s::oid[]) JOIN pg_namespace m ON m.oid = n.relnamespace
 WHERE t.tgname ~ '^rehome_(forward|frozen)_[0-9a-f]{12}$' AND c.oid <> ALL (%s::oid[])
   AND right(t.tgname, 12) = left(encode(sha256(convert_to(
       s.nspname || '.' || c.relname || chr(10) || m.nspname || '.' || n.relname, 'UTF8')), 'hex'), 12)
 ORDER BY 1, 2
"""


def install() -> None:
    """Let Django ask here; safe to repeat."""
    written = DatabaseOperations.sql_flush
    if hasattr(written, "__wrapped__"):
        return

    @functools.wraps(written)
    def sql_flush(operations: Any, style: Any, tables: Sequence[str], **options: Any) -> list[str]:
        return written(operations, style, [*tables, *find_sources(operations.connection, tables)], **options)

    DatabaseOperations.sql_flush = sql_flush  # type: ignore[method-assign, assignment]


def find_sources(connection: BaseDatabaseWrapper, tables: Sequence[str]) -> list[str]:
    """The old tables of those among `tables` that are live or that froze them, but for those that are among them."""
    named = [oid for oid in resolution.find_all(connection, map(connection.ops.quote_name, tables)) if oid is not None]
    return [Identifier(*place).as_string() for place in asking.query(connection, SOURCES, [named, named])]
