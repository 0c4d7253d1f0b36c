"""SQL of tables, indexes and constraints, and the names by which all of rehome composes it."""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import ClientCursor, sql
from psycopg.abc import AdaptContext

from rehome.postgres import settings
from rehome.postgres.tables import Column, ColumnIndex, End, ForeignKey, IndexKey, Sequence, Table, Terms, TriggerState

SQL = sql.SQL
Identifier = sql.Identifier
Literal = sql.Literal
Statement = sql.Composable
Arguments = ParamSpec("Arguments")

ALWAYS = SQL("true")
WORDS = "bigint|bit|boolean|character|double precision|integer|interval|numeric|real|smallint|time|timestamp"
"""What the names of types begin with that the grammar knows, and no search path changes."""
RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case
    cast char character check coalesce collate collation column concurrently constraint create cross current_catalog
    current_date current_role current_schema current_time current_timestamp current_user dec decimal default
    deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant
    graph_table greatest group grouping having ilike in initially inner inout int integer intersect interval into is
    isnull join json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar
    json_serialize json_table json_value lateral leading least left like limit localtime localtimestamp merge_action
    national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps
    overlay placing position precision primary real references returning right row select session_user setof similar
    smallint some substring symmetric system_user table tablesample then time timestamp to trailing treat trim true
    union unique user using values varchar variadic verbose when where window with xmlattributes xmlconcat
    xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
    """,
    )
)
"""Words that PostgreSQL 15 to 18 know and that are not names everywhere without quotes: `pg_get_keywords` has them."""
EQUAL = SQL("OPERATOR(pg_catalog.=)")
OTHER = SQL("OPERATOR(pg_catalog.<>)")
GREATER = SQL("OPERATOR(pg_catalog.>)")
SAME_RECORD = SQL("OPERATOR(pg_catalog.*=)")
OTHER_RECORD = SQL("OPERATOR(pg_catalog.*<>)")


class Firing(Statement):
    """A statement that sets off what the project has made, such as triggers, which find names by its search path."""

    def __init__(self, statement: Statement) -> None:
        super().__init__(statement)

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        return bytes(self._obj.as_bytes(context))


class Within(Firing):
    """A statement that holds expressions of the project, whose names are in `schemas` where PostgreSQL has none."""

    def __init__(self, statement: Statement, schemas: Iterable[str]) -> None:
        super().__init__(statement)
        self.schemas = tuple(schemas)


def firing(make: Callable[Arguments, Statement]) -> Callable[Arguments, Statement]:
    """For a function that makes such a statement."""

    @functools.wraps(make)
    def made(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Statement:
        return Firing(make(*args, **kwargs))

    return made


def meaning(statement: Statement, connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
    """What names of the statement mean while it runs: what they mean just now, unless it says otherwise."""
    match statement:
        case Within():
            return settings.own(connection, *statement.schemas)
        case Firing():
            return settings.projects(connection)
    return contextlib.nullcontext()


def name(table: Table | Sequence) -> Identifier:
    return Identifier(table.schema, table.name)


def regclass(table: Table | Sequence) -> Statement:
    return SQL("{}::pg_catalog.regclass").format(Literal(name(table).as_string()))


def temporary(name: str) -> Identifier:
    """A table, view or function of this session alone, which another of the same name can't be taken for."""
    return Identifier("pg_temp", name)


def inlined(connection: BaseDatabaseWrapper, text: str, params: Any) -> str:
    """A statement with its parameters as literals, so that it can be a part of another."""
    connection.ensure_connection()
    with ClientCursor(connection.connection) as cursor:
        return str(cursor.mogrify(text, params))


def quoted(text: str) -> Statement:
    """`text` between dollar quotes that it does not contain itself."""
    tag = "$rehome$"
    while tag in text:
        tag = f"{tag[:-1]}_$"
    return SQL(f"{tag}{text}{tag}")


def readable(*names: str) -> str:
    """A qualified name for a person's psql, quoted only where it must be."""
    return ".".join(n if is_plain(n) else Identifier(n).as_string() for n in names)


def is_plain(name: str) -> bool:
    """Whether a name needs no quotes, whatever stands around it."""
    return re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and name not in RESERVED


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
    return SQL("ROW({})::pg_catalog.record {} ROW({})::pg_catalog.record").format(one, operator, other)


def differ(one: Statement, other: Statement) -> Statement:
    return same(one, other, OTHER_RECORD)


def equal(one: str, other: str, pairs: Iterable[tuple[str, str]]) -> Statement:
    """Whether row `one` has in the first columns of `pairs` what row `other` has in the second."""
    return SQL(" AND ").join(SQL("{} = {}").format(Identifier(one, a), Identifier(other, b)) for a, b in pairs)


def leads_to(key: ForeignKey, child: str, parent: str) -> Statement:
    """Whether row `child` points at row `parent`, by the key's own operators; by those of its types, where the key has
    been read from no catalog.
    """
    operators = key.operators or ("=",) * len(key.columns)
    return SQL(" AND ").join(
        SQL("{} {} {}").format(Identifier(parent, there), SQL(operator), Identifier(child, here))
        for there, operator, here in zip(key.end.columns, operators, key.columns, strict=True)
    )


def same_value(one: Statement, other: Statement, column: Column) -> Statement:
    """Whether two values are one in the key that `column` is of, by the operator of its index and no better match."""
    cast = SQL(f"::{column.operand}" if column.operand else "")
    return SQL("{}{} {} {}{}").format(one, cast, SQL(column.equals), other, cast)


def present(names: Iterable[str], *row: str) -> Statement:
    """Whether none of these columns is null, of the row named `row` where one is."""
    return SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier(*row, column)) for column in names)


def is_longer(value: Statement, column: Column, limit: int) -> Statement:
    """Whether a text, or an element of an array of texts, has more characters than `limit`."""
    if not column.base_type.endswith("[]"):
        return SQL("pg_catalog.char_length({}) OPERATOR(pg_catalog.>) {}").format(value, Literal(limit))
    long = is_longer(Identifier("item"), dataclasses.replace(column, base_type="text"), limit)
    return SQL("EXISTS (SELECT FROM pg_catalog.unnest({}) AS item WHERE {})").format(value, long)


def typed(value: Statement, column: Column) -> Statement:
    """`value` as the column's type; a text's length is left alone, since a cast would cut it in silence."""
    bounded = column.base_type.removesuffix("[]") == "character varying"
    return SQL("({})::{}").format(value, type_name(column.base_type if bounded else column.type))


def type_name(printed: str) -> Statement:
    """A type as `format_type` prints it, of which only PostgreSQL's own has no schema, whatever the search path is."""
    known = re.fullmatch(rf"(?:{WORDS})\b.*|.+\..+", printed)
    return SQL(printed if known else f"pg_catalog.{printed}")


def heap(table: Table) -> Statement:
    """The file that holds the table, and its length in blocks."""
    return SQL(
        "SELECT pg_catalog.pg_relation_filenode({0})::bigint, pg_catalog.pg_relation_size({0}) "
        "OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::bigint"
    ).format(regclass(table))


def truncate(tables: Iterable[Table]) -> Statement:
    return Firing(SQL("TRUNCATE {}").format(SQL(", ").join(map(name, tables))))


def has_rows(table: Table) -> Statement:
    return SQL("SELECT EXISTS (SELECT FROM {})").format(name(table))


def largest_key(table: Table, column: str, *, below: int) -> Statement:
    return SQL("SELECT max({0}) FROM {1} WHERE {0} < {2}").format(Identifier(column), name(table), Literal(below))


def vacuum(table: Table) -> Statement:
    """Statistics, and the map of pages that index-only scans rely on; it can't run in a transaction."""
    return SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}").format(name(table))


def analyze(table: Table, names: Iterable[str]) -> Statement:
    """Statistics of these columns and the table's size; whoever has a plan for the table makes it anew."""
    return SQL("ANALYZE (SKIP_LOCKED) {} ({})").format(name(table), columns(names))


def check_now() -> Statement:
    """What a transaction would be asked at its end is asked at once, for pending checks forbid an ALTER TABLE."""
    return Firing(SQL("SET CONSTRAINTS ALL IMMEDIATE"))


def check_some_now(constraints: Iterable[Identifier]) -> Statement:
    """The same of those alone that are named."""
    named = list(constraints)
    return Firing(SQL("SET CONSTRAINTS {} IMMEDIATE").format(SQL(", ").join(named))) if named else SQL("SELECT")


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


def foreign_key(table: Table, column: str, end: End) -> ForeignKey:
    """The one that Django makes for a column, under the column's name."""
    terms = Terms(deferrable=True, deferred=True)
    return ForeignKey(table.schema, table.name, column, (column,), end, terms, validated=False)


def create_index(index: ColumnIndex, *, concurrently: bool = False) -> Statement:
    """From facts: every name is quoted, and an option's value is a text."""
    return SQL("CREATE {}INDEX {}{} ON {} USING {} ({}){}{}{}").format(
        SQL("UNIQUE " if index.unique else ""),
        SQL("CONCURRENTLY " if concurrently else ""),
        Identifier(index.name),
        Identifier(index.schema, index.table),
        Identifier(index.method),
        SQL(", ").join(map(index_key, index.keys)),
        SQL(" INCLUDE ({})").format(columns(index.included)) if index.included else SQL(""),
        SQL("" if index.nulls_distinct else " NULLS NOT DISTINCT"),
        SQL(" WITH ({})").format(options(index.options)) if index.options else SQL(""),
    )


def index_key(key: IndexKey) -> Statement:
    order = " DESC" if key.descending else ""
    if key.nulls_first != key.descending:
        order += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return SQL("{}{}{}{}{}").format(
        Identifier(key.column),
        SQL(" COLLATE {}").format(Identifier(*key.collation)) if key.collation else SQL(""),
        SQL(" {}").format(Identifier(*key.opclass)) if key.opclass else SQL(""),
        SQL(" ({})").format(options(key.options)) if key.options else SQL(""),
        SQL(order),
    )


def options(given: Mapping[str, str]) -> Statement:
    return SQL(", ").join(SQL("{} = {}").format(Identifier(name), Literal(value)) for name, value in given.items())


def set_owner(kind: str, place: Statement, owner: str) -> Statement:
    return SQL("ALTER {} {} OWNER TO {}").format(SQL(kind), place, Identifier(owner))


def drop_constraint(schema: str, table: str, name: str) -> Statement:
    return SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(Identifier(schema, table), Identifier(name))


def enable_trigger(table: Table, trigger: str, state: TriggerState) -> Statement:
    """`state` is as pg_trigger.tgenabled has it."""
    change = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}[state]
    return SQL("ALTER TABLE {} {} TRIGGER {}").format(name(table), SQL(change), Identifier(trigger))


def add_constraint(schema: str, table: str, name: str, definition: str, *, validate: bool = True) -> Statement:
    """Without validation, for a foreign key or a check alone, it holds for later writes, and no row is looked at."""
    text = definition if validate else f"{definition.removesuffix(' NOT VALID')} NOT VALID"
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(Identifier(schema, table), Identifier(name), SQL(text))


def validate(schema: str, table: str, constraint: str) -> Statement:
    return SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(Identifier(schema, table), Identifier(constraint))


def drop_index(table: Table, index: str) -> Statement:
    return SQL("DROP INDEX IF EXISTS {}").format(Identifier(table.schema, index))
