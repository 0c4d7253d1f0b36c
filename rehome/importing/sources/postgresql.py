"""Reads PostgreSQL by COPY."""

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import DataError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from psycopg.postgres import types

from rehome.importing.failures import message
from rehome.importing.plan import ImportPlan
from rehome.importing.sources import keys
from rehome.importing.sources.broken_text import replace_broken
from rehome.importing.sources.postgresql_values import Values
from rehome.importing.sources.reader import BLOCK_SIZE, Block, Report
from rehome.postgres import asking
from rehome.postgres.session import Session
from rehome.postgres.sql import Literal, inlined

FAITHFULLY = """
SELECT set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true),
       set_config('row_security', 'off', true)
"""
"""Values with all their digits, and an error where a policy would hide rows, which would then count as gone."""


TIMES = {
    **dict.fromkeys((types["date"].oid, types["timestamp"].oid), "local"),
    **dict.fromkeys((types["timestamptz"].oid, types["timestamptz"].array_oid), "moment"),
    **dict.fromkeys((types["tstzrange"].oid, types["tstzmultirange"].oid), "moment"),
}
NOTICE = "SELECT set_config(name, '1000', true) FROM pg_settings WHERE name = 'client_connection_check_interval'"
"""Let the server end a query soon after this process has gone; PostgreSQL before 14 notices when it sends a row."""

WRITTEN = "CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END"
INDEXED = {
    types[name].oid: name
    for name in ("int2", "int4", "int8", "numeric", "uuid", "text", "varchar", "date", "timestamp", "timestamptz")
}
"""Types of which equal texts are equal values, so that an index can find these."""


class PostgreSQLReader:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @contextlib.contextmanager
    def snapshot(self, plans: Iterable[ImportPlan]) -> Iterator[None]:
        with transaction.atomic(using=self.connection.alias):
            with self.connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            asking.fetch(self.connection, FAITHFULLY)
            asking.fetch(self.connection, NOTICE)
            try:
                yield
            finally:
                # There is nothing to commit, and a server that says nothing more would be waited for.
                self.connection.close()

    def times(self, query: "QuerySet[Any, Any]") -> Mapping[int, str]:
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({text}) AS taken LIMIT 0", params)  # noqa: S608
            kinds = [column.type_code for column in cursor.description]
        return {number: TIMES[kind] for number, kind in enumerate(kinds) if kind in TIMES}

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterator[Block]:
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with self.connection.wrap_database_errors:
            text = inlined(self.connection, text, params)
        # A key is no long text, and is looked for by its index.
        values = Values(self.connection, text, named=report is not None, but=keys.names(plan))
        if report is None:
            with contextlib.closing(self.copy(f"COPY ({values.text}) TO STDOUT".encode())) as lines:
                yield from gathered(lines)
        else:
            columns = [*(taken.column.name for taken in plan.taken), *(None for _ in plan.key)]
            with self.unconverted() as encoding:
                statement = f"COPY ({self.keyed(plan, values.text, encoding)}) TO STDOUT".encode(encoding)
                with contextlib.closing(self.copy(statement)) as lines:
                    short = values.unmarked(map(bytes, lines), columns, report)
                    yield from gathered(replace_broken(short, columns, encoding, report))

    def keyed(self, plan: ImportPlan, text: str, encoding: str) -> str:
        """The query, with the key of each row as the server writes it, of the rows that are to be read again."""
        names = keys.names(plan)
        written = [WRITTEN.format(name) for name in names]
        keyed = f"SELECT taken.*, {', '.join(written)} FROM ({text}) AS taken"  # noqa: S608
        if plan.only is None:
            return keyed
        kinds, parts = self.kinds(text, names), keys.asked(plan)
        wanted = [key for key in keys.wanted(plan) if all(can_be(part, encoding) for part in key)]
        same = keys.are_among(wanted, parts, written, "VALUES ", lambda n, part: quoted(part))
        found = keys.are_among(
            wanted,
            [n for n in parts if kinds[n] in INDEXED],
            names,
            "VALUES ",
            lambda n, part: f"{quoted(part)}::{INDEXED[kinds[n]]}",
        )
        try:
            self.kinds(f"SELECT * FROM ({text}) AS taken WHERE {found}", names)  # noqa: S608
        except DataError as error:
            raise keys.refuse(plan, message(error)) from error
        return f"{keyed} WHERE ({same}) AND ({found})"

    def kinds(self, text: str, names: Sequence[str]) -> list[int]:
        """The types of some columns of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(names)} FROM ({text}) AS taken LIMIT 0", None)  # noqa: S608
            return [column.type_code for column in cursor.description]

    def copy(self, statement: bytes) -> Generator[Block, None, None]:
        """Each block is one row."""
        with (
            self.connection.wrap_database_errors,
            self.connection.cursor() as cursor,
            # The driver's own: with DEBUG on, Django's cursor takes no bytes.
            cursor.cursor.copy(statement) as copy,
        ):
            try:
                yield from copy
            except (GeneratorExit, KeyboardInterrupt):
                # Otherwise the driver would ask the server to cancel, and wait for its answer.
                self.connection.close()
                raise

    @contextlib.contextmanager
    def unconverted(self) -> Iterator[str]:
        """The server sends its bytes unconverted; yields Python's name of their encoding."""
        ((held,),) = asking.fetch(self.connection, "SHOW server_encoding")
        with Session(self.connection).settings(client_encoding=held):
            encoding: str = self.connection.connection.info.encoding
            # SQL_ASCII means that the server does not know what its bytes are.
            yield "utf-8" if encoding == "ascii" else encoding


def can_be(part: str | None, encoding: str) -> bool:
    """Whether a text of the server can be this one."""
    with contextlib.suppress(UnicodeEncodeError):
        return part is None or b"\0" not in part.encode(encoding)
    return False


def quoted(text: str) -> str:
    return Literal(text).as_string()


def gathered(rows: Iterable[Block]) -> Iterator[Block]:
    """Blocks of many rows, which psycopg gives one at a time."""
    block = bytearray()
    for row in rows:
        if len(row) >= BLOCK_SIZE:
            yield block
            yield row
            block = bytearray()
            continue
        block += row
        if len(block) >= BLOCK_SIZE:
            yield block
            block = bytearray()
    if block:
        yield block
