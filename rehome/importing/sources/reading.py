"""Reads the source in one snapshot, as the text that COPY takes."""

import contextlib
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Protocol

import psycopg
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from rehome.errors import Refused
from rehome.importing.failures import told, told_each
from rehome.importing.plan import ImportPlan
from rehome.importing.sources.spoilt import Report, mend
from rehome.postgres import catalog

BLOCK_SIZE = 16 * 1024
"""Of what is written at a time. Less costs calls; more is moved about in the driver while the server takes it."""
Block = bytes | bytearray | memoryview
FAITHFULLY = """
SELECT set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true),
       set_config('row_security', 'off', true)
"""
"""Values in all their digits, and an error where a policy would hide rows, which would be taken for gone."""


class Reader(Protocol):
    """One kind of server that rows are read from."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None: ...

    def snapshot(self) -> contextlib.AbstractContextManager[None]:
        """A read-only transaction in which every query sees the same moment."""
        ...

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterable[Block]:
        """The query's rows as COPY text, as they come: memory does not grow with their number.

        With `report`, a value that is no text comes as null and is reported; otherwise it is an error, here or there.
        """
        ...


class PostgreSQLReader:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        with transaction.atomic(using=self.connection.alias):
            with self.connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            catalog.query(self.connection, FAITHFULLY)
            yield

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterator[Block]:
        statement = self.copy_out(query)
        if report is None:
            with contextlib.closing(self.copy(statement)) as lines:
                yield from gathered(lines)
        else:
            columns = [taken.column.name for taken in plan.taken]
            with (
                self.unconverted() as encoding,
                contextlib.closing(self.copy(statement.decode().encode(encoding))) as lines,
            ):
                yield from gathered(mend(map(bytes, lines), columns, encoding, report))

    def copy_out(self, query: "QuerySet[Any, Any]") -> bytes:
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with self.connection.wrap_database_errors, psycopg.ClientCursor(self.connection.connection) as cursor:
            return f"COPY ({cursor.mogrify(text, params)}) TO STDOUT".encode()

    def copy(self, statement: bytes) -> Generator[Block, None, None]:
        """Each block is one row."""
        with (
            self.connection.wrap_database_errors,
            self.connection.cursor() as cursor,
            # The driver's own: with DEBUG on, Django's cursor takes no bytes.
            cursor.cursor.copy(statement) as copy,
        ):
            yield from copy

    @contextlib.contextmanager
    def unconverted(self) -> Iterator[str]:
        """Let the server send bytes as it has them; gives the name that Python has for their encoding."""
        ((before, held),) = catalog.query(
            self.connection, "SELECT current_setting('client_encoding'), current_setting('server_encoding')"
        )
        catalog.query(self.connection, "SELECT set_config('client_encoding', %s, true)", [held])
        encoding: str = self.connection.connection.info.encoding
        # SQL_ASCII means that the server was never told what its bytes are.
        yield "utf-8" if encoding == "ascii" else encoding
        catalog.query(self.connection, "SELECT set_config('client_encoding', %s, true)", [before])


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
        from rehome.importing.sources.mysql import MySQLReader

        return MySQLReader(connection)
    raise Refused(
        f"Database {connection.alias!r} is {connection.display_name}, which can't be imported from.",
        "Import from PostgreSQL, MySQL or MariaDB.",
    )


def count(plan: ImportPlan) -> int:
    with told(plan.source):
        return query(plan).count()


def read(plan: ImportPlan, reader: Reader, report: Report | None = None) -> Generator[Block, None, None]:
    return told_each(plan.source, reader.rows(plan, query(plan), report), of_rows=report is not None)


def refuse_unreadable(plan: ImportPlan) -> None:
    """Before the first row is read, let the source's server say what it lacks."""
    with told(plan.source):
        query(plan).explain()


def query(plan: ImportPlan) -> "QuerySet[Any, Any]":
    """One column for each of the plan's `taken`, in their order."""
    rows: QuerySet[Any, Any] = plan.source_model._base_manager.using(plan.source.alias).order_by()
    for condition in (plan.declared.where, plan.since):
        rows = rows.filter(condition or Q())
    values = {f"rehome_{number}": taken.expression for number, taken in enumerate(plan.taken)}
    taken: QuerySet[Any, Any] = rows.annotate(**values)
    if plan.only is not None:
        try:
            taken = taken.filter(has_key(plan))
        except (ValueError, TypeError, ValidationError) as error:
            raise Refused(f"{plan} can't look for a key: {error}.", "Correct it in the file of rejects.") from error
    return taken.values_list(*values)


def has_key(plan: ImportPlan) -> Q:
    """Whether a row has one of the keys that are to be read again, as a condition of `query`."""
    places = {taken.field.name: f"rehome_{n}" for n, taken in enumerate(plan.taken) if not taken.constant}
    keys = [{places[name]: value for name, value in key.items() if name in places} for key in plan.only or ()]
    if len({name for key in keys for name in key}) == 1:
        (place,) = keys[0]
        known = [Q((f"{place}__in", [key[place] for key in keys if key[place] is not None]))]
        known += [Q((f"{place}__isnull", True)) for key in keys if key[place] is None]
    else:
        known = [
            Q(*((name, value) if value is not None else (f"{name}__isnull", True) for name, value in key.items()))
            for key in keys
        ]
    return Q(*known, _connector=Q.OR)
