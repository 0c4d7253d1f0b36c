"""Statements of PostgreSQL that make a live table what the models say."""

import dataclasses
import re
from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.joined import Known
from rehome.checkschema.shape import Column, Part, Shape
from rehome.postgres.sql import Identifier, Literal
from rehome.postgres.tables import LARGEST, without_schema

TEXTS = ("character", "text", "citext")
ALIKE = (
    {"smallint", "integer", "bigint", "numeric"},
    {"character varying", "text"},
    {"timestamp with time zone", "timestamp without time zone"},
)
"""Types whose values an index or a foreign key compares with each other."""
LONGEST = 40
NO_ACTION = " DEFERRABLE INITIALLY DEFERRED"


class PostgreSQLRemedies:
    def __init__(self, connection: BaseDatabaseWrapper, known: Known) -> None:
        self.connection = connection
        self.known = known

    def alter_column(self, kind: str, table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
        column = quoted(found.name)
        change = f"ALTER TABLE {table.place} ALTER COLUMN {column}"
        match kind:
            case "type" | "default" if expected.type != found.type:
                return self.retype(table, expected, found)
            case "collation":
                return (f"{change} TYPE {expected.type}{collate(expected)}",)
            case "null":
                return (f"{change} {'DROP' if expected.nullable else 'SET'} NOT NULL",)
            case "default":
                default = expected.default
                return (f"{change} {'DROP DEFAULT' if default is None else f'SET DEFAULT {default}'}",)
            case "comment":
                return (f"COMMENT ON COLUMN {table.place}.{column} IS {literal(expected.comment)}",)
            case "generated":
                return self.regenerate(table, expected, found)
            case "sequence" if expected.numbered:
                return number(table, change, column)
        return (f"{change} DROP IDENTITY IF EXISTS", f"{change} DROP DEFAULT")

    def retype(self, table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
        """Also of what numbers the column. What is computed from it is dropped and made again; to a type of another
        kind, foreign keys only let all of their columns go together, and indexes and checks are made again as well.
        """
        computed = [one for one in table.columns if one.generated and has_name(one.generated, found.name)]
        change = (f"ALTER TABLE {table.place} {self.change_type(expected, found)}", *resized(expected, found))
        if not is_of_kind(expected.type, found.type):
            change = self.retype_all(table, expected, found)
        for one in computed:
            says = self.known.column((table.place, one.name)) or one
            change = self.apart(table, one, says, change)
        return change

    def apart(self, table: Shape, column: Column, says: Column, statements: Iterable[str]) -> tuple[str, ...]:
        """Statements that are run while the table does not have a column that is computed."""
        parts = [part for part in table.parts if has_part(part, column.name)]
        drops = [one for part in parts for one in self.drop(table, part)]
        adds = [one for part in parts for one in self.add(table, part, part.name)]
        if says.generated:
            kept = f"GENERATED ALWAYS AS {says.generated}{'' if says.nullable else ' NOT NULL'}"
            adds.insert(
                0, f"ALTER TABLE {table.place} ADD COLUMN {quoted(column.name)} {says.type}{collate(says)} {kept}"
            )
        drop = f"ALTER TABLE {table.place} DROP COLUMN {quoted(column.name)}"
        return (*drops, drop, *statements, *adds)

    def retype_all(self, table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
        ends, keys = self.known.joined((table.place, found.name))
        shapes = {place: self.known.staying.get(place, Shape(place, "", "table", (), (), "")) for place, _ in ends}
        parts = [
            (shapes[place], part)
            for place, name in ends
            for part in shapes[place].parts
            if part.kind != "foreign key" and has_part(part, name)
        ]
        statements = [f"ALTER TABLE {key.table} DROP CONSTRAINT {quoted(key.name)}" for key in keys]
        statements += [one for shape, part in parts for one in self.drop(shape, part)]
        for place, name in ends:
            says, has = self.known.column((place, name)) or expected, shapes[place].column(name) or found
            change = self.change_type(dataclasses.replace(says, name=name), dataclasses.replace(has, name=name))
            statements += [f"ALTER TABLE {place} {change}"] if says.type != has.type else []
        statements += [one for shape, part in parts for one in self.add(shape, part, part.name)]
        statements += [f"ALTER TABLE {key.table} ADD CONSTRAINT {quoted(key.name)} {key.definition}" for key in keys]
        return tuple(statements)

    def change_type(self, expected: Column, found: Column) -> str:
        """With its default, which may have no cast of its own."""
        column = f"ALTER COLUMN {quoted(found.name)}"
        change = [f"{column} TYPE {expected.type}{collate(expected)} USING {self.cast(expected, found)}"]
        if found.default is not None:
            change = [f"{column} DROP DEFAULT", *change]
        if expected.default is not None:
            change = [*change, f"{column} SET DEFAULT {expected.default}"]
        return ", ".join(change)

    def regenerate(self, table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
        """An expression can't be altered, so the column is dropped and added; its values are computed again. One that
        is written keeps the values that it had.
        """
        column, alter = quoted(found.name), f"ALTER TABLE {table.place}"
        filled = [] if expected.nullable else [f"ALTER COLUMN {column} SET NOT NULL"]
        filled += [f"ALTER COLUMN {column} SET DEFAULT {expected.default}"] if expected.default is not None else []
        if not expected.generated and found.kept == "STORED":
            return (f"{alter} {', '.join([f'ALTER COLUMN {column} DROP EXPRESSION', *filled])}",)
        if expected.generated:
            return self.apart(table, found, expected, ())
        parts = [part for part in table.parts if has_part(part, found.name)]
        drops = [one for part in parts for one in self.drop(table, part)]
        adds = [one for part in parts for one in self.add(table, part, part.name)]
        other = quoted(f"{found.name[:LONGEST]} rehome")
        return (
            f"{alter} ADD COLUMN {other} {expected.type}{collate(expected)}",
            f"UPDATE {table.place} SET {other} = {column}",  # noqa: S608
            *drops,
            f"{alter} DROP COLUMN {column}",
            f"{alter} RENAME COLUMN {other} TO {column}",
            *([f"{alter} {', '.join(filled)}"] if filled else []),
            *adds,
        )

    def cast(self, expected: Column, found: Column) -> str:
        """How present values become values of the other type."""
        column = quoted(found.name)
        if {expected.type, found.type} == {"timestamp with time zone", "timestamp without time zone"}:
            return f"{column} AT TIME ZONE {literal(self.connection.timezone_name)}"
        if without_schema(found.type).startswith(TEXTS) and not without_schema(expected.type).startswith(TEXTS):
            return f"{column}::text::{expected.type}"
        return f"{column}::{expected.type}"

    def let_insert(self, table: Shape, found: Column) -> tuple[str, ...]:
        return (f"ALTER TABLE {table.place} ALTER COLUMN {quoted(found.name)} DROP NOT NULL",)

    def comment(self, table: Shape, text: str) -> tuple[str, ...]:
        return (f"COMMENT ON TABLE {table.place} IS {literal(text)}",)

    def add(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        if part.kind.endswith("index"):
            kind, named = part.kind.upper(), f" {quoted(name)}" if name else ""
            return (f"CREATE {kind} CONCURRENTLY{named} ON {table.place} USING {part.definition}",)
        if part.kind == "foreign key":
            constraint = f"CONSTRAINT {quoted(name or '_'.join((*part.columns, 'fk')))}"
            # In two steps, of which neither keeps writers waiting for long.
            added = f"ALTER TABLE {table.place} ADD {constraint} {part.definition} NOT VALID"
            return added, f"ALTER TABLE {table.place} VALIDATE {constraint}"
        named = f"CONSTRAINT {quoted(name)} " if name else ""
        return (f"ALTER TABLE {table.place} ADD {named}{part.definition}",)

    def drop(self, table: Shape, part: Part) -> tuple[str, ...]:
        if part.kind.endswith("index"):
            return (f"DROP INDEX CONCURRENTLY {Identifier(table.schema, part.name).as_string()}",)
        return (f"ALTER TABLE {table.place} DROP CONSTRAINT {quoted(part.name)}",)

    def replace(self, table: Shape, expected: Part, found: Part, name: str) -> tuple[str, ...]:
        untimed = found.definition.removesuffix(NO_ACTION).removesuffix(" DEFERRABLE")
        if expected.kind == "foreign key" and expected.definition == untimed + NO_ACTION:
            return (f"ALTER TABLE {table.place} ALTER CONSTRAINT {quoted(found.name)}{NO_ACTION}",)
        if expected.definition == f"UNIQUE {found.definition.removeprefix('btree ')}":
            using = f"UNIQUE USING INDEX {quoted(found.name)}"
            return (f"ALTER TABLE {table.place} ADD CONSTRAINT {quoted(name or found.name)} {using}",)
        return (*self.drop(table, found), *self.add(table, expected, name or found.name))

    def rename(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        if part.kind.endswith("index"):
            return (f"ALTER INDEX {Identifier(table.schema, part.name).as_string()} RENAME TO {quoted(name)}",)
        return (f"ALTER TABLE {table.place} RENAME CONSTRAINT {quoted(part.name)} TO {quoted(name)}",)

    def repair(self, table: Shape, part: Part, name: str) -> tuple[str, ...]:
        if part.kind.endswith("index"):
            return (f"REINDEX INDEX CONCURRENTLY {Identifier(table.schema, name).as_string()}",)
        return (f"ALTER TABLE {table.place} VALIDATE CONSTRAINT {quoted(name)}",)

    def engine(self, table: Shape, engine: str) -> tuple[str, ...]:
        """The server has one."""
        return ()


def quoted(name: str) -> str:
    return Identifier(name).as_string()


def literal(text: str | None) -> str:
    return Literal(text or None).as_string()


def collate(column: Column) -> str:
    return f" COLLATE {column.collation}" if column.collation and not column.collation.endswith('"default"') else ""


def resized(expected: Column, found: Column) -> tuple[str, ...]:
    """What numbers the column, where it does not follow to the other type by itself."""
    if not found.sequence or expected.type not in LARGEST:
        return ()
    return (f"ALTER SEQUENCE {found.sequence} AS {expected.type} MAXVALUE {LARGEST[expected.type]}",)


def is_of_kind(one: str, other: str) -> bool:
    """Whether keys, indexes and checks of one type work for the other."""
    kinds = [without_schema(name).partition("(")[0] for name in (one, other)]
    return any(all(name in alike for name in kinds) for alike in ALIKE)


def has_part(part: Part, column: str) -> bool:
    return column in part.columns or has_name(part.definition, column)


def has_name(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text) is not None


def number(table: Shape, change: str, column: str) -> tuple[str, ...]:
    """An identity that continues after the largest key."""
    where = f"pg_get_serial_sequence({literal(table.place)}, {literal(column.strip(chr(34)))})"
    following = f"SELECT setval({where}, coalesce(max({column}), 1), max({column}) IS NOT NULL) FROM {table.place}"  # noqa: S608
    return (f"{change} DROP DEFAULT", f"{change} ADD GENERATED BY DEFAULT AS IDENTITY", following)
