"""SQL of the comparison of two tables: pure functions from a TablePair, which share nothing with the copy."""

from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow, TablePair
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, aliased, columns, equal, name, of, present, typed
from rehome.postgres.tables import Column, ForeignKey, Table

# Types whose equality is identity, so that their hash speaks for every bit; all others are compared as text.
EXACT = {
    "smallint", "integer", "bigint", "boolean", "uuid", "date", "timestamp with time zone",
    "timestamp without time zone", "time without time zone", "bytea", "macaddr", "oid",
}  # fmt: skip
TEXT = {"text", "character varying"}


def comparable(value: Statement, column: Column) -> Statement:
    """`value` in a form that is equal only where every bit is, whatever collation or looseness the type has."""
    if column.base_type in EXACT:
        return typed(value, column)
    if column.base_type in TEXT:
        return SQL('({})::text COLLATE "C"').format(value)
    return SQL('{}::text COLLATE "C"').format(typed(value, column))


def fingerprint(flow: Flow, *, written: bool) -> Statement:
    """The number of rows, and a hash for each column.

    A column's hash is the XOR over all rows of the hash of its value, seeded with the row's key, so that the
    order of rows does not matter and a value can't change places with another row's. With `written` the
    destination's columns are read, otherwise the values that they should have.
    """
    key_columns = {there for _, there in flow.key}
    seed: Statement = Literal(0)
    hashes = []
    for assignment in sorted(flow.carried, key=lambda a: a.column.name not in key_columns):
        hashed = hash_of(side(assignment, written=written), assignment.column, seed)
        hashes.append(SQL("coalesce(bit_xor({}), 0)").format(hashed))
        if assignment.column.name in key_columns:
            seed = hashed
    read = name(flow.destination if written else flow.origin)
    return SQL("SELECT {} FROM {} AS {}").format(SQL(", ").join([SQL("count(*)"), *hashes]), read, Identifier(ROW))


def missing_parents(table: Table, foreign_key: ForeignKey) -> Statement:
    """How many different values lead to no row: each is looked up once, and read from the key's index, if any."""
    named = foreign_key.columns
    values = SQL("(SELECT DISTINCT {} FROM {} WHERE {})").format(columns(named), name(table), present(named))
    return SQL("SELECT count(*) FROM {} AS child WHERE {}").format(values, without_parent(foreign_key))


def orphans(table: Table, foreign_key: ForeignKey) -> Statement:
    """The number of rows whose foreign key leads nowhere."""
    return SQL("SELECT count(*) FROM {} AS child WHERE {} AND {}").format(
        name(table), present(foreign_key.columns), without_parent(foreign_key)
    )


def without_parent(foreign_key: ForeignKey) -> Statement:
    return SQL("NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(
        SQL(foreign_key.referenced),
        equal("parent", "child", zip(foreign_key.end.columns, foreign_key.columns, strict=True)),
    )


def hash_of(value: Statement, column: Column, seed: Statement) -> Statement:
    """A bigint for every bit of the value; null for null, where the type's own function is used."""
    if column.base_type in {"smallint", "integer", "bigint"}:
        return SQL("hashint8extended(({})::bigint, {})").format(value, seed)
    if column.base_type == "boolean":
        return SQL("hashint4extended(({})::integer, {})").format(value, seed)
    if column.base_type in EXACT:
        return SQL("hash_record_extended(ROW({}), {})").format(typed(value, column), seed)
    return SQL("hashtextextended({}, {})").format(comparable(value, column), seed)


def side(assignment: Assignment, *, written: bool) -> Statement:
    return Identifier(ROW, assignment.column.name) if written else SQL(assignment.value)


def differences(pair: TablePair) -> Statement:
    """A relation of (kind, key as text[], columns that differ) with one row for each row that differs."""
    flow = pair.forward
    key_columns = [there for _, there in flow.key]
    carried = {a.column.name: a for a in flow.carried}
    keys = [carried[there] for there in key_columns if there in carried]
    rest = [a for a in flow.carried if a.column.name not in key_columns]
    # Where an expression made a value, what the other way makes of it is compared as well: see `in_sync`.
    returned = {
        f"b{number}_{position}": counterpart
        for number, a in enumerate(rest)
        for position, counterpart in enumerate(pair.counterparts(a, flow))
    }

    def relation(table: Table, *, written: bool) -> Statement:
        parts = [
            (a, written, f"{p}{number}") for p, group in (("k", keys), ("v", rest)) for number, a in enumerate(group)
        ]
        parts += [(a, not written, label) for label, a in returned.items()]
        values = aliased((comparable(side(a, written=w), a.column), label) for a, w, label in parts)
        return SQL("SELECT {} FROM {} AS {}").format(values, name(table), Identifier(ROW))

    def differs(number: int) -> Statement:
        back = [label for label in returned if label.startswith(f"b{number}_")]
        unequal = SQL("s.{0} IS DISTINCT FROM t.{0}").format(Identifier(f"v{number}"))
        if not back:
            return unequal
        return SQL("({} AND ROW({}) IS DISTINCT FROM ROW({}))").format(unequal, of("s", back), of("t", back))

    return SQL(
        "SELECT CASE WHEN t.k0 IS NULL THEN 'missing' WHEN s.k0 IS NULL THEN 'extra' ELSE 'different' END AS kind, "
        "ARRAY[{keys}]::text[] AS key, "
        "CASE WHEN s.k0 IS NOT NULL AND t.k0 IS NOT NULL "
        "THEN array_remove(ARRAY[{changed}]::text[], NULL) ELSE ARRAY[]::text[] END AS columns "
        "FROM ({source}) s FULL JOIN ({target}) t ON {same} "
        "WHERE {any}"
    ).format(
        keys=SQL(", ").join(
            SQL("coalesce(s.{0}, t.{0})::text").format(Identifier(f"k{number}")) for number in range(len(keys))
        ),
        changed=SQL(", ").join(
            SQL("CASE WHEN {} THEN {} END").format(differs(number), Literal(a.column.name))
            for number, a in enumerate(rest)
        ),
        source=relation(flow.origin, written=False),
        target=relation(flow.destination, written=True),
        same=SQL(" AND ").join(SQL("s.{0} = t.{0}").format(Identifier(f"k{number}")) for number in range(len(keys))),
        any=SQL(" OR ").join([SQL("s.k0 IS NULL"), SQL("t.k0 IS NULL"), *map(differs, range(len(rest)))]),
    )


def count_by_kind(pair: TablePair) -> Statement:
    return SQL("SELECT kind, count(*) FROM ({}) d GROUP BY kind").format(differences(pair))


def first_differences(pair: TablePair, limit: int) -> Statement:
    return SQL("SELECT kind, key, columns FROM ({}) d ORDER BY kind, key LIMIT {}").format(
        differences(pair), Literal(limit)
    )
