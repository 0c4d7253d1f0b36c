"""SQL of rows that one table takes from the other: pure functions from parts of a Plan."""

import hashlib
from collections.abc import Iterable, Sequence

from rehome.plan.expressions import ROW
from rehome.plan.plan import Assignment, Flow, Model, Plan, TablePair
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import PREFIX, Column, Table


def names(assignments: Iterable[Assignment]) -> list[str]:
    return [assignment.column.name for assignment in assignments]


def values(assignments: Iterable[Assignment]) -> Statement:
    return SQL(", ").join(map(written, assignments))


def written(assignment: Assignment) -> Statement:
    """The value as an INSERT or UPDATE gives it: one that an expression made is cast, as the comparison casts it,
    unless that could cut it in silence, where the assignment raises an error.
    """
    value: Statement = SQL(assignment.value)
    value = value if assignment.plain or is_cut(assignment.column) else sql.typed(value, assignment.column)
    return limited(value, assignment.column, assignment.limit) if assignment.limit and assignment.carried else value


def is_cut(column: Column) -> bool:
    """Whether a cast to the column's type could cut a value in silence."""
    return column.base_type.removesuffix("[]") in {"character", "bit", "bit varying"}


def limited(value: Statement, column: Column, limit: int) -> Statement:
    """`value`, which is an error where it is too long: an assignment cuts blanks at the end in silence, but no dot."""
    long = SQL("pg_catalog.repeat('.', {})").format(Literal(limit + 1))
    return SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        sql.is_longer(value, column, limit),
        SQL("ARRAY[{}]::character varying[]").format(long) if column.base_type.endswith("[]") else long,
        value,
    )


def typed_values(assignments: Iterable[Assignment]) -> Statement:
    return SQL(", ").join(sql.typed(SQL(assignment.value), assignment.column) for assignment in assignments)


# ----- rows


@sql.firing
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


@sql.firing
def copy_blocks(flow: Flow, first: int, end: int) -> Statement:
    """The rows in blocks `first` up to `end` of the origin, each locked until the commit, so that none is deleted
    between being read and being written; those that the destination has by its key are left alone.
    """
    blocks = "WHERE ctid OPERATOR(pg_catalog.>=) {} AND ctid OPERATOR(pg_catalog.<) {}"
    return SQL(f"{{}} {blocks} FOR KEY SHARE OF {{}} ON CONFLICT ({{}}) DO NOTHING").format(
        copy(flow),
        Literal(f"({first},0)"),
        Literal(f"({end},0)"),
        Identifier(ROW),
        sql.columns(there for _, there in flow.key),
    )


def same_key(flow: Flow, origin: str, destination: str) -> Statement:
    """Whether row `destination` has the key of row `origin`, as the index of the destination compares keys."""

    def same(here: Column, there: Column) -> Statement:
        value: Statement = Identifier(origin, here.name)
        if here.operand and not there.operand:
            value = sql.typed(value, there)
        if here.collation != there.collation:
            value = SQL("{} COLLATE {}").format(value, SQL(there.collation))
        return sql.same_value(Identifier(destination, there.name), value, there)

    pairs = ((flow.origin.column(here), flow.destination.column(there)) for here, there in flow.key)
    return SQL(" AND ").join(same(here, there) for here, there in pairs)


def same_columns(flow: Flow, one: str, other: str) -> Statement:
    """Whether two rows of the origin have one key."""
    key = (flow.origin.column(here) for here, _ in flow.key)
    return SQL(" AND ").join(sql.same_value(Identifier(one, c.name), Identifier(other, c.name), c) for c in key)


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
    return [delete_gone(pair.backward), update_changed(pair, pair.backward), insert_missing(pair.backward)]


@sql.firing
def refill(pair: TablePair, only: Statement = sql.ALWAYS) -> Statement:
    """The same in one statement, for a source that no other session uses and no foreign key points at, of those rows
    for which `only` holds.

    Rows may have changed their unique values with each other, so each row that is not in sync is deleted before the
    first is inserted: the INSERT waits for the count.
    """
    flow = pair.backward
    here, there = flow.key[0]
    # No column of the source has such a name.
    keys = [(f"{PREFIX}{number} key", column) for number, (_, column) in enumerate(flow.key)]
    return SQL(
        "WITH changed AS MATERIALIZED (SELECT {keys}, {there} IS NOT NULL AS {lives}, {values} "
        "FROM {source} AS kept FULL JOIN ({target} AS {row} CROSS JOIN LATERAL (SELECT {row}.*) AS written) ON {same} "
        "WHERE ({here} IS NULL OR {there} IS NULL OR NOT ({equal})) AND {only}), "
        "gone AS (DELETE FROM {source} AS old USING changed WHERE {deleted} RETURNING 1) "
        "INSERT INTO {source} ({columns}) {overriding}"
        "SELECT {changed} FROM changed, (SELECT pg_catalog.count(*) FROM gone) AS all_gone WHERE {lives}"
    ).format(
        lives=Identifier(f"{PREFIX}lives"),
        keys=sql.aliased((Identifier("kept", column), key) for key, column in keys),
        here=Identifier("kept", there),
        there=Identifier(ROW, here),
        values=sql.aliased((refilled(assignment, pair), assignment.column.name) for assignment in flow.assignments),
        source=sql.name(flow.destination),
        target=sql.name(flow.origin),
        row=Identifier(ROW),
        same=same_key(flow, ROW, "kept"),
        equal=in_sync(pair, source="kept", target="written"),
        only=only,
        deleted=SQL(" AND ").join(
            sql.same_value(Identifier("old", column), Identifier("changed", key), flow.destination.column(column))
            for key, column in keys
        ),
        columns=sql.columns(names(flow.assignments)),
        overriding=overriding(flow),
        changed=sql.of("changed", names(flow.assignments)),
    )


def refilled(assignment: Assignment, pair: TablePair) -> Statement:
    """A row that stays keeps what the target does not know, and a computed value that still says the same."""
    flow, new = pair.backward, written(assignment)
    if is_taken_whole(assignment, pair):
        return new
    stays = changed(assignment, flow, pair) if assignment.carried else Identifier("kept", assignment.column.name)
    return SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(Identifier("kept", flow.key[0][1]), new, stays)


def is_taken_whole(assignment: Assignment, pair: TablePair) -> bool:
    """Whether nothing but the target's row decides what `assignment` writes to the source."""
    return assignment.carried and not pair.counterparts(assignment, pair.backward)


@sql.firing
def derive(pair: TablePair) -> Statement:
    """Columns of the target that belong to the source follow from it again, in rows where they do not."""
    assignments = [(a.column.name, written(a)) for a in pair.derived]
    return SQL("UPDATE {target} AS kept SET {changes} FROM {source} AS {row} WHERE {astray}").format(
        target=sql.name(pair.target),
        changes=SQL(", ").join(SQL("{} = {}").format(Identifier(column), value) for column, value in assignments),
        source=sql.name(pair.source),
        row=Identifier(ROW),
        astray=astray(pair),
    )


def all_derived(pair: TablePair) -> Statement:
    """Whether `derive` has nothing to do."""
    return SQL("SELECT NOT EXISTS (SELECT FROM {} AS kept, {} AS {} WHERE {})").format(
        sql.name(pair.target), sql.name(pair.source), Identifier(ROW), astray(pair)
    )


def astray(pair: TablePair) -> Statement:
    """Whether row `kept` of the target does not follow from its row of the source."""
    return SQL("{} AND {}").format(
        same_key(pair.forward, ROW, "kept"),
        sql.differ(sql.of("kept", names(pair.derived)), typed_values(pair.derived)),
    )


def touch(table: Table, key: Iterable[str]) -> Statement:
    """Changes nothing, and fires the triggers that carry rows to the other table."""
    return SQL("UPDATE {} SET {}").format(
        sql.name(table), SQL(", ").join(SQL("{0} = {0}").format(Identifier(column)) for column in key)
    )


@sql.firing
def delete_gone(flow: Flow) -> Statement:
    return SQL("DELETE FROM {} AS gone WHERE NOT EXISTS (SELECT FROM {} AS origin WHERE {})").format(
        sql.name(flow.destination), sql.name(flow.origin), same_key(flow, "origin", "gone")
    )


@sql.firing
def update_changed(pair: TablePair, flow: Flow) -> Statement:
    """Each row of the origin is read under the name that values read, and under the name `written`. `flow` may have
    some of its assignments alone.
    """
    source, target = ("kept", "written") if flow.destination is pair.source else ("written", "kept")
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
        equal=in_sync(pair, source=source, target=target),
    )


@sql.firing
def insert_missing(flow: Flow) -> Statement:
    return SQL("{} WHERE NOT EXISTS (SELECT FROM {} AS held WHERE {})").format(
        copy(flow), sql.name(flow.destination), same_key(flow, ROW, "held")
    )


def pass_of(pair: TablePair) -> str:
    """The setting, one for each move, that lets a transaction write to targets that are closed while they are copied
    to: the database may delete rows of the tables of many-to-many fields along with their model's.
    """
    labels = "\n".join(label_of(model) for model in (pair.source_model, pair.target_model))
    return f"rehome.pass_{hashlib.sha256(labels.encode()).hexdigest()[:12]}"


def label_of(model: Model) -> str:
    """Of the model that a move names: a many-to-many field has made the others."""
    made_by = model._meta.auto_created
    return (model if isinstance(made_by, bool) else made_by)._meta.label


def pass_fence(pair: TablePair) -> Statement:
    """This transaction may write to a target that is fenced while it is copied to, as the trigger may that carries.

    An ordinary role may make such a setting, but not for a function in its SET clause.
    """
    return sql.set_local(pass_of(pair), "on")


def copy_all(plan: Plan) -> list[Statement]:
    return [copy(pair.forward) for pair in plan.pairs]
