"""Statements of PostgreSQL that make a live table what the models say."""

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.checkschema.shape import Column, Part, Shape
from rehome.postgres.sql import Identifier, Literal

TEXTS = ("character", "text", "citext")
NO_ACTION = " DEFERRABLE INITIALLY DEFERRED"


class PostgreSQLRemedies:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def alter_column(self, kind: str, table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
        column = quoted(found.name)
        change = f"ALTER TABLE {table.place} ALTER COLUMN {column}"
        match kind:
            case "type":
                return (f"{change} TYPE {expected.type}{collate(expected)} USING {self.cast(expected, found)}",)
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
                return regenerate(table, expected, found)
            case "sequence" if expected.numbered:
                return number(table, change, column)
        return (f"{change} DROP IDENTITY IF EXISTS", f"{change} DROP DEFAULT")

    def cast(self, expected: Column, found: Column) -> str:
        """How present values become values of the other type."""
        column = quoted(found.name)
        if {expected.type, found.type} == {"timestamp with time zone", "timestamp without time zone"}:
            return f"{column} AT TIME ZONE {literal(self.connection.timezone_name)}"
        if found.type.startswith(TEXTS) and not expected.type.startswith(TEXTS):
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

    def repair(self, table: Shape, part: Part) -> tuple[str, ...]:
        if part.kind.endswith("index"):
            return (f"REINDEX INDEX CONCURRENTLY {Identifier(table.schema, part.name).as_string()}",)
        return (f"ALTER TABLE {table.place} VALIDATE CONSTRAINT {quoted(part.name)}",)


def quoted(name: str) -> str:
    return Identifier(name).as_string()


def literal(text: str | None) -> str:
    return Literal(text or None).as_string()


def collate(column: Column) -> str:
    return f" COLLATE {column.collation}" if column.collation and not column.collation.endswith('"default"') else ""


def regenerate(table: Shape, expected: Column, found: Column) -> tuple[str, ...]:
    """An expression can't be altered, so the column is dropped and added; its values are computed again."""
    column = quoted(found.name)
    if not expected.generated:
        return (f"ALTER TABLE {table.place} ALTER COLUMN {column} DROP EXPRESSION",)
    add = f"ADD COLUMN {column} {expected.type} GENERATED ALWAYS AS {expected.generated}"
    return (f"ALTER TABLE {table.place} DROP COLUMN {column}, {add}",)


def number(table: Shape, change: str, column: str) -> tuple[str, ...]:
    """An identity that continues after the largest key."""
    where = f"pg_get_serial_sequence({literal(table.place)}, {literal(column.strip(chr(34)))})"
    following = f"SELECT setval({where}, coalesce(max({column}), 0) + 1, false) FROM {table.place}"  # noqa: S608
    return (f"{change} DROP DEFAULT", f"{change} ADD GENERATED BY DEFAULT AS IDENTITY", following)
