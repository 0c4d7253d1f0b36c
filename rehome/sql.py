"""SQL of tables, rows and comparisons: pure functions from parts of a Plan; triggers.py has that of the sync."""

import re
from collections.abc import Iterable, Sequence

from psycopg import sql

from rehome.catalog import Column, Constraint, Incoming, Table
from rehome.expressions import ROW
from rehome.plan import Assignment, Flow, LostColumn, TablePair

SQL, Identifier, Literal = sql.SQL, sql.Identifier, sql.Literal
Statement = sql.Composable

# Types whose equality is identity, so that their hash speaks for every bit; all others are compared as text.
EXACT = {
    "smallint", "integer", "bigint", "boolean", "uuid", "date", "timestamp with time zone",
    "timestamp without time zone", "time without time zone", "bytea", "macaddr", "oid",
}  # fmt: skip
TEXT = {"text", "character varying"}
SAME_RECORD = SQL("OPERATOR(pg_catalog.*=)")
OTHER_RECORD = SQL("OPERATOR(pg_catalog.*<>)")


def name(table: Table) -> sql.Identifier:
    return Identifier(table.schema, table.name)


def readable(*names: str) -> str:
    """A qualified name for a person's psql, quoted only where it must be."""
    return ".".join(n if re.fullmatch(r"[a-z_][a-z0-9_]*", n) else Identifier(n).as_string() for n in names)


def columns(names: Iterable[str]) -> Statement:
    return SQL(", ").join(map(Identifier, names))


def of(row: str, names: Iterable[str]) -> Statement:
    return SQL(", ").join(Identifier(row, column) for column in names)


def names(assignments: Iterable[Assignment]) -> list[str]:
    return [assignment.column.name for assignment in assignments]


def values(assignments: Iterable[Assignment]) -> Statement:
    return SQL(", ").join(map(written, assignments))


def written(assignment: Assignment) -> Statement:
    """The value as an INSERT or UPDATE gives it: one that an expression made is cast, as the comparison casts it,
    unless that could cut it in silence, where the assignment raises an error.
    """
    cut = assignment.column.base_type.removesuffix("[]") in {"character", "bit", "bit varying"}
    value = SQL(assignment.value)
    return value if assignment.plain or cut else typed(value, assignment.column)


def typed(value: Statement, column: Column) -> Statement:
    """`value` as the column's type; a text's length is left alone, since a cast would cut it in silence."""
    bounded = column.base_type.removesuffix("[]") == "character varying"
    return SQL("({})::{}").format(value, SQL(column.base_type if bounded else column.type))


def typed_values(assignments: Iterable[Assignment]) -> Statement:
    return SQL(", ").join(typed(SQL(assignment.value), assignment.column) for assignment in assignments)


# ----- rows


def copy(flow: Flow) -> Statement:
    """Every row of the origin into the destination, in one statement."""
    return SQL("INSERT INTO {} ({}) {}SELECT {} FROM {} AS {}").format(
        name(flow.destination),
        columns(assignment.column.name for assignment in flow.assignments),
        SQL("OVERRIDING SYSTEM VALUE ")
        if any(assignment.column.identity == "a" for assignment in flow.assignments)
        else SQL(""),
        values(flow.assignments),
        name(flow.origin),
        Identifier(ROW),
    )


def same_key(flow: Flow, origin: str, destination: str) -> Statement:
    def same(here: str, there: str) -> Statement:
        collations = flow.origin.column(here).collation, flow.destination.column(there).collation
        return SQL("{} = {}{}").format(
            Identifier(destination, there),
            Identifier(origin, here),
            SQL("" if collations[0] == collations[1] else f" COLLATE {collations[1]}"),
        )

    return SQL(" AND ").join(same(here, there) for here, there in flow.key)


def follows(assignments: Sequence[Assignment], origin: str, destination: str) -> Statement:
    """Whether the columns of row `destination` are what `assignments` make of row `origin`, bit by bit."""
    reads = sorted({column for assignment in assignments for column in assignment.reads})
    return SQL("EXISTS (SELECT FROM (SELECT {}) AS {} WHERE ROW({})::record {} ROW({})::record)").format(
        SQL(", ").join(SQL("{} AS {}").format(Identifier(origin, column), Identifier(column)) for column in reads),
        Identifier(ROW),
        of(destination, names(assignments)),
        SAME_RECORD,
        typed_values(assignments),
    )


def in_step(pair: TablePair, source: str, target: str) -> Statement:
    """Whether two rows of one key say the same.

    What was written stays as it was written: a computed column of the target agrees if it is what `fields`
    makes of the source, or if the source is what `backwards` makes of the target.
    """
    computed = pair.computed
    plain = [assignment for assignment in pair.forward.carried if assignment not in computed]
    conditions = [
        SQL("ROW({})::record {} ROW({})::record").format(
            of(target, names(plain)),
            SAME_RECORD,
            SQL(", ").join(typed(Identifier(source, *assignment.reads), assignment.column) for assignment in plain),
        )
    ]
    for assignment in computed:
        ways = [follows([assignment], source, target)]
        if counterparts := pair.counterparts(assignment, pair.forward):
            ways.append(follows(counterparts, target, source))
        conditions.append(SQL("({})").format(SQL(" OR ").join(ways)))
    return SQL(" AND ").join(conditions)


def changed(assignment: Assignment, flow: Flow, pair: TablePair) -> Statement:
    """The value for an UPDATE of row `kept` of the destination from row `written` of the origin.

    A computed column keeps its value where row `written` is what the other way makes of it: an expression
    seldom gives back every bit, and nobody has changed the value.
    """
    counterparts = pair.counterparts(assignment, flow)
    if not counterparts:
        return written(assignment)
    return SQL("CASE WHEN {} THEN kept.{} ELSE {} END").format(
        follows(counterparts, "kept", "written"), Identifier(assignment.column.name), written(assignment)
    )


def changes(flow: Flow, pair: TablePair) -> Statement:
    return SQL(", ").join(
        SQL("{} = {}").format(Identifier(assignment.column.name), changed(assignment, flow, pair))
        for assignment in flow.carried
    )


def reconcile(pair: TablePair) -> list[Statement]:
    """Make the source what the target says, touching only rows that are not in step."""
    flow = pair.backward
    return [
        SQL("DELETE FROM {} AS gone WHERE NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(
            name(flow.destination), name(flow.origin), same_key(flow, "origin", "gone")
        ),
        SQL("UPDATE {} AS kept SET {} FROM {} AS {} JOIN {} AS written ON {} WHERE {} AND NOT ({})").format(
            name(flow.destination),
            changes(flow, pair),
            name(flow.origin),
            Identifier(ROW),
            name(flow.origin),
            SQL(" AND ").join(
                SQL("{} = {}").format(Identifier("written", here), Identifier(ROW, here)) for here, _ in flow.key
            ),
            same_key(flow, ROW, "kept"),
            in_step(pair, source="kept", target="written"),
        ),
        SQL("{} WHERE NOT EXISTS (SELECT FROM {} AS held WHERE {})").format(
            copy(flow), name(flow.destination), same_key(flow, ROW, "held")
        ),
    ]


def truncate(tables: Iterable[Table]) -> Statement:
    return SQL("TRUNCATE {}").format(SQL(", ").join(map(name, tables)))


def has_rows(table: Table) -> Statement:
    return SQL("SELECT EXISTS (SELECT FROM {})").format(name(table))


def vacuum(table: Table) -> Statement:
    """Statistics, and the map of pages that index-only scans rely on; it can't run in a transaction."""
    return SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}").format(name(table))


def lock(tables: Iterable[Table], mode: str) -> Statement:
    return SQL("LOCK TABLE {} IN {} MODE").format(SQL(", ").join(map(name, tables)), SQL(mode))


# ----- indexes and constraints


def drop_constraint(table: Table, constraint: str) -> Statement:
    return SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(name(table), Identifier(constraint))


def add_constraint(table: Table, constraint: Constraint, *, validate: bool = True) -> Statement:
    """Without validation only a foreign key or a check can be added."""
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {}{}").format(
        name(table),
        Identifier(constraint.name),
        SQL(constraint.definition.removesuffix(" NOT VALID")),
        SQL("") if validate else SQL(" NOT VALID"),
    )


def drop_incoming(incoming: Incoming) -> Statement:
    return SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(
        Identifier(incoming.schema, incoming.table), Identifier(incoming.name)
    )


def add_incoming(incoming: Incoming) -> Statement:
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID").format(
        Identifier(incoming.schema, incoming.table),
        Identifier(incoming.name),
        SQL(incoming.definition.removesuffix(" NOT VALID")),
    )


def validate(schema: str, table: str, constraint: str) -> Statement:
    return SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(Identifier(schema, table), Identifier(constraint))


def drop_index(table: Table, index: str) -> Statement:
    return SQL("DROP INDEX IF EXISTS {}").format(Identifier(table.schema, index))


# ----- comparison


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
    return SQL("SELECT {} FROM {} AS {}").format(
        SQL(", ").join([SQL("count(*)"), *hashes]),
        name(flow.destination if written else flow.origin),
        Identifier(ROW),
    )


def missing_parents(table: Table, foreign_key: Constraint) -> Statement:
    """The number of different values of a foreign key for which there is no row.

    Each value is looked up once, and read from the key's index where it has one.
    """
    values = SQL("(SELECT DISTINCT {} FROM {} WHERE {})").format(
        columns(foreign_key.columns), name(table), all_present(foreign_key)
    )
    return SQL("SELECT count(*) FROM {} AS child WHERE {}").format(values, without_parent(foreign_key))


def orphans(table: Table, foreign_key: Constraint) -> Statement:
    """The number of rows whose foreign key leads nowhere."""
    return SQL("SELECT count(*) FROM {} AS child WHERE {} AND {}").format(
        name(table), all_present(foreign_key), without_parent(foreign_key)
    )


def all_present(foreign_key: Constraint) -> Statement:
    return SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier(column)) for column in foreign_key.columns)


def without_parent(foreign_key: Constraint) -> Statement:
    return SQL("NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(
        SQL(foreign_key.referenced or ""),
        SQL(" AND ").join(
            SQL("{} = {}").format(Identifier("parent", there), Identifier("child", here))
            for here, there in zip(foreign_key.columns, foreign_key.referenced_columns, strict=True)
        ),
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
    keys = sorted(
        (a for a in flow.carried if a.column.name in key_columns), key=lambda a: key_columns.index(a.column.name)
    )
    rest = [a for a in flow.carried if a.column.name not in key_columns]
    # Where an expression made a value, what the other way gives back is compared as well: see `in_step`.
    returned = {
        f"b{number}_{position}": counterpart
        for number, a in enumerate(rest)
        for position, counterpart in enumerate(pair.counterparts(a, flow))
    }

    def relation(table: Table, *, written: bool) -> Statement:
        parts = [
            SQL("{} AS {}").format(comparable(side(a, written=written), a.column), Identifier(f"{prefix}{number}"))
            for prefix, group in (("k", keys), ("v", rest))
            for number, a in enumerate(group)
        ]
        parts += [
            SQL("{} AS {}").format(comparable(side(a, written=not written), a.column), Identifier(label))
            for label, a in returned.items()
        ]
        return SQL("SELECT {} FROM {} AS {}").format(SQL(", ").join(parts), name(table), Identifier(ROW))

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


def largest_key(table: Table, column: str, *, below: int) -> Statement:
    return SQL("SELECT max({0}) FROM {1} WHERE {0} < {2}").format(Identifier(column), name(table), Literal(below))


# ----- questions that preflight asks of the rows before they are moved


def projection(flow: Flow, *, typed_as_target: bool) -> Statement:
    """The origin's rows as they would stand in the destination."""
    parts = [
        SQL("{} AS {}").format(
            typed(SQL(a.value), a.column) if typed_as_target else SQL(a.value), Identifier(a.column.name)
        )
        for a in flow.assignments
    ]
    return SQL("SELECT {} FROM {} AS {}").format(SQL(", ").join(parts), name(flow.origin), Identifier(ROW))


def evaluated(flow: Flow, assignment: Assignment) -> Statement:
    """Computes one value for each row of the origin, and fails where one can't be computed."""
    return SQL("SELECT count({}) FROM {} AS {}").format(
        typed(SQL(assignment.value), assignment.column), name(flow.origin), Identifier(ROW)
    )


def projected(flow: Flow, what: Statement, condition: Statement) -> Statement:
    """`what` of the projected rows for which `condition` holds."""
    return SQL("SELECT {} FROM ({}) AS projected WHERE {}").format(
        what, projection(flow, typed_as_target=True), condition
    )


def keys_as_text(flow: Flow) -> Statement:
    return SQL("concat_ws(', ', {})").format(SQL(", ").join(Identifier(there) for _, there in flow.key))


def rows_with_null(flow: Flow, column: str) -> Statement:
    return projected(flow, keys_as_text(flow), SQL("{} IS NULL").format(Identifier(column)))


def rows_longer_than(flow: Flow, column: str, length: int) -> Statement:
    return projected(flow, keys_as_text(flow), SQL("char_length({}) > {}").format(Identifier(column), Literal(length)))


def rows_violating(flow: Flow, check: str) -> Statement:
    return projected(flow, keys_as_text(flow), SQL("NOT ({})").format(SQL(check)))


def orphans_to_be(flow: Flow, foreign_key: Constraint, referenced: Statement) -> Statement:
    """Projected rows whose foreign key would name a row that `referenced` does not have."""
    present = SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier(c)) for c in foreign_key.columns)
    same = SQL(" AND ").join(
        SQL("parent.{} = projected.{}").format(Identifier(there), Identifier(here))
        for here, there in zip(foreign_key.columns, foreign_key.referenced_columns, strict=True)
    )
    missing = SQL("{} AND NOT EXISTS (SELECT FROM {} AS parent WHERE {})").format(present, referenced, same)
    return projected(flow, keys_as_text(flow), missing)


def duplicates(flow: Flow, unique: Sequence[str]) -> Statement:
    """Values that more than one projected row has in the columns `unique`."""
    return SQL("SELECT concat_ws(', ', {0}) FROM ({1}) AS projected WHERE {2} GROUP BY {0} HAVING count(*) > 1").format(
        columns(unique),
        projection(flow, typed_as_target=True),
        SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier(c)) for c in unique),
    )


def changed_by_return(pair: TablePair) -> Statement:
    """Source rows from which the target's row would be another one after a way there, back and there again."""

    def made(assignments: Iterable[Assignment], otherwise: Iterable[Statement], origin: str) -> Statement:
        """The destination's row, from row `origin`; `otherwise` are the columns that nothing is assigned to."""
        parts = [SQL("{} AS {}").format(typed(SQL(a.value), a.column), Identifier(a.column.name)) for a in assignments]
        return SQL("(SELECT {} FROM (SELECT {}.*) AS {})").format(
            SQL(", ").join([*parts, *otherwise]), Identifier(origin), Identifier(ROW)
        )

    def others(table: Table, assignments: Iterable[Assignment], row: str | None) -> list[Statement]:
        return [
            SQL("{} AS {}").format(
                Identifier(row, column.name) if row else SQL("NULL::{}").format(SQL(column.type)),
                Identifier(column.name),
            )
            for column in table.columns
            if column.name not in names(assignments)
        ]

    forward, backward = pair.forward.assignments, pair.backward.carried

    return SQL(
        "SELECT {key} FROM {source} AS origin CROSS JOIN LATERAL {there} AS there CROSS JOIN LATERAL {back} AS back "
        "CROSS JOIN LATERAL {again} AS again WHERE ROW({first})::record {other_record} ROW({second})::record"
    ).format(
        key=SQL("concat_ws(', ', {})").format(of("origin", (here for here, _ in pair.forward.key))),
        source=name(pair.source),
        there=made(forward, others(pair.target, forward, None), "origin"),
        back=made(backward, others(pair.source, backward, "origin"), "there"),
        again=made(pair.computed, [], "back"),
        first=of("there", names(pair.computed)),
        other_record=OTHER_RECORD,
        second=of("again", names(pair.computed)),
    )


def written_values(table: Table, key: Iterable[str], lost: LostColumn) -> Statement:
    """Keys of rows in which somebody wrote to a column that the way back would lose."""
    return SQL("SELECT concat_ws(', ', {}) FROM {} WHERE ROW({})::record {} ROW({})::record").format(
        columns(key),
        name(table),
        Identifier(lost.column.name),
        OTHER_RECORD,
        typed(SQL(lost.untouched), lost.column),
    )
