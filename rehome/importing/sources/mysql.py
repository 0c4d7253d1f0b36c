"""Reads MySQL and MariaDB by a server-side cursor, and gives their values as the text that COPY takes."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.cursors import SSCursor

from rehome.errors import DoubtfulRows, Refused
from rehome.importing.plan import ImportPlan
from rehome.importing.sources.mysql_values import Broken, Cell, Raw, copy_lines, make_converter
from rehome.importing.sources.reader import BLOCK_SIZE, NULL, Report

PREPARATION = (
    # PAD_CHAR_TO_FULL_LENGTH and other modes would change what is read.
    "SET SESSION sql_mode = ''",
    # A TIMESTAMP is sent in the session's time zone, a DATETIME as it was written.
    "SET SESSION time_zone = '+00:00'",
    # This server has to wait for PostgreSQL, as during a checkpoint: for longer than its default of a minute.
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)

MOST_ROWS = 2_000
MOST_LONG_ROWS = 50
"""Where a single value may be larger than a block."""


class MySQLReader:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.own: Any = None
        """A connection beside the project's, whose settings it does not touch."""
        self.unread: Any = None
        """The cursor that the server is sending rows to."""

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """As of one moment in every transactional table; others, such as MyISAM's, are read as they are now."""
        self.own = self.connection.copy()
        try:
            with self.own.cursor() as cursor:
                for statement in PREPARATION:
                    cursor.execute(statement)
            # Values come as the bytes that the server sent: '0000-00-00' is no date of Python's.
            self.own.connection.converter = {}
            yield
        finally:
            if self.unread is not None:
                self.end_query()
            self.own.close()
            self.own = None

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterator[bytes]:
        """A value that PostgreSQL has no text for becomes null and is reported; without `report`, the first one raises
        DoubtfulRows. One query at a time.
        """
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with self.connection.wrap_database_errors:
            self.unread = cursor = self.own.connection.cursor(SSCursor)
            cursor.execute(self.exact(text, params, cursor), params)
            lines = Lines(plan, cursor, report or refuse)
            size = 1
            while rows := cursor.fetchmany(size):
                yield (block := lines.of(rows))
                size = max(1, min(lines.most, 2 * size, size * BLOCK_SIZE // len(block)))
            cursor.close()
            self.unread = None

    def end_query(self) -> None:
        """Kill the query whose rows nobody needs any more: closing its cursor alone would read the rest of them."""
        with contextlib.suppress(Error), self.connection.cursor() as cursor:
            cursor.execute("KILL QUERY %s", [self.own.connection.thread_id()])
        with contextlib.suppress(self.own.Database.Error):
            self.unread.close()
        self.unread = None

    def exact(self, text: str, params: Any, cursor: Any) -> str:
        """The query, with all digits of a FLOAT: by itself, the server sends six of them.

        Raises Refused for a geometry, whose bytes mean nothing to PostgreSQL.
        """
        cursor.execute(f"SELECT * FROM ({text}) AS taken LIMIT 0", params)  # noqa: S608
        kinds = {column[0]: column[1] for column in cursor.description}
        if FIELD_TYPE.GEOMETRY in kinds.values():
            raise Refused(
                "A geometry cannot be imported in MySQL's own format.",
                "Give it as text, such as fields={...: AsGeoJSON(...)}.",
            )
        if FIELD_TYPE.FLOAT not in kinds.values():
            return text
        shown = ", ".join(f"{name} + 0.0" if kind == FIELD_TYPE.FLOAT else name for name, kind in kinds.items())
        return f"SELECT {shown} FROM ({text}) AS taken"  # noqa: S608


class Lines:
    """Makes lines of COPY's text of the rows of one query."""

    def __init__(self, plan: ImportPlan, cursor: Any, report: Report) -> None:
        self.plan = plan
        self.report = report
        self.done = 0
        """The number of rows so far."""
        columns = list(zip(plan.taken, cursor.description, cursor.description_flags, strict=True))
        self.converters = [make_converter(said[1], flags, taken.arrives_as) for taken, said, flags in columns]
        sizes = [said[3] for _, said, _ in columns]
        self.most = MOST_ROWS if all(0 <= size <= BLOCK_SIZE for size in sizes) else MOST_LONG_ROWS
        """How many rows may be in memory at a time."""

    def of(self, rows: Sequence[tuple[Raw, ...]]) -> bytes:
        columns = [convert(values) for convert, values in zip(self.converters, zip(*rows, strict=True), strict=True)]
        try:
            lines = copy_lines(columns)
        except TypeError:
            lines = copy_lines(self.without_broken(columns))
        self.done += len(rows)
        return lines

    def without_broken(self, columns: Sequence[Sequence[Cell]]) -> list[Sequence[Cell]]:
        """The same columns, with null for each broken value, which is reported."""
        for taken, cells in zip(self.plan.taken, columns, strict=True):
            for number, cell in enumerate(cells, self.done + 1):
                if isinstance(cell, Broken):
                    self.report(number, taken.column.name, cell.reason)
        return [[NULL if isinstance(cell, Broken) else cell for cell in cells] for cells in columns]


def refuse(number: int, column: str, reason: str) -> None:
    raise DoubtfulRows(f"The value for {column} of row {number} cannot be imported: {reason}.")
