"""The source as the proof reads it: a query of its own, what its server reckons of that, and its values in a stream.

Everything is asked in the session that the alias has for this thread, which whoever proves has made read-only.
"""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Q, TextField, Value

from rehome.importing.declaration import Import
from rehome.importing.proof import kinds
from rehome.importing.proof.claims import Claim
from rehome.importing.proof.dialects import Dialect, MySQL, PostgreSQL
from rehome.importing.proof.kinds import Kind
from rehome.importing.proof.zones import Zone
from rehome.plan.plan import Model
from rehome.postgres.sql import inlined

Explained = Callable[[], AbstractContextManager[None]]
"""Says what an error of the source is, where one is raised."""
MOST_ROWS = 5_000
"""In memory at a time."""
ENOUGH = 1_000_000
"""Characters in memory at a time, after which no other row is read."""
Row = tuple[Any, ...]


class Source:
    def __init__(
        self,
        alias: str,
        declared: Import,
        model: Model,
        claims: Sequence[Claim],
        constants: dict[int, str | None],
        explained: Explained,
    ) -> None:
        self.explained = explained
        self.connection = connections[alias]
        self.server: str = self.connection.vendor
        self.zone = Zone(self.connection.timezone_name, declared.fold)
        self.text, self.params = self.query(declared, model, claims, constants)
        self.stored = "{0}"
        self.dialect: Dialect = MySQL()
        if self.server == "postgresql":
            ((encoding,),) = self.fetch("SHOW server_encoding", ())
            # With SQL_ASCII nobody knows what the bytes are, and the target has taken them for UTF-8.
            utf8 = encoding in {"UTF8", "SQL_ASCII"}
            self.dialect = PostgreSQL(utf8=utf8)
            self.stored = "{0}" if utf8 else "convert_to({0}, 'UTF8')"
        for statement in self.dialect.settings:
            self.fetch(statement, ())
        self.kinds = self.read_kinds()

    def query(
        self, declared: Import, model: Model, claims: Sequence[Claim], constants: dict[int, str | None]
    ) -> tuple[str, Any]:
        """One column for each claim, in their order."""
        values = {
            f"proof_{number}": Value(constants[number], output_field=TextField())
            if number in constants
            else claim.expression
            for number, claim in enumerate(claims)
        }
        rows = model._base_manager.using(self.connection.alias).order_by().annotate(**values)
        for condition in (declared.where or Q(), Q(pk__isnull=True)):
            try:
                compiler = rows.filter(condition).values_list(*values).query.get_compiler(self.connection.alias)
                text, params = compiler.as_sql()
            except EmptyResultSet:  # Django knows that it has no rows; no key is null, either.
                continue
            return text, params
        raise AssertionError("No condition is without rows.")

    def read_kinds(self) -> list[Kind]:
        with self.explained(), self.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({self.text}) AS taken LIMIT 0", self.params)  # noqa: S608
            if self.server == "postgresql":
                return kinds.of_postgresql(self.connection, cursor.description)
            return kinds.of_mysql(cursor.description, cursor.cursor.description_flags)

    def place(self, number: int) -> str:
        return f"taken.proof_{number}"

    def statement(self, values: Iterable[str], rest: str = "") -> str:
        # What is written here has no parameters: its percent signs are its own.
        listed = ", ".join(values).replace("%", "%%")
        return f"SELECT {listed} FROM ({self.text}) AS taken{rest.replace('%', '%%')}"  # noqa: S608

    def ask(self, values: Iterable[str], rest: str = "") -> list[tuple[Any, ...]]:
        """The few rows of an aggregate."""
        return self.fetch(self.statement(values, rest), self.params)

    def fetch(self, statement: str, params: Any) -> list[tuple[Any, ...]]:
        with self.explained(), self.connection.cursor() as cursor:
            cursor.execute(statement, tuple(params))
            return list(cursor.fetchall())

    def stream(self, values: Iterable[str], rest: str = "") -> Iterator[Sequence[Row]]:
        """Every row, in batches; memory grows neither with their number nor with how many of them are long."""
        rows = (self.copied if self.server == "postgresql" else self.sent)(self.statement(values, rest))
        with self.explained(), self.connection.wrap_database_errors, contextlib.closing(rows):
            yield from batches(rows)

    def copied(self, statement: str) -> Generator[Row, None, None]:
        """One row after the other: a cursor of PostgreSQL's would send as many as it is asked for, however long."""
        # Without parameters the driver would leave percent signs doubled.
        whole = inlined(self.connection, statement, tuple(self.params))
        with self.connection.cursor() as cursor:
            cursor.execute(f"{whole} LIMIT 0", None)
            kinds = [column.type_code for column in cursor.description]
            with cursor.cursor.copy(f"COPY ({whole}) TO STDOUT") as copy:
                copy.set_types(kinds)
                try:
                    yield from copy.rows()
                except (GeneratorExit, KeyboardInterrupt):
                    # Otherwise the driver would ask the server to cancel, and wait for its answer.
                    self.connection.close()
                    raise

    def sent(self, statement: str) -> Generator[Row, None, None]:
        """The same of a MySQL."""
        from MySQLdb.cursors import SSCursor  # Installed only where such a database is read.

        cursor = self.connection.connection.cursor(SSCursor)
        cursor.execute(statement, tuple(self.params))
        while row := cursor.fetchone():
            yield row
        # Where something fails before, the session is ended: this would read the rest of the rows.
        cursor.close()


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """As many rows at a time as are short enough together, and one more."""
    batch: list[Row] = []
    held = 0
    for row in rows:
        batch.append(row)
        held += sum(len(value) for value in row if isinstance(value, str | bytes))
        if held >= ENOUGH or len(batch) == MOST_ROWS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
