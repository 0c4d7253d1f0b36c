"""SQL of tables, indexes and constraints, and the names by which all of rehome composes it."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import ClientCursor, sql

from rehome.postgres.tables import Column, End, ForeignKey, Sequence, Table

SQL = sql.SQL
Identifier = sql.Identifier
Literal = sql.Literal
Statement = sql.Composable

SAME_RECORD = SQL("OPERATOR(pg_catalog.*=)")
OTHER_RECORD = SQL("OPERATOR(pg_catalog.*<>)")


def name(table: Table | Sequence) -> Identifier:
    return Identifier(table.schema, table.name)


def regclass(table: Table | Sequence) -> Statement:
    return SQL("{}::regclass").format(Literal(name(table).as_string()))


def temporary(name: str) -> Identifier:
    """A table, view or function of this session alone, which another of the same name can't be taken for."""
    return Identifier("pg_temp", name)


def inlined(connection: BaseDatabaseWrapper, text: str, params: Any) -> str:
    """A statement with its parameters as literals, so that it can be a part of another."""
    connection.ensure_connection()
    with ClientCursor(connection.connection) as cursor:
        return str(cursor.mogrify(text, params))


def readable(*names: str) -> str:
    """A qualified name for a person's psql, quoted only where it must be."""
    return ".".join(n if re.fullmatch(r"[a-z_][a-z0-9_]*", n) else Identifier(n).as_string() for n in names)


def place(table: Table | Sequence) -> str:
    return readable(table.schema, table.name)


def columns(names: Iterable[str]) -> Statement:
    return SQL(", ").join(map(Identifier, names))


def of(row: str, names: Iterable[str]) -> Statement:
    return SQL(", ").join(Identifier(row, column) for column in names)


def aliased(parts: Iterable[tuple[Statement, str]]) -> Statement:
    """`value AS name` of each."""
    return SQL(", ").join(SQL("{} AS {}").format(value, Identifier(alias)) for value, alias in parts)


def same(one: Statement, other: Statement, operator: Statement = SAME_RECORD) -> Statement:
    """Whether two rows of values are alike bit by bit."""
    return SQL("ROW({})::record {} ROW({})::record").format(one, operator, other)


def differ(one: Statement, other: Statement) -> Statement:
    return same(one, other, OTHER_RECORD)


def equal(one: str, other: str, pairs: Iterable[tuple[str, str]]) -> Statement:
    """Whether row `one` has in the first columns of `pairs` what row `other` has in the second."""
    return SQL(" AND ").join(SQL("{} = {}").format(Identifier(one, a), Identifier(other, b)) for a, b in pairs)


def present(names: Iterable[str], *row: str) -> Statement:
    """Whether none of these columns is null, of the row named `row` where one is."""
    return SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier(*row, column)) for column in names)


def is_longer(value: Statement, column: Column, limit: int) -> Statement:
    """Whether a text, or an element of an array of texts, has more characters than `limit`."""
    if not column.base_type.endswith("[]"):
        return SQL("char_length({}) > {}").format(value, Literal(limit))
    return SQL("EXISTS (SELECT FROM unnest({}) AS item WHERE char_length(item) > {})").format(value, Literal(limit))


def typed(value: Statement, column: Column) -> Statement:
    """`value` as the column's type; a text's length is left alone, since a cast would cut it in silence."""
    bounded = column.base_type.removesuffix("[]") == "character varying"
    return SQL("({})::{}").format(value, SQL(column.base_type if bounded else column.type))


def heap(table: Table) -> Statement:
    """The file that holds the table, and its length in blocks."""
    return SQL(
        "SELECT pg_relation_filenode({0})::bigint, pg_relation_size({0}) / current_setting('block_size')::bigint"
    ).format(regclass(table))


def truncate(tables: Iterable[Table]) -> Statement:
    return SQL("TRUNCATE {}").format(SQL(", ").join(map(name, tables)))


def has_rows(table: Table) -> Statement:
    return SQL("SELECT EXISTS (SELECT FROM {})").format(name(table))


def largest_key(table: Table, column: str, *, below: int) -> Statement:
    return SQL("SELECT max({0}) FROM {1} WHERE {0} < {2}").format(Identifier(column), name(table), Literal(below))


def vacuum(table: Table) -> Statement:
    """Statistics, and the map of pages that index-only scans rely on; it can't run in a transaction."""
    return SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}").format(name(table))


def check_now() -> Statement:
    """What a transaction would be asked at its end is asked at once, for pending checks forbid an ALTER TABLE."""
    return SQL("SET CONSTRAINTS ALL IMMEDIATE")


def drop_tables(tables: Iterable[Table]) -> Statement:
    return SQL("DROP TABLE {}").format(SQL(", ").join(map(name, tables)))


def set_setting(setting: str, value: str | int) -> Statement:
    """Until the session ends."""
    return SQL("SET {} = {}").format(SQL(setting), Literal(value))


def set_local(setting: str, value: str | int) -> Statement:
    """Until the transaction ends."""
    return SQL("SET LOCAL {} = {}").format(SQL(setting), Literal(value))


def merge_json(table: str, column: str) -> Statement:
    """Add keys to the JSON of one row, and leave the others; a row that somebody else holds is not waited for.

    Its parameters are the JSON and the row's id.
    """
    return SQL(
        "UPDATE {0} SET {1} = {1} || %s::jsonb WHERE id = (SELECT id FROM {0} WHERE id = %s FOR UPDATE SKIP LOCKED)"
    ).format(Identifier(table), Identifier(column))


def lock(tables: Iterable[Table], mode: str) -> Statement:
    return SQL("LOCK TABLE {} IN {} MODE").format(SQL(", ").join(map(name, tables)), SQL(mode))


def alter_column(table: Statement, column: str, change: str, *values: Statement) -> Statement:
    """`change` is SQL with a place for each of `values`."""
    return SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(table, Identifier(column), SQL(change).format(*values))


# ----- indexes and constraints


def foreign_key(table: Table, column: str, referenced: Table, key: str) -> ForeignKey:
    """The one that Django makes for a column, under the column's name."""
    head = SQL("FOREIGN KEY ({})").format(Identifier(column)).as_string()
    end, tail = End(referenced.schema, referenced.name, (key,)), " DEFERRABLE INITIALLY DEFERRED"
    found = ForeignKey(table.schema, table.name, column, head, tail, end, validated=False, columns=(column,))
    return dataclasses.replace(found, referenced=name(referenced).as_string(), referenced_oid=referenced.oid)


def set_owner(kind: str, place: Statement, owner: str) -> Statement:
    return SQL("ALTER {} {} OWNER TO {}").format(SQL(kind), place, Identifier(owner))


def drop_constraint(schema: str, table: str, name: str) -> Statement:
    return SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(Identifier(schema, table), Identifier(name))


def add_constraint(schema: str, table: str, name: str, definition: str, *, validate: bool = True) -> Statement:
    """Without validation, for a foreign key or a check alone, it holds for later writes, and no row is looked at."""
    text = definition if validate else f"{definition.removesuffix(' NOT VALID')} NOT VALID"
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(Identifier(schema, table), Identifier(name), SQL(text))


def validate(schema: str, table: str, constraint: str) -> Statement:
    return SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(Identifier(schema, table), Identifier(constraint))


def drop_index(table: Table, index: str) -> Statement:
    return SQL("DROP INDEX IF EXISTS {}").format(Identifier(table.schema, index))
