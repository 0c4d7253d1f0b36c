"""The source as the proof reads it: a query of its own, what its server reckons of that, and its values in a stream.

Everything is asked in the session that the alias has for this thread, which whoever proves has made read-only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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

Explained = Callable[[], AbstractContextManager[None]]
"""Says what an error of the source is, where one is raised."""
MOST_ROWS = 5_000
"""In memory at a time."""
ENOUGH = 1_000_000
"""Characters at a time, from which on fewer rows are asked for."""


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

    def stream(self, values: Iterable[str], rest: str = "") -> Iterator[Sequence[tuple[Any, ...]]]:
        """Every row, in batches; memory does not grow with their number."""
        statement, size = self.statement(values, rest), 1
        with self.explained(), self.connection.wrap_database_errors:
            cursor = self.open()
            cursor.execute(statement, tuple(self.params))
        while batch := self.take(cursor, size):
            yield batch
            long = 1 + sum(len(value) for row in batch for value in row if isinstance(value, str))
            size = max(1, min(MOST_ROWS, 2 * size, size * ENOUGH // long))
        # Where something fails before, the session is ended: this would read the rest of a MySQL's rows.
        cursor.close()

    def take(self, cursor: Any, size: int) -> Sequence[tuple[Any, ...]]:
        with self.explained(), self.connection.wrap_database_errors:
            found: Sequence[tuple[Any, ...]] = cursor.fetchmany(size)
        return found

    def open(self) -> Any:
        """A cursor that keeps the rows at the server."""
        if self.server == "postgresql":
            return self.connection.chunked_cursor()
        from MySQLdb.cursors import SSCursor  # Installed only where such a database is read.

        return self.connection.connection.cursor(SSCursor)
