"""The rows themselves: puts the target's indexes away, copies in bulk, builds them again, empties the target."""

import functools
from collections.abc import Iterator

from rehome.parts import foreign_keys
from rehome.parts.project_triggers import has_word
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres import catalog, locks, sql
from rehome.postgres.session import Group
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import ColumnIndex, Constraint, ForeignKey, Index, Table


def put_away(plan: Plan) -> list[Statement]:
    """Drop what a bulk copy pays for row by row, in the transaction of the copy, which builds it again: see `build`."""
    dropped = [sql.drop_constraint(table.schema, table.name, c.name) for table, c in rebuilt_constraints(plan)]
    return dropped + [sql.drop_index(table, index.name) for table, index in rebuilt_indexes(plan)]


def put_away_beside_writers(record: Record, plan: Plan) -> list[Statement]:
    """Drop what `to_keep` has kept; each statement is short and for a transaction of its own."""
    return [
        sql.drop_constraint(index.schema, index.table, index.name)
        if index.constraint
        else sql.drop_index(foreign_keys.find_target(plan, index.schema, index.table), index.name)
        for index in record.dropped_indexes
    ]


def to_keep(plan: Plan) -> Record:
    """The facts of what `put_away_beside_writers` drops: indexes and unique constraints over columns alone. Others
    stay, for no facts say an expression, and are paid for row by row.
    """
    wanted = {(table.oid, c.name) for table, c in rebuilt_constraints(plan, beside_writers=True)}
    wanted |= {(table.oid, index.name) for table, index in rebuilt_indexes(plan)}
    return Record(
        dropped_indexes=tuple(
            index
            for pair in plan.pairs
            for name, index in catalog.read_column_indexes(plan.connection, pair.target).items()
            if (pair.target.oid, name) in wanted
        )
    )


def rebuilt_constraints(plan: Plan, *, beside_writers: bool = False) -> list[tuple[Table, Constraint]]:
    """Primary keys, unique and exclusion constraints that nothing relies on, and that can be rebuilt as they were.

    Beside writers, only those that an index can bear which is built meanwhile, as a deferrable one's would check at
    once; and not the key, which batches rely on.
    """
    return [
        (pair.target, c)
        for pair in plan.pairs
        for c in pair.target.constraints
        if is_free(c, plan)
        if (c.kind == "u" and not c.deferrable if beside_writers else c.kind in "pux")
    ]


def revert(record: Record, plan: Plan) -> list[Statement]:
    """Build what is missing of what was put away, from the record; safe to repeat. Foreign keys are last.

    What still stands is left alone: to drop it again would wait for the very lock that was not granted.
    """
    indexes = [statement for index in record.dropped_indexes for statement in rebuild(index, plan)]
    keys = [key for key in record.dropped_keys if lacks(key, plan)]
    return [*indexes, *(foreign_keys.add_checked(key) if key.validated else foreign_keys.add(key)[0] for key in keys)]


def rebuild(index: ColumnIndex, plan: Plan) -> list[Statement]:
    """What is missing of an index and of the constraint that it bears."""
    table = foreign_keys.find_target(plan, index.schema, index.table)
    stands = index.name in {part.name for part in table.indexes} | {c.name for c in table.constraints}
    borne = not index.constraint or foreign_keys.has_constraint(table, index.name)
    return [*([] if stands else [sql.create_index(index)]), *([] if borne else [add_constraint(index)])]


def lacks(key: ForeignKey, plan: Plan) -> bool:
    return not foreign_keys.has_constraint(foreign_keys.find_target(plan, key.schema, key.table), key.name)


def rebuilt_indexes(plan: Plan) -> list[tuple[Table, Index]]:
    return [(pair.target, index) for pair in plan.pairs for index in pair.target.indexes if is_free(index, plan)]


def is_free(part: Constraint | Index, plan: Plan) -> bool:
    """Whether its definition says everything, and no foreign key of another table relies on it."""
    return part.plain and all(part.name != incoming.index for incoming in foreign_keys.to_targets(plan))


def build(plan: Plan) -> list[Statement]:
    """Indexes and unique constraints over the copied rows, each sorted once."""
    constraints = [sql.add_constraint(t.schema, t.name, c.name, c.definition) for t, c in rebuilt_constraints(plan)]
    return constraints + [sql.SQL(index.definition) for _, index in rebuilt_indexes(plan)]


def unique_of_derived(pair: TablePair, plan: Plan) -> tuple[list[Statement], list[Statement]]:
    """Statements that drop what checks at each row that columns of the target are unique which belong to the source,
    and those that build it again: values that have changed places would collide.
    """
    columns = [assignment.column.name for assignment in pair.derived]

    def checks(part: Constraint | Index) -> bool:
        return is_free(part, plan) and any(has_word(column, part.definition) for column in columns)

    table = pair.target
    constraints = [c for c in table.constraints if c.kind in "ux" and not c.deferrable and checks(c)]
    found = [index for index in table.indexes if index.unique and checks(index)]
    dropped = [sql.drop_constraint(table.schema, table.name, c.name) for c in constraints]
    dropped += [sql.drop_index(table, index.name) for index in found]
    built = [sql.add_constraint(table.schema, table.name, c.name, c.definition) for c in constraints]
    return dropped, [*built, *(SQL(index.definition) for index in found)]


def vacuum(plan: Plan) -> list[Group]:
    """What autovacuum would do for so many new rows, before the first queries need it; outside transactions."""
    return [Group((sql.vacuum(pair.target),), alone=True) for pair in plan.pairs]


def build_beside_writers(plan: Plan, record: Record) -> Iterator[Group]:
    """Each index concurrently, then each unique constraint on top of its index. Safe to repeat after any crash."""
    for index in record.dropped_indexes:
        yield from build_index(index, plan)
    for index in record.dropped_indexes:
        if index.constraint:
            bearer = foreign_keys.find_target(plan, index.schema, index.table)
            yield Group(
                (*locks.lock([bearer], "ACCESS EXCLUSIVE"), add_constraint(index)),
                unless=functools.partial(foreign_keys.has_constraint, bearer, index.name),
            )


def build_index(index: ColumnIndex, plan: Plan) -> Iterator[Group]:
    """Concurrently. An index that a failed build left is dropped first."""
    table = foreign_keys.find_target(plan, index.schema, index.table)
    read = functools.partial(catalog.read_validity, plan.connection, table, index.name)
    if read() is False:
        dropped = SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(Identifier(index.schema, index.name))
        yield Group([dropped], alone=True)
    yield Group([sql.create_index(index, concurrently=True)], alone=True, unless=lambda: read() is True)


def invalid_indexes(plan: Plan, record: Record) -> list[Statement]:
    """Drop what an interrupted build left, for `revert` takes every index that it finds for a whole one."""
    return [
        SQL("DROP INDEX {}").format(Identifier(index.schema, index.name))
        for index in record.dropped_indexes
        for table in [foreign_keys.find_target(plan, index.schema, index.table)]
        if catalog.read_validity(plan.connection, table, index.name) is False
    ]


def add_constraint(index: ColumnIndex) -> Statement:
    """The one that the index of its name bears."""
    timing = (" DEFERRABLE" if index.deferrable else "") + (" INITIALLY DEFERRED" if index.deferred else "")
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}{}").format(
        Identifier(index.schema, index.table),
        Identifier(index.name),
        SQL(index.constraint),
        Identifier(index.name),
        SQL(timing),
    )
