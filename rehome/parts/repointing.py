"""SQL that exchanges the constraint of one column for another, as Django writes that one."""

import dataclasses
import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.parts import foreign_keys, references
from rehome.parts.references import Redirected
from rehome.postgres import asking, catalog, sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import ForeignKey, Table

NAMED = 3
"""How many rows without the other end a refusal names."""
END = re.compile(
    rf"REFERENCES (?P<place>{references.PLACE}) ?\((?P<column>{references.NAME})\)(?P<terms>.*)", re.DOTALL
)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The constraint that a column shall have."""

    name: str
    added: Redirected
    """By Django's statement, led to where the rows are."""

    @property
    def end(self) -> re.Match[str]:
        found = END.search(self.added.statement)
        assert found is not None  # noqa: S101  It is what `references` and Django have written.
        return found

    def find_end(self, connection: BaseDatabaseWrapper) -> Table | None:
        return catalog.read_table(connection, self.end["place"])

    def is_met_by(self, key: ForeignKey, end: Table | None) -> bool:
        """Whether a constraint differs from it in the name alone."""
        column = references.unquoted(self.end["column"])
        return (
            end is not None
            and (key.referenced_oid, key.end.columns) == (end.oid, (column,))
            and str(key.terms).strip() == self.end["terms"].strip()
        )


def add(wanted: Wanted, *, validated: bool) -> list[str]:
    """Without a look at the rows, unless it is to be `validated` at once."""
    comment = wanted.added.comment
    added = wanted.added.statement if validated else f"{wanted.added.statement} NOT VALID"
    return [added, *([comment.as_string()] if comment is not None else [])]


def drop(key: ForeignKey) -> str:
    return foreign_keys.drop(key).as_string()


def rename(key: ForeignKey, wanted: Wanted) -> list[str]:
    """It leads there already: its name and its comment become those that are wanted."""
    table = Identifier(key.schema, key.table)
    statements: list[Statement] = []
    if key.name != wanted.name:
        new = Identifier(wanted.name)
        statements.append(SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}").format(table, Identifier(key.name), new))
    if wanted.added.comment is not None:
        statements.append(wanted.added.comment)
    elif key.comment:
        statements.append(foreign_keys.comment_on(dataclasses.replace(key, name=wanted.name), ""))
    return [statement.as_string() for statement in statements]


def validate(table: str, name: str) -> str:
    """`table` is quoted."""
    return SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(SQL(table), Identifier(name)).as_string()


def find_orphans(table: Table, column: str, end: Table, there: str, connection: BaseDatabaseWrapper) -> list[Any]:
    """Values of the column that no row of the other table has, a few of them; nobody waits meanwhile."""
    query = SQL(
        "SELECT DISTINCT own.{column} FROM {table} AS own WHERE own.{column} IS NOT NULL AND NOT EXISTS "
        "(SELECT FROM {end} AS there WHERE there.{there} = own.{column}) ORDER BY 1 LIMIT {some}"
    ).format(
        column=Identifier(column),
        table=sql.name(table),
        end=sql.name(end),
        there=Identifier(there),
        some=Literal(NAMED + 1),
    )
    return [value for (value,) in asking.fetch_for_project(connection, query.as_string())]


def has_rows(table: Table, connection: BaseDatabaseWrapper) -> bool:
    return bool(asking.value(connection, sql.has_rows(table).as_string()))
