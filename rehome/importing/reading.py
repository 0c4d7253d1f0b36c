"""Reads the source in one snapshot, as the text that COPY takes."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from rehome import catalog
from rehome.errors import Refused
from rehome.importing.resolve import ImportPlan

BLOCK_SIZE = 16 * 1024
"""Of what is written at a time. Less costs calls; more is moved about in the driver while the server takes it."""
Block = bytes | bytearray | memoryview
PLAIN_TEXT = """
SELECT set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true)
"""


class Reader(Protocol):
    """One kind of server that rows are read from."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None: ...

    def snapshot(self) -> contextlib.AbstractContextManager[None]:
        """A read-only transaction in which every query sees the same moment."""
        ...

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]") -> Iterable[Block]:
        """The query's rows as COPY text, as they come: memory does not grow with their number."""
        ...


class PostgreSQLReader:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        with transaction.atomic(using=self.connection.alias):
            with self.connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            catalog.query(self.connection, PLAIN_TEXT)
            yield

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]") -> Iterator[Block]:
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with (
            self.connection.wrap_database_errors,
            self.connection.cursor() as cursor,
            # The driver's own: with DEBUG on, Django's cursor takes no parameters.
            cursor.cursor.copy(f"COPY ({text}) TO STDOUT", params) as copy,
        ):
            yield from gathered(copy)


def gathered(rows: Iterable[Block]) -> Iterator[bytearray]:
    """Blocks of many rows, which psycopg gives one at a time."""
    block = bytearray()
    for row in rows:
        block += row
        if len(block) >= BLOCK_SIZE:
            yield block
            block = bytearray()
    if block:
        yield block


def open_reader(connection: BaseDatabaseWrapper) -> Reader:
    if connection.vendor == "postgresql":
        return PostgreSQLReader(connection)
    if connection.vendor == "mysql":
        # Its driver is installed only where such a database is read.
        from rehome.importing.mysql import MySQLReader

        return MySQLReader(connection)
    raise Refused(
        f"Database {connection.alias!r} is {connection.display_name}, which can't be imported from.",
        "Import from PostgreSQL, MySQL or MariaDB.",
    )


def query(plan: ImportPlan) -> "QuerySet[Any, Any]":
    """One column for each of the plan's `taken`, in their order."""
    rows: QuerySet[Any, Any] = plan.source_model._base_manager.using(plan.source.alias).order_by()
    if plan.declared.where is not None:
        rows = rows.filter(plan.declared.where)
    values = {f"rehome_{number}": taken.expression for number, taken in enumerate(plan.taken)}
    taken: QuerySet[Any, Any] = rows.annotate(**values).values_list(*values)
    return taken
