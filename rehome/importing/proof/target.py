"""The target as the proof reads it: the rows that the import has to answer for, and what its server makes of texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rehome.importing.proof import trying
from rehome.importing.proof.claims import Claim
from rehome.importing.proof.dialects import NOT_TAKEN, PostgreSQL
from rehome.importing.proof.known import Known
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal
from rehome.postgres.tables import Column, Table


def as_constant(column: Column) -> str:
    """The canonical form of a value that is the same in every row; a day and 24 hours are one value to Django."""
    return "extract(epoch FROM {0})::text" if column.base_type == "interval" else "({0})::text"


class Target:
    def __init__(self, table: Table, session: Session, claims: Sequence[Claim]) -> None:
        self.table = table
        self.session = session
        self.dialect = PostgreSQL()
        self.conditions = [sql.present([claim.name for claim in claims if claim.key], "held").as_string()]
        for statement in self.dialect.settings:
            session.rows(statement)

    def enter(self, zone: str) -> None:
        """Times in ranges and arrays are written in the zone of the session, which is to be the source's."""
        self.session.execute(sql.set_local("TimeZone", zone))

    def place(self, claim: Claim) -> str:
        return Identifier("held", claim.name).as_string()

    def ask(self, values: Iterable[str], rest: str = "") -> list[tuple[Any, ...]]:
        with self.session.alone:
            return self.session.rows(SQL(self.statement(values, rest)))

    def statement(self, values: Iterable[str], rest: str = "", *more: str) -> str:
        where = " AND ".join([*self.conditions, *more])
        return f"SELECT {', '.join(values)} FROM {sql.name(self.table).as_string()} AS held WHERE {where}{rest}"  # noqa: S608

    def stream(self, values: Iterable[str], condition: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        connection = self.session.connection
        with connection.wrap_database_errors, connection.chunked_cursor() as cursor:
            cursor.execute(self.statement(values, "", condition), None)
            while batch := cursor.fetchmany(2_000):
                yield batch

    def constant(self, claim: Claim, known: Known | None) -> str | None:
        """What a `Value` of the declaration is in its canonical form, looked up where it is to be."""
        given: Any = claim.given
        if known is not None:
            value = None if given.value is None else known.answers([str(given.value)])[0]
            if value is None or value == NOT_TAKEN:
                return value
        else:
            value = claim.field.get_db_prep_save(given.value, self.session.connection)
        typed = f"({Literal(value).as_string()}::{claim.column.type})"
        ((found,),) = self.session.rows(SQL(f"SELECT {as_constant(claim.column).replace('{0}', typed)}"))
        return found if found is None else str(found)

    def restrict(self, claim: Claim, value: str | None) -> None:
        """Leave the rows to the import that have its constant in the key."""
        written = as_constant(claim.column).replace("{0}", self.place(claim))
        self.conditions.append(f"{written} = {Literal(value).as_string()}")

    def reads(self, column: Column, template: str) -> Callable[[Sequence[str]], list[str]]:
        """What the server makes of texts as values of a column's type, in a canonical form."""
        # Not by its length: what is longer would be cut, or rounded, in silence.
        kind = sql.type_name(column.base_type).as_string()
        written = template.replace("{0}", f"given.text::{kind}")
        statement = (
            f"SELECT {written} FROM pg_catalog.unnest(%s::text[]) WITH ORDINALITY AS given (text, number) "  # noqa: S608
            "ORDER BY number"
        )

        def ask(texts: Sequence[str]) -> list[str]:
            return [value for (value,) in self.session.rows(statement, [list(texts)])]

        def read(texts: Sequence[str]) -> list[str]:
            different = list(dict.fromkeys(texts))
            made = trying.each(ask, different, SQL(written), self.session, refused=NOT_TAKEN) if different else []
            known = dict(zip(different, made, strict=True))
            return [known[text] for text in texts]

        return read
