"""SQL of rows that one table takes from the other: pure functions from parts of a Plan."""

from collections.abc import Iterable, Sequence

from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow, Plan, TablePair
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Column, Table


def names(assignments: Iterable[Assignment]) -> list[str]:
    return [assignment.column.name for assignment in assignments]


def values(assignments: Iterable[Assignment]) -> Statement:
    return SQL(", ").join(map(written, assignments))


def written(assignment: Assignment) -> Statement:
    """The value as an INSERT or UPDATE gives it: one that an expression made is cast, as the comparison casts it,
    unless that could cut it in silence, where the assignment raises an error.
    """
    cut = assignment.column.base_type.removesuffix("[]") in {"character", "bit", "bit varying"}
    value: Statement = SQL(assignment.value)
    value = value if assignment.plain or cut else sql.typed(value, assignment.column)
    return limited(value, assignment.column, assignment.limit) if assignment.limit and assignment.carried else value


def limited(value: Statement, column: Column, limit: int) -> Statement:
    """`value`, which is an error where it is too long: an assignment cuts blanks at the end in silence, but no dot."""
    long = SQL("repeat('.', {})").format(Literal(limit + 1))
    return SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        sql.is_longer(value, column, limit),
        SQL("ARRAY[{}]::character varying[]").format(long) if column.base_type.endswith("[]") else long,
        value,
    )


def typed_values(assignments: Iterable[Assignment]) -> Statement:
    return SQL(", ").join(sql.typed(SQL(assignment.value), assignment.column) for assignment in assignments)


# ----- rows


def copy(flow: Flow) -> Statement:
    """Every row of the origin into the destination, in one statement."""
    return SQL("INSERT INTO {} ({}) {}SELECT {} FROM {} AS {}").format(
        sql.name(flow.destination),
        sql.columns(names(flow.assignments)),
        overriding(flow),
        values(flow.assignments),
        sql.name(flow.origin),
        Identifier(ROW),
    )


def overriding(flow: Flow) -> Statement:
    always = any(assignment.column.identity == "a" for assignment in flow.assignments)
    return SQL("OVERRIDING SYSTEM VALUE " if always else "")


def copy_blocks(flow: Flow, first: int, end: int) -> Statement:
    """The rows in blocks `first` up to `end` of the origin, each locked until the commit, so that none is deleted
    between being read and being written; those that the destination has by its key are left alone.
    """
    return SQL("{} WHERE ctid >= {} AND ctid < {} FOR KEY SHARE OF {} ON CONFLICT ({}) DO NOTHING").format(
        copy(flow),
        Literal(f"({first},0)"),
        Literal(f"({end},0)"),
        Identifier(ROW),
        sql.columns(there for _, there in flow.key),
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


def same_columns(flow: Flow, one: str, other: str) -> Statement:
    """Whether two rows of the origin have one key."""
    return sql.equal(one, other, ((here, here) for here, _ in flow.key))


def follows(assignments: Sequence[Assignment], origin: str, destination: str) -> Statement:
    """Whether the columns of row `destination` are what `assignments` make of row `origin`, bit by bit."""
    reads = sorted({column for assignment in assignments for column in assignment.reads})
    return SQL("EXISTS (SELECT FROM (SELECT {}) AS {} WHERE {})").format(
        sql.aliased((Identifier(origin, column), column) for column in reads),
        Identifier(ROW),
        sql.same(
            sql.of(destination, names(assignments)),
            typed_values(assignments),
        ),
    )


def in_sync(pair: TablePair, source: str, target: str) -> Statement:
    """Whether two rows of one key say the same.

    What was written stays as it was written: a computed column of the target agrees if it is what `fields`
    makes of the source, or if the source is what `backwards` makes of the target.
    """
    computed = pair.computed
    plain = [assignment for assignment in pair.forward.carried if assignment not in computed]
    taken = SQL(", ").join(sql.typed(Identifier(source, *assignment.reads), assignment.column) for assignment in plain)
    conditions = [sql.same(sql.of(target, names(plain)), taken)]
    for assignment in computed:
        ways = [follows([assignment], source, target)]
        if counterparts := pair.counterparts(assignment, pair.forward):
            ways.append(follows(counterparts, target, source))
        conditions.append(SQL("({})").format(SQL(" OR ").join(ways)))
    return SQL(" AND ").join(conditions)


def changed(assignment: Assignment, flow: Flow, pair: TablePair) -> Statement:
    """The value for an UPDATE of row `kept` of the destination from row `written` of the origin.

    A computed column keeps its value where row `written` is what the other way makes of it: an expression
    seldom returns every bit, and the value has not changed.
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
    """Make the source what the target says, touching only rows that are not in sync."""
    return [delete_gone(pair.backward), update_changed(pair), insert_missing(pair.backward)]


def refill(pair: TablePair) -> Statement:
    """The same in one statement, for a source that no other session uses and no foreign key points at.

    Rows may have changed their unique values with each other, so each row that is not in sync is deleted before the
    first is inserted: the INSERT waits for the count.
    """
    flow = pair.backward
    here, there = flow.key[0]
    keys = [(f"key {number}", column) for number, (_, column) in enumerate(flow.key)]
    return SQL(
        "WITH changed AS MATERIALIZED (SELECT {keys}, {there} IS NOT NULL AS lives, {values} "
        "FROM {source} AS kept FULL JOIN ({target} AS {row} CROSS JOIN LATERAL (SELECT {row}.*) AS written) ON {same} "
        "WHERE {here} IS NULL OR {there} IS NULL OR NOT ({equal})), "
        "gone AS (DELETE FROM {source} AS old USING changed WHERE {deleted} RETURNING 1) "
        "INSERT INTO {source} ({columns}) {overriding}"
        "SELECT {changed} FROM changed, (SELECT count(*) FROM gone) AS all_gone WHERE lives"
    ).format(
        keys=sql.aliased((Identifier("kept", column), key) for key, column in keys),
        here=Identifier("kept", there),
        there=Identifier(ROW, here),
        values=sql.aliased((refilled(assignment, pair), assignment.column.name) for assignment in flow.assignments),
        source=sql.name(flow.destination),
        target=sql.name(flow.origin),
        row=Identifier(ROW),
        same=same_key(flow, ROW, "kept"),
        equal=in_sync(pair, source="kept", target="written"),
        deleted=sql.equal("old", "changed", ((column, key) for key, column in keys)),
        columns=sql.columns(names(flow.assignments)),
        overriding=overriding(flow),
        changed=sql.of("changed", names(flow.assignments)),
    )


def refilled(assignment: Assignment, pair: TablePair) -> Statement:
    """A row that stays keeps what the target does not know, and a computed value that still says the same."""
    flow, new = pair.backward, written(assignment)
    if assignment.carried and not pair.counterparts(assignment, flow):
        return new
    stays = changed(assignment, flow, pair) if assignment.carried else Identifier("kept", assignment.column.name)
    return SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(Identifier("kept", flow.key[0][1]), new, stays)


def touch(table: Table, key: Iterable[str]) -> Statement:
    """Changes nothing, and fires the triggers that carry rows to the other table."""
    return SQL("UPDATE {} SET {}").format(
        sql.name(table), SQL(", ").join(SQL("{0} = {0}").format(Identifier(column)) for column in key)
    )


def delete_gone(flow: Flow) -> Statement:
    return SQL("DELETE FROM {} AS gone WHERE NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(
        sql.name(flow.destination), sql.name(flow.origin), same_key(flow, "origin", "gone")
    )


def update_changed(pair: TablePair) -> Statement:
    """Each row of the origin is read under the name that values read, and under the name `written`."""
    flow = pair.backward
    return SQL(
        "UPDATE {kept} AS kept SET {changes} FROM {origin} AS {row} JOIN {origin} AS written ON {twice} "
        "WHERE {same} AND NOT ({equal})"
    ).format(
        kept=sql.name(flow.destination),
        changes=changes(flow, pair),
        origin=sql.name(flow.origin),
        row=Identifier(ROW),
        twice=same_columns(flow, "written", ROW),
        same=same_key(flow, ROW, "kept"),
        equal=in_sync(pair, source="kept", target="written"),
    )


def insert_missing(flow: Flow) -> Statement:
    return SQL("{} WHERE NOT EXISTS (SELECT FROM {} AS held WHERE {})").format(
        copy(flow), sql.name(flow.destination), same_key(flow, ROW, "held")
    )


def pass_fence() -> Statement:
    """This transaction may write to a target that is fenced while it is copied to, as the trigger may that carries.

    An ordinary role may make such a setting, but not for a function in its SET clause.
    """
    return sql.set_local("rehome.leader", "source")


def copy_all(plan: Plan) -> list[Statement]:
    return [copy(pair.forward) for pair in plan.pairs]
