"""The rows themselves: puts the target's indexes away, copies in bulk, builds them again, empties the target."""

import functools
import re
from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.parts import foreign_keys
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import catalog, locks, sql
from rehome.postgres.session import Group, Session
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import Constraint, Index, Table


def put_away(plan: Plan, *, beside_writers: bool = False) -> list[Statement]:
    """Drop what a bulk copy pays for row by row; each statement is short and for a transaction of its own.

    Dropping a foreign key takes ACCESS EXCLUSIVE on the table it points at as well: inside the long
    transaction no user could log in until it ended.
    """
    keys = [foreign_keys.drop(key) for key in foreign_keys.of_targets(plan)]
    constraints = rebuilt_constraints(plan, beside_writers=beside_writers)
    dropped = [sql.drop_constraint(table.schema, table.name, c.name) for table, c in constraints]
    return keys + dropped + [sql.drop_index(table, index.name) for table, index in rebuilt_indexes(plan)]


def to_keep(plan: Plan, *, beside_writers: bool = False) -> Record:
    """The definitions of everything that `put_away` drops; a foreign key after what it points at."""
    constraints = rebuilt_constraints(plan, beside_writers=beside_writers)
    keys = map(foreign_keys.definition_of, foreign_keys.of_targets(plan))
    return Record(
        constraints=(*((t.schema, t.name, c.name, c.definition) for t, c in constraints), *keys),
        indexes=tuple((t.schema, t.name, i.name, i.definition) for t, i in rebuilt_indexes(plan)),
        unique_indexes=tuple(
            (t.schema, t.name, c.name, definition)
            for t, c in constraints
            if beside_writers
            for ((definition, _),) in [catalog.read_index(plan.connection, t, c.name)]
        ),
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


def revert(record: Record, connection: BaseDatabaseWrapper) -> list[Statement]:
    """Build what is missing of what `put_away` dropped, from the record that `to_keep` made; safe to repeat.

    What still stands is left alone: to drop it again would wait for the very lock that was not granted.
    """
    indexes = [sql.SQL(d) for schema, table, name, d in record.indexes if lacks(schema, table, name, connection)]
    missing = [(s, t, name, d) for s, t, name, d in record.constraints if lacks(s, t, name, connection)]
    return [*indexes, *(sql.add_constraint(*constraint) for constraint in missing)]


def lacks(schema: str, table: str, name: str, connection: BaseDatabaseWrapper) -> bool:
    """Whether the table is there, and its constraint or index of this name is not."""
    found = catalog.read_table(connection, sql.Identifier(schema, table).as_string())
    return found is not None and name not in {c.name for c in found.all_constraints} | {i.name for i in found.indexes}


def rebuilt_indexes(plan: Plan) -> list[tuple[Table, Index]]:
    return [(pair.target, index) for pair in plan.pairs for index in pair.target.indexes if is_free(index, plan)]


def is_free(part: Constraint | Index, plan: Plan) -> bool:
    """Whether its definition says everything, and no foreign key of another table relies on it."""
    return part.plain and all(part.name != incoming.index for incoming in foreign_keys.to_targets(plan))


def build(plan: Plan) -> list[Statement]:
    """Indexes and unique constraints over the copied rows, each sorted once."""
    constraints = [sql.add_constraint(t.schema, t.name, c.name, c.definition) for t, c in rebuilt_constraints(plan)]
    return constraints + [sql.SQL(index.definition) for _, index in rebuilt_indexes(plan)]


def vacuum(plan: Plan) -> list[Group]:
    """What autovacuum would do for so many new rows, before the first queries need it; outside transactions."""
    return [Group((sql.vacuum(pair.target),), alone=True) for pair in plan.pairs]


def build_beside_writers(plan: Plan, record: Record) -> Iterator[Group]:
    """Each index concurrently, then each unique constraint on top of its index. Safe to repeat after any crash."""
    for table, name, definition in wanted_indexes(plan, record):
        yield from build_index(table, name, definition, plan.connection)
    for schema, bearer_name, name, _ in record.unique_indexes:
        bearer = foreign_keys.find_target(plan, schema, bearer_name)
        yield Group(
            (*locks.lock([bearer], "ACCESS EXCLUSIVE"), add_unique(bearer, name)),
            unless=functools.partial(foreign_keys.has_constraint, bearer, name),
        )


def build_index(table: Table, name: str, definition: str, connection: BaseDatabaseWrapper) -> Iterator[Group]:
    """Concurrently. An index that a failed build left is dropped first."""
    read = functools.partial(catalog.read_index, connection, table, name)
    if any(not valid for _, valid in read()):
        yield Group([SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(Identifier(table.schema, name))], alone=True)
    concurrent = re.sub(r"^(CREATE (?:UNIQUE )?INDEX) ", r"\1 CONCURRENTLY ", definition)
    yield Group([SQL(concurrent)], alone=True, unless=lambda: any(valid for _, valid in read()))


def wanted_indexes(plan: Plan, record: Record) -> Iterator[tuple[Table, str, str]]:
    """(table, name, CREATE INDEX) of what was put away: plain indexes, and those of unique constraints."""
    for schema, table, name, definition in [*record.indexes, *record.unique_indexes]:
        yield foreign_keys.find_target(plan, schema, table), name, definition


def invalid_indexes(plan: Plan, record: Record, session: Session) -> list[Statement]:
    """Drop what an interrupted build left, for `revert` takes every index that it finds for a whole one."""
    return [
        SQL("DROP INDEX {}").format(Identifier(table.schema, name))
        for table, name, _ in wanted_indexes(plan, record)
        for _, valid in catalog.read_index(session.connection, table, name)
        if not valid
    ]


def add_unique(table: Table, name: str) -> Statement:
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} UNIQUE USING INDEX {}").format(
        sql.name(table), Identifier(name), Identifier(name)
    )
