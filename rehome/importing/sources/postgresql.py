"""Reads PostgreSQL by COPY."""

import contextlib
from collections.abc import Generator, Iterable, Iterator
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from rehome.importing.plan import ImportPlan
from rehome.importing.sources.broken_text import replace_broken
from rehome.importing.sources.reader import BLOCK_SIZE, Block, Report
from rehome.postgres import catalog
from rehome.postgres.session import Session
from rehome.postgres.sql import inlined

FAITHFULLY = """
SELECT set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true),
       set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true),
       set_config('row_security', 'off', true)
"""
"""Values with all their digits, and an error where a policy would hide rows, which would then count as gone."""


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
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with self.connection.wrap_database_errors:
            statement = f"COPY ({inlined(self.connection, text, params)}) TO STDOUT"
        if report is None:
            with contextlib.closing(self.copy(statement.encode())) as lines:
                yield from gathered(lines)
        else:
            columns = [taken.column.name for taken in plan.taken]
            with self.unconverted() as encoding, contextlib.closing(self.copy(statement.encode(encoding))) as lines:
                yield from gathered(replace_broken(map(bytes, lines), columns, encoding, report))

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
        """The server sends its bytes unconverted; yields Python's name of their encoding."""
        ((held,),) = catalog.query(self.connection, "SHOW server_encoding")
        with Session(self.connection).settings(client_encoding=held):
            encoding: str = self.connection.connection.info.encoding
            # SQL_ASCII means that the server does not know what its bytes are.
            yield "utf-8" if encoding == "ascii" else encoding


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
