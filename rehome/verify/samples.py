"""A row to try writes with: one that both tables have, or one that is made where they are empty, and other values."""

import dataclasses
import uuid
from collections.abc import Iterable, Iterator, Sequence

from rehome.plan.plan import TablePair
from rehome.postgres import asking, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, name
from rehome.postgres.tables import ForeignKey, Table
from rehome.verify import queries

Key = tuple[str, ...]
"""A row's, as texts."""
ROWS = 100
"""How many rows are looked at for one that can be deleted."""
NEIGHBOURS = 5
SHORT = 1000
"""Bytes of a value that is taken from another row."""

TYPES = """
SELECT a.attname, CASE WHEN t.typcategory = 'U' THEN t.typname::text ELSE t.typcategory::text END,
       (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
SMALLEST = {
    "A": "{}", "B": "false", "D": "2000-01-01 00:00+00", "I": "::", "N": "0", "R": "empty", "S": "", "T": "0",
    "V": "0", "bytea": "\\x", "json": "{}", "jsonb": "{}", "tsvector": "", "uuid": str(uuid.UUID(int=0)), "xml": "",
}  # fmt: skip
"""By category of a type, or by name of one that has none: the text of a value that nearly every column takes."""
OTHER = {
    "A": "{NULL}", "B": "true", "D": "2001-02-03 04:05+00", "I": "127.0.0.1", "N": "1", "S": "a", "T": "1", "V": "1",
    "bytea": "\\x00", "json": "[]", "jsonb": "[]", "tsvector": "a", "xml": "<a/>",
}  # fmt: skip
"""The same, different from those."""


@dataclasses.dataclass(frozen=True)
class Type:
    """What decides which texts are values of a column."""

    category: str
    labels: tuple[str, ...]
    """Of an enum."""

    @property
    def smallest(self) -> str | None:
        return self.labels[0] if self.labels else SMALLEST.get(self.category)

    def others(self, value: str | None) -> Iterator[str]:
        """Values that look like `value` and are others, the likeliest to be allowed first."""
        if self.category == "uuid":
            yield str(uuid.uuid4())
        if self.category == "S" and value:
            # As long as before, and mostly of the same pattern.
            yield value[:-1] + ("1" if value[-1] != "1" and value[-1].isdigit() else "b" if value[-1] != "b" else "c")
        if self.category == "N" and value and value.lstrip("-").isdigit():
            yield str(int(value) + 1)
        yield from (label for label in self.labels if label != value)
        yield from (text for text in (OTHER.get(self.category), self.smallest) if text is not None and text != value)

    def other_keys(self, value: str) -> Iterator[str]:
        """Keys that no row is likely to have."""
        if self.category == "N" and value.lstrip("-").isdigit():
            yield from (str(-int(value) or -1), str(int(value) + 10**9), str(int(value) + 10**4))
        elif self.category == "S":
            yield from (value[:-1] + character for character in "~^0" if value)
        else:
            yield from self.others(value)


def read_types(session: Session, table: Table) -> dict[str, Type]:
    """By column."""
    found = asking.query(session.connection, TYPES, [name(table).as_string()])
    return {column: Type(category, tuple(labels or ())) for column, category, labels in found}


@dataclasses.dataclass(frozen=True)
class Sample:
    key: Key
    removable: bool
    """Whether it can be deleted without that the database deletes, changes or refuses anything for it."""


def find(session: Session, pair: TablePair, *, live: bool) -> Sample | None:
    """A row that nobody else is writing to, locked; while the pair is `live`, one whose sides are equal."""
    source, target = zip(*pair.forward.key, strict=True)
    for key, removable in sorted(session.rows(candidates(pair, live=live)), key=lambda row: not row[1]):
        locked = session.rows(locking(pair.target, target, key))
        if live and locked:
            differs = session.rows(queries.differences_of_key(pair, key))
            locked = [] if differs else session.rows(locking(pair.source, source, key))
        if locked:
            return Sample(tuple(key), removable)
    return None


def candidates(pair: TablePair, *, live: bool) -> Statement:
    """(key, whether it is removable) of some rows of the target."""
    pointers = [held(key, "one") for key in incoming(pair.target)]
    if live:
        here = SQL(" AND ").join(
            sql.same_value(Identifier("own", a), Identifier("one", b), pair.source.column(a))
            for a, b in pair.forward.key
        )
        pointers += [
            SQL("EXISTS (SELECT FROM {} AS own WHERE {} AND {})").format(name(pair.source), here, held(key, "own"))
            for key in incoming(pair.source)
        ]
    return SQL("SELECT ARRAY[{}], NOT ({}) FROM (SELECT * FROM {} LIMIT {}) AS one LIMIT 10").format(
        SQL(", ").join(SQL("one.{}::text").format(Identifier(key)) for _, key in pair.forward.key),
        SQL(" OR ").join([SQL("false"), *pointers]),
        name(pair.target),
        Literal(ROWS),
    )


def incoming(table: Table) -> list[ForeignKey]:
    """Foreign keys that refuse the end of a row at once, or act on it; others wait for the end of a transaction. Those
    of the table's own rows are asked with its other constraints.
    """
    own = [key for key in table.foreign_keys if key.referenced_oid == table.oid]
    return [*own, *(key for key in table.incoming if key.terms.act or key.terms.restrict or not key.terms.deferred)]


def held(key: ForeignKey, row: str) -> Statement:
    """Whether a row of another table points at this one."""
    return SQL("EXISTS (SELECT FROM {} AS child WHERE {})").format(
        Identifier(key.schema, key.table), sql.leads_to(key, "child", row)
    )


def locking(table: Table, named: Sequence[str], key: Key) -> Statement:
    return SQL("SELECT 1 FROM {} AS one WHERE {} FOR UPDATE SKIP LOCKED").format(
        name(table), queries.has_key("one", map(table.column, named), key)
    )


def read_values(session: Session, table: Table, named: Sequence[str], key: Key) -> dict[str, str | None]:
    """By column, the text of each value of one row."""
    columns = [column.name for column in table.columns if not column.generated]
    texts = SQL(", ").join(SQL("one.{}::text").format(Identifier(column)) for column in columns)
    wanted = queries.has_key("one", map(table.column, named), key)
    query = SQL("SELECT {} FROM {} AS one WHERE {}").format(texts, name(table), wanted)
    return {column: value for row in session.rows(query) for column, value in zip(columns, row, strict=True)}


def read_neighbours(session: Session, table: Table) -> dict[str, list[str]]:
    """By column, short values that a few rows have."""
    columns = [column.name for column in table.columns if not column.generated]
    texts = SQL(", ").join(
        SQL(
            "CASE WHEN pg_catalog.pg_column_size(one.{0}) OPERATOR(pg_catalog.<) {1} THEN one.{0}::pg_catalog.text END"
        ).format(Identifier(column), Literal(SHORT))
        for column in columns
    )
    rows = session.rows(SQL("SELECT {} FROM {} AS one LIMIT {}").format(texts, name(table), Literal(NEIGHBOURS)))
    found = zip(columns, zip(*rows, strict=True), strict=True) if rows else ()
    return {column: list(dict.fromkeys(value for value in values if value is not None)) for column, values in found}


def make(session: Session, pair: TablePair) -> Statement | None:
    """The INSERT of a row of the smallest values into the empty target; None where there are none."""
    table, types = pair.target, read_types(session, pair.target)
    parents = read_parents(session, [*table.foreign_keys, *pair.dropped])
    needed = [c.name for c in table.columns if not (c.nullable or c.default or c.identity or c.generated)]
    values = {column: parents[column] if column in parents else types[column].smallest for column in needed}
    if any(value is None for value in values.values()):
        return None
    return insert(table, values, [there for _, there in pair.forward.key])


def read_parents(session: Session, keys: Iterable[ForeignKey]) -> dict[str, str | None]:
    """By column of a foreign key: a value that leads to a row."""
    found: dict[str, str | None] = {}
    for key in keys:
        ends = SQL(", ").join(SQL("{}::text").format(Identifier(end)) for end in key.end.columns)
        rows = session.rows(SQL("SELECT {} FROM {} LIMIT 1").format(ends, SQL(key.referenced)))
        found |= dict(zip(key.columns, rows[0] if rows else [None] * len(key.columns), strict=True))
    return found


def insert(table: Table, values: dict[str, str | None], returned: Sequence[str] = ()) -> Statement:
    """Of texts, which PostgreSQL reads as values of the columns' types; it returns those of a key in an array."""
    returning = SQL(", ").join(SQL("{}::pg_catalog.text").format(Identifier(column)) for column in returned)
    always = any(table.column(column).identity == "a" for column in values)
    return SQL("INSERT INTO {} {}{}").format(
        name(table),
        SQL("({}) {}VALUES ({})").format(
            sql.columns(values),
            SQL("OVERRIDING SYSTEM VALUE " if always else ""),
            SQL(", ").join(map(Literal, values.values())),
        )
        if values
        else SQL("DEFAULT VALUES"),
        SQL(" RETURNING ARRAY[{}]").format(returning) if returned else SQL(""),
    )
