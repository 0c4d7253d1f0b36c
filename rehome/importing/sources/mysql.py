"""Reads MySQL and MariaDB by a server-side cursor, and gives their values as the text that COPY takes."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from MySQLdb.constants import FIELD_TYPE
from MySQLdb.cursors import SSCursor

from rehome.errors import DoubtfulRows, Refused
from rehome.importing.plan import ImportPlan
from rehome.importing.sources import mysql_keys, mysql_zone, patience
from rehome.importing.sources.mysql_keys import MOMENT
from rehome.importing.sources.mysql_values import Broken, Cell, Raw, copy_lines, is_long, make_converter, pieces
from rehome.importing.sources.reader import BLOCK_SIZE, NULL, Report

PREPARATION = (
    # PAD_CHAR_TO_FULL_LENGTH and other modes would change what is read.
    "SET SESSION sql_mode = ''",
    # This server has to wait for PostgreSQL, as during a checkpoint: for longer than its default of a minute.
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
)
BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
TIMES = {FIELD_TYPE.DATE: "local", FIELD_TYPE.DATETIME: "local", FIELD_TYPE.TIMESTAMP: "moment"}

MOST_ROWS = 2_000
MOST_BYTES = 1024 * 1024
"""How many may be fetched at a time; a single row may have more."""


class MySQLReader:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.own: Any = None
        """A connection beside the project's, whose settings it does not touch."""
        self.zone = mysql_zone.UTC
        """What the session is in."""
        self.unread: Any = None
        """The cursor that the server is sending rows to."""

    @contextlib.contextmanager
    def snapshot(self, plans: Iterable[ImportPlan]) -> Iterator[None]:
        """As of one moment in every transactional table; others, such as MyISAM's, are read as they are now.

        Until the block ends, whatever this thread asks the alias is asked in the snapshot too.
        """
        self.connection.ensure_connection()
        self.own = self.connection.copy()
        try:
            with self.own.cursor() as cursor:
                for statement in PREPARATION:
                    cursor.execute(statement)
                self.zone = mysql_zone.enter(cursor, self.own.alias, self.connection.timezone_name, plans)
                cursor.execute(BEGIN)
            connections[self.own.alias] = self.own
            yield
        finally:
            connections[self.connection.alias] = self.connection
            if self.unread is not None:
                self.end_query()
            self.own.close()
            self.own = None

    def times(self, query: "QuerySet[Any, Any]") -> Mapping[int, str]:
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with self.connection.wrap_database_errors, contextlib.closing(self.own.connection.cursor()) as cursor:
            kinds = self.kinds(text, params, cursor).values()
        return {number: TIMES[kind] for number, kind in enumerate(kinds) if kind in TIMES}

    def rows(self, plan: ImportPlan, query: "QuerySet[Any, Any]", report: Report | None = None) -> Iterator[bytes]:
        """A value that PostgreSQL has no text for becomes null and is reported; without `report`, the first one raises
        DoubtfulRows. One query at a time.
        """
        text, params = query.query.get_compiler(self.connection.alias).as_sql()
        with self.connection.wrap_database_errors:
            self.unread = cursor = self.own.connection.cursor(SSCursor)
            mysql_zone.refuse_unknown(cursor, plan, text)
            kinds = self.kinds(text, params, cursor)
            with self.unconverted(), patience.listening(self.own):
                cursor.execute(self.exact(plan, text, kinds, keyed=report is not None), params)
            lines = Lines(plan, cursor, list(kinds.values()), report or refuse)
            with patience.listening(self.own) as listen:
                for rows in batches(cursor, listen):
                    yield from lines.of(rows)
            cursor.close()
            self.unread = None

    def end_query(self) -> None:
        """Closing the cursor of a query whose rows nobody needs any more would read the rest of them."""
        patience.end_query(self.own, self.own.connection)
        with contextlib.suppress(self.own.Database.Error):
            self.unread.close()
        self.unread = None

    @contextlib.contextmanager
    def unconverted(self) -> Iterator[None]:
        """Values come as the bytes that the server sent: '0000-00-00' is no date of Python's."""
        driver = self.own.connection
        before, driver.converter = driver.converter, {}
        try:
            yield
        finally:
            driver.converter = before

    def kinds(self, text: str, params: Any, cursor: Any) -> dict[str, int]:
        """By column of the query, quoted, its type. Raises Refused for a geometry, whose bytes mean nothing to
        PostgreSQL.
        """
        cursor.execute(f"SELECT * FROM ({text}) AS taken LIMIT 0", params)  # noqa: S608
        kinds = {column[0]: column[1] for column in cursor.description}
        if FIELD_TYPE.GEOMETRY in kinds.values():
            raise Refused(
                "A geometry cannot be imported in MySQL's own format.",
                "Give it as text, such as fields={...: AsGeoJSON(...)}.",
            )
        return kinds

    def exact(self, plan: ImportPlan, text: str, kinds: Mapping[str, int], *, keyed: bool) -> str:
        """The query, with all digits of a FLOAT, of which the server sends six by itself, and each TIMESTAMP in UTC.

        Where it is `keyed`, with the key of each row as the server writes it, of the rows that are to be read again.
        """
        exactly = {FIELD_TYPE.FLOAT: "{0} + 0.0"}
        if self.zone != mysql_zone.UTC:
            exactly[FIELD_TYPE.TIMESTAMP] = MOMENT
        if not keyed and not exactly.keys() & set(kinds.values()):
            return text
        shown = [exactly.get(kind, "{0}").format(name) for name, kind in kinds.items()]
        written = mysql_keys.written(plan, list(kinds.values())) if keyed else []
        among = mysql_keys.are_wanted(plan, list(kinds.values())) if keyed and plan.only is not None else "true"
        return f"SELECT {', '.join([*shown, *written])} FROM ({text}) AS taken WHERE {among}"  # noqa: S608


def widest(cursor: Any) -> int:
    """How many bytes a row of the query can have."""
    # The driver says -1 for more than it can count.
    return sum(said[3] if said[3] >= 0 else MOST_BYTES for said in cursor.description)


def batches(cursor: Any, listen: Callable[[], None]) -> Iterator[Sequence[tuple[Raw, ...]]]:
    """Rows together as long as they are short; those that may be long come one by one, as nobody knows their lengths
    before they are here, and those that are long alone.
    """

    def fetch(rows: int) -> Sequence[tuple[Raw, ...]]:
        listen()
        fetched: Sequence[tuple[Raw, ...]] = cursor.fetchmany(rows)
        return fetched

    most = min(MOST_ROWS, MOST_BYTES // max(widest(cursor), 1))
    if most > 1:
        while rows := fetch(most):
            yield rows
        return
    batch: list[tuple[Raw, ...]] = []
    size = 0
    while rows := fetch(1):
        if is_long(rows[0]):
            yield from filter(None, [batch, rows])
            batch, size = [], 0
            continue
        batch += rows
        size += sum(map(len, filter(None, rows[0])))
        if size >= BLOCK_SIZE or len(batch) == MOST_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Lines:
    """Makes lines of COPY's text of the rows of one query."""

    def __init__(self, plan: ImportPlan, cursor: Any, kinds: Sequence[int], report: Report) -> None:
        self.names: list[str | None] = [taken.column.name for taken in plan.taken]
        self.report = report
        self.done = 0
        """The number of rows so far."""
        keys = len(cursor.description) - len(kinds)
        targets = [*(taken.arrives_as for taken in plan.taken), *["text"] * keys]
        columns = zip([*kinds, *[FIELD_TYPE.VAR_STRING] * keys], cursor.description_flags, targets, strict=True)
        self.converters = [make_converter(*column) for column in columns]
        self.names += [None] * keys

    def of(self, rows: Sequence[tuple[Raw, ...]]) -> Iterator[bytes]:
        if len(rows) == 1 and is_long(rows[0]):
            yield from pieces(self.converters, rows[0], lambda place, reason: self.tell(self.done + 1, place, reason))
        else:
            yield self.together(rows)
        self.done += len(rows)

    def together(self, rows: Sequence[tuple[Raw, ...]]) -> bytes:
        columns = [convert(values) for convert, values in zip(self.converters, zip(*rows, strict=True), strict=True)]
        try:
            return copy_lines(columns)
        except TypeError:
            return copy_lines(self.without_broken(columns))

    def without_broken(self, columns: Sequence[Sequence[Cell]]) -> list[Sequence[Cell]]:
        """The same columns, with null for each broken value, which is reported."""
        for place, cells in enumerate(columns):
            for number, cell in enumerate(cells, self.done + 1):
                if isinstance(cell, Broken):
                    self.tell(number, place, cell.reason)
        return [[NULL if isinstance(cell, Broken) else cell for cell in cells] for cells in columns]

    def tell(self, number: int, place: int, reason: str) -> None:
        if name := self.names[place]:
            self.report(number, name, reason)


def refuse(number: int, column: str, reason: str) -> None:
    raise DoubtfulRows(f"The value for {column} of row {number} cannot be imported: {reason}.")
