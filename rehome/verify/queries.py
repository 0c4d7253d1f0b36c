"""SQL of the comparison of two tables: pure functions from a TablePair, which share nothing with the copy."""

import dataclasses
from collections.abc import Iterable, Sequence

from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow, TablePair
from rehome.postgres import sql
from rehome.postgres.sql import EQUAL, SQL, Identifier, Literal, Statement, aliased, columns, name, present, typed
from rehome.postgres.tables import Column, ForeignKey, Table

# Types whose equality is identity, so that their hash speaks for every bit; all others are compared as text.
EXACT = {
    "smallint", "integer", "bigint", "boolean", "uuid", "date", "timestamp with time zone",
    "timestamp without time zone", "time without time zone", "bytea", "macaddr", "oid",
}  # fmt: skip
WHOLE = {"smallint", "integer", "bigint"}
TEXT = {"text", "character varying"}


def comparable(value: Statement, column: Column) -> Statement:
    """`value` in a form that is equal only where every bit is, whatever collation or looseness the type has."""
    if column.base_type in EXACT:
        return typed(value, column)
    if column.base_type in TEXT:
        return SQL('({})::pg_catalog.text COLLATE pg_catalog."C"').format(value)
    return SQL('{}::pg_catalog.text COLLATE pg_catalog."C"').format(typed(value, column))


def compared(pair: TablePair) -> Flow:
    """What both names say of a row. Where the old one is a view, a derived column is the target's own."""
    derived = pair.derived if pair.source.kind == "v" else ()
    kept = tuple(assignment for assignment in pair.forward.assignments if assignment not in derived)
    return dataclasses.replace(pair.forward, assignments=kept)


def fingerprint(flow: Flow, *, written: bool) -> Statement:
    """The number of rows, and a hash of them all.

    It is the XOR of the hashes of the rows, each seeded with the row's key, so that the order of rows does not matter
    and a value can't change places with another row's. With `written` the destination's columns are read, otherwise
    the values that they should have.
    """
    named = [there for _, there in flow.key]
    carried = {assignment.column.name: assignment for assignment in flow.carried}
    seed = seed_of(
        [(side(carried[there], written=written), carried[there].column) for there in named if there in carried]
    )
    values = [comparable(side(a, written=written), a.column) for a in carried.values()]
    return SQL("SELECT pg_catalog.count(*), pg_catalog.bit_xor({}) FROM {} AS {}").format(
        hash_of(values, seed), name(flow.destination if written else flow.origin), Identifier(ROW)
    )


def seed_of(key: Sequence[tuple[Statement, Column]]) -> Statement:
    """A bigint that tells keys apart: one that is a number by itself, and a hash of any other."""
    if len(key) == 1 and key[0][1].base_type in WHOLE:
        return SQL("({})::bigint").format(key[0][0])
    return hash_of([comparable(*one) for one in key], SQL("0::bigint"))


def hash_of(values: Iterable[Statement], seed: Statement) -> Statement:
    """A bigint for every bit of comparable values."""
    return SQL("pg_catalog.hash_record_extended(ROW({}), {})").format(SQL(", ").join(values), seed)


def missing_parents(table: Table, foreign_key: ForeignKey) -> Statement:
    """How many different values lead to no row: each is looked up once, and read from the key's index, if any."""
    named = foreign_key.columns
    values = SQL("(SELECT DISTINCT {} FROM {} WHERE {})").format(columns(named), name(table), present(named))
    return SQL("SELECT pg_catalog.count(*) FROM {} AS child WHERE {}").format(values, without_parent(foreign_key))


def orphans(table: Table, foreign_key: ForeignKey) -> Statement:
    """The number of rows whose foreign key leads nowhere."""
    return SQL("SELECT pg_catalog.count(*) FROM {} AS child WHERE {} AND {}").format(
        name(table), present(foreign_key.columns), without_parent(foreign_key)
    )


def without_parent(foreign_key: ForeignKey) -> Statement:
    """By the key's own operators; one that is no longer there would have those that its types have."""
    operators = foreign_key.operators or ["="] * len(foreign_key.columns)
    same = SQL(" AND ").join(
        SQL("{} {} {}").format(Identifier("parent", there), SQL(operator), Identifier("child", here))
        for there, operator, here in zip(foreign_key.end.columns, operators, foreign_key.columns, strict=True)
    )
    return SQL("NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(SQL(foreign_key.referenced), same)


def side(assignment: Assignment, *, written: bool) -> Statement:
    return Identifier(ROW, assignment.column.name) if written else SQL(assignment.value)


def differences(pair: TablePair, key: Sequence[str] = ()) -> Statement:
    """A relation of (kind, key as text[], columns that differ) with one row for each row that differs, or of those
    alone that have one `key`, as texts.
    """
    flow = compared(pair)
    key_columns = [there for _, there in flow.key]
    carried = {a.column.name: a for a in flow.carried}
    keys = [carried[there] for there in key_columns if there in carried]
    rest = [a for a in flow.carried if a.column.name not in key_columns]
    # Where an expression made a value, what the other way makes of it is compared as well: see `in_sync`.
    returned = [(number, back) for number, a in enumerate(rest) for back in pair.counterparts(a, pair.forward)]

    def relation(table: Table, *, written: bool) -> Statement:
        """The key, and the hash of each value: a row of many columns is no longer than a row of a query may be."""
        hashes = [hashed(a, written=written) for a in rest] + [hashed(a, written=not written) for _, a in returned]
        values = aliased(
            [
                *((comparable(side(a, written=written), a.column), f"k{number}") for number, a in enumerate(keys)),
                (SQL("ARRAY[{}]::bigint[]").format(SQL(", ").join(hashes)), "v"),
            ]
        )
        named = [table.column(there if table is flow.destination else here) for here, there in flow.key]
        wanted = has_key(ROW, named, key) if key else SQL("true")
        # The offset keeps the planner from writing all hashes again wherever one of them is asked for.
        query = SQL("SELECT {} FROM {} AS {} WHERE {} OFFSET 0")
        return query.format(values, name(table), Identifier(ROW), wanted)

    def hashed(assignment: Assignment, *, written: bool) -> Statement:
        return hash_of([comparable(side(assignment, written=written), assignment.column)], SQL("0::bigint"))

    def unequal(place: int) -> Statement:
        return SQL("s.v[{0}] IS DISTINCT FROM t.v[{0}]").format(Literal(place + 1))

    def differs(number: int) -> Statement:
        back = [unequal(len(rest) + place) for place, (of, _) in enumerate(returned) if of == number]
        return SQL("({} AND ({}))").format(unequal(number), SQL(" OR ").join(back)) if back else unequal(number)

    return SQL(
        "SELECT CASE WHEN t.k0 IS NULL THEN 'missing' WHEN s.k0 IS NULL THEN 'extra' ELSE 'different' END AS kind, "
        "ARRAY[{keys}]::pg_catalog.text[] AS key, "
        "CASE WHEN s.k0 IS NOT NULL AND t.k0 IS NOT NULL "
        "THEN pg_catalog.array_remove(ARRAY[{changed}]::pg_catalog.text[], NULL) "
        "ELSE ARRAY[]::pg_catalog.text[] END AS columns FROM ({source}) s FULL JOIN ({target}) t ON {same} WHERE {any}"
    ).format(
        keys=SQL(", ").join(
            SQL("coalesce(s.{0}, t.{0})::pg_catalog.text").format(Identifier(f"k{number}"))
            for number in range(len(keys))
        ),
        changed=SQL(", ").join(
            SQL("CASE WHEN {} THEN {} END").format(differs(number), Literal(a.column.name))
            for number, a in enumerate(rest)
        ),
        source=relation(flow.origin, written=False),
        target=relation(flow.destination, written=True),
        same=SQL(" AND ").join(
            SQL("s.{0} {1} t.{0}").format(Identifier(f"k{number}"), EQUAL) for number in range(len(keys))
        ),
        any=SQL(" OR ").join([SQL("s.k0 IS NULL"), SQL("t.k0 IS NULL"), *map(differs, range(len(rest)))]),
    )


def has_key(row: str, named: Iterable[Column], key: Sequence[str]) -> Statement:
    """Whether columns have the values of `key`, which are texts."""
    return SQL(" AND ").join(
        sql.same_value(Identifier(row, column.name), Literal(value), column)
        for column, value in zip(named, key, strict=True)
    )


def differences_of_key(pair: TablePair, key: Sequence[str]) -> Statement:
    """(kind, columns) of the row that has the key, where its sides differ."""
    return SQL("SELECT kind, columns FROM ({}) d").format(differences(pair, key))


def count_by_kind(pair: TablePair) -> Statement:
    return SQL("SELECT kind, pg_catalog.count(*) FROM ({}) d GROUP BY kind").format(differences(pair))


def first_differences(pair: TablePair, limit: int) -> Statement:
    return SQL("SELECT kind, key, columns FROM ({}) d ORDER BY kind, key LIMIT {}").format(
        differences(pair), Literal(limit)
    )
