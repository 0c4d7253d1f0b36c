"""The settings of a session under which rehome's own statements run, whatever its role and its database say.

A name then means what PostgreSQL itself means by it, for in `pg_catalog` nobody else creates a function or an operator
that fits better, and a value prints in one form, in which different values are different texts. Statements that set off
the project's own triggers, checks and policies run under the project's search path, as they would without rehome.
"""

import contextlib
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql
from psycopg.pq import TransactionStatus

from rehome.postgres import pooling

FORMATS = {
    "extra_float_digits": "3",
    "datestyle": "ISO",  # The style alone: the order of day and month is how the project's texts are read.
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "xmloption": "content",
    "quote_all_identifiers": "off",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "standard_conforming_strings": "on",
    "gin_fuzzy_search_limit": "0",
    "exit_on_error": "off",
    "restrict_nonsystem_relation_kind": "",
}
"""What a value or a definition prints as, and what would leave something out of an answer."""

# What this server does not know is left out. The parser knows this `unnest` of two lists by itself.
CHANGE = """
SELECT name, before, CASE WHEN before IS NOT NULL THEN pg_catalog.set_config(name, value, {}) END
  FROM (SELECT wanted.name, wanted.value, pg_catalog.current_setting(wanted.name, true)
          FROM unnest({}::pg_catalog.text[], {}::pg_catalog.text[]) AS wanted (name, value)
        OFFSET 0) AS known (name, value, before)
"""

LOOK_IN = "SELECT pg_catalog.set_config('search_path', %s, %s)"

paths: weakref.WeakKeyDictionary[Any, list[str]] = weakref.WeakKeyDictionary()
"""By connection of the driver: the project's search path, and each that was set over it; the last one holds."""


def change(connection: BaseDatabaseWrapper, values: Mapping[str, str], *, local: bool) -> dict[str, str]:
    """Change settings until the transaction ends, or the session; return what they were. Raises Refused where the
    session is not this connection's own.
    """
    with connection.cursor() as cursor:
        if not local:
            refuse_handed_on(connection)
        cursor.execute(changing(values, local=local).as_string(), None)
        return {name: before for name, before, _ in cursor.fetchall() if before is not None}


def refuse_handed_on(connection: BaseDatabaseWrapper) -> None:
    """Before anything is left on its session: raises Refused where a pooler hands that on to others."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        pooling.refuse_handed_on(connection.connection)


def changing(values: Mapping[str, str], *, local: bool) -> sql.Composable:
    """The statement of it."""
    return sql.SQL(CHANGE).format(*map(sql.Literal, (local, list(values), list(values.values()))))


@contextlib.contextmanager
def own(connection: BaseDatabaseWrapper, *schemas: str, held: bool = False) -> Iterator[None]:
    """Run rehome's own statements until the block ends; they find what is in `schemas` too, after `pg_catalog`.

    Outside a transaction the block is one, so that a pooler that hands the connection on hands on nothing else;
    `held` says that the session is rehome's for longer, and that the block has statements of several transactions.
    """
    path = sql.SQL(", ").join(map(sql.Identifier, ("pg_catalog", *schemas, "pg_temp"))).as_string()
    known = paths_of(connection)
    with contextlib.ExitStack() as opened:
        if known[-1:] != [path]:
            if not held and not connection.in_atomic_block:
                opened.enter_context(transaction.atomic(using=connection.alias))
            opened.enter_context(looking_in(connection, path) if known else taken_over(connection, path))
        yield


def guarded(connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
    """Like `own`, and nothing where the statements are rehome's own already, whichever schemas they look in."""
    return contextlib.nullcontext() if is_own(connection) else own(connection)


@contextlib.contextmanager
def projects(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let names mean what they mean to the project until the block ends."""
    with looking_in(connection, paths_of(connection)[0]) if is_own(connection) else contextlib.nullcontext():
        yield


def lend(connection: BaseDatabaseWrapper) -> sql.Composable:
    """What does the same within a savepoint that is rolled back."""
    return sql.SQL("SELECT pg_catalog.set_config('search_path', {}, true)").format(sql.Literal(paths_of(connection)[0]))


def reclaim(connection: BaseDatabaseWrapper) -> tuple[sql.Composable, ...]:
    """What makes the session rehome's own again there, after code that may have changed any setting."""
    path = sql.SQL("SET LOCAL search_path TO {}").format(sql.SQL(paths_of(connection)[-1]))
    return sql.SQL("RESET ALL"), path, changing(FORMATS, local=True)


def leave(connection: BaseDatabaseWrapper) -> None:
    """Before the commit of a transaction: what was left to it is the project's."""
    if is_own(connection):
        look_in(connection, paths_of(connection)[0])


def is_own(connection: BaseDatabaseWrapper) -> bool:
    known = paths_of(connection)
    return bool(known) and known[-1] != known[0]


def paths_of(connection: BaseDatabaseWrapper) -> list[str]:
    """A connection that was lost takes its settings with it."""
    connection.ensure_connection()
    return paths.get(connection.connection, [])


@contextlib.contextmanager
def taken_over(connection: BaseDatabaseWrapper, path: str) -> Iterator[None]:
    """Change every setting, and set what it was in the end."""
    local, driver = connection.in_atomic_block, connection.connection
    before = change(connection, {**FORMATS, "search_path": path}, local=local)
    paths[driver] = [before["search_path"], path]
    try:
        yield
    finally:
        del paths[driver]
        if driver is connection.connection and can_run(connection):
            change(connection, before, local=local)


@contextlib.contextmanager
def looking_in(connection: BaseDatabaseWrapper, path: str) -> Iterator[None]:
    """Change the search path alone, within `taken_over`."""
    known, driver = paths_of(connection), connection.connection
    look_in(connection, path)
    known.append(path)
    try:
        yield
    finally:
        known.pop()
        if driver is connection.connection and can_run(connection):
            look_in(connection, known[-1])


def look_in(connection: BaseDatabaseWrapper, path: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOOK_IN, [path, connection.in_atomic_block])


def can_run(connection: BaseDatabaseWrapper) -> bool:
    """Not after an error of PostgreSQL; the end of the transaction or savepoint undoes what was set in it."""
    usable = TransactionStatus.INTRANS if connection.in_atomic_block else TransactionStatus.IDLE
    return not connection.needs_rollback and connection.connection.info.transaction_status == usable
