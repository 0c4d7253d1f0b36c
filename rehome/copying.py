"""The rows themselves: puts the target's indexes away, copies in bulk, builds them again, empties the target."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome import catalog, sql
from rehome.catalog import Constraint, Incoming, Index, Table
from rehome.plan import Plan
from rehome.session import Statement


def put_away(plan: Plan) -> list[Statement]:
    """Drop what a bulk copy pays for row by row; each statement is short and for a transaction of its own.

    Dropping a foreign key takes ACCESS EXCLUSIVE on the table it points at as well: inside the long
    transaction nobody could log in until it ended.
    """
    foreign_keys = [
        sql.drop_constraint(pair.target, key.name) for pair in plan.pairs for key in pair.target.foreign_keys
    ]
    constraints = [sql.drop_constraint(table, c.name) for table, c in rebuilt_constraints(plan)]
    return foreign_keys + constraints + [sql.drop_index(table, index.name) for table, index in rebuilt_indexes(plan)]


def put_away_beside_writers(plan: Plan) -> list[Statement]:
    """Like `put_away`, but only what can come back while everybody writes, and not the key that batches rely on."""
    foreign_keys = [
        sql.drop_constraint(pair.target, key.name) for pair in plan.pairs for key in pair.target.foreign_keys
    ]
    constraints = [sql.drop_constraint(table, c.name) for table, c in concurrent_constraints(plan)]
    return foreign_keys + constraints + [sql.drop_index(table, index.name) for table, index in rebuilt_indexes(plan)]


def concurrent_constraints(plan: Plan) -> list[tuple[Table, Constraint]]:
    """Unique constraints that an index built beside writers can bear: a deferrable one's would check at once."""
    return [(t, c) for t, c in rebuilt_constraints(plan) if c.kind == "u" and not c.deferrable]


def to_keep_beside_writers(plan: Plan) -> dict[str, Any]:
    """The definitions of everything that `put_away_beside_writers` drops, as JSON."""
    foreign_keys = [(pair.target, key) for pair in plan.pairs for key in pair.target.foreign_keys]
    unique = concurrent_constraints(plan)
    return {
        "constraints": [(t.schema, t.name, c.name, c.definition) for t, c in unique + foreign_keys],
        "indexes": [(t.schema, t.name, i.name, i.definition) for t, i in rebuilt_indexes(plan)],
        "unique_indexes": [
            (t.schema, t.name, c.name, catalog.index_definition(plan.connection, t, c.name)) for t, c in unique
        ],
    }


def put_back(kept: dict[str, Any], connection: BaseDatabaseWrapper) -> list[Statement]:
    """Restore what is missing of what `put_away` dropped, from the record that `to_keep` made; safe to repeat.

    What still stands is left alone: to drop it again would wait for the very lock that was not granted.
    """
    indexes = [
        sql.SQL(definition)
        for schema, table, name, definition in kept["indexes"]
        if lacks(schema, table, name, connection)
    ]
    constraints = [
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            sql.Identifier(schema, table), sql.Identifier(name), sql.SQL(definition)
        )
        for schema, table, name, definition in kept["constraints"]
        if lacks(schema, table, name, connection)
    ]
    return [*indexes, *constraints]


def lacks(schema: str, table: str, name: str, connection: BaseDatabaseWrapper) -> bool:
    """Whether the table is there, and its constraint or index of this name is not."""
    found = catalog.read_table(connection, sql.Identifier(schema, table).as_string())
    return found is not None and name not in {c.name for c in found.constraints} | {i.name for i in found.indexes}


def to_keep(plan: Plan) -> dict[str, Any]:
    """The definitions of everything that `put_away` drops, as JSON; a foreign key after what it points at."""
    foreign_keys = [(pair.target, key) for pair in plan.pairs for key in pair.target.foreign_keys]
    return {
        "constraints": [
            (table.schema, table.name, c.name, c.definition) for table, c in rebuilt_constraints(plan) + foreign_keys
        ],
        "indexes": [(table.schema, table.name, i.name, i.definition) for table, i in rebuilt_indexes(plan)],
    }


def rebuilt_constraints(plan: Plan) -> list[tuple[Table, Constraint]]:
    """Primary keys, unique and exclusion constraints that nothing relies on, and that come back as they were."""
    needed = {incoming.index for incoming in other_incoming(plan)}
    return [
        (pair.target, constraint)
        for pair in plan.pairs
        for constraint in pair.target.constraints
        if constraint.kind in "pux" and constraint.plain and constraint.name not in needed
    ]


def rebuilt_indexes(plan: Plan) -> list[tuple[Table, Index]]:
    needed = {incoming.index for incoming in other_incoming(plan)}
    return [
        (pair.target, index)
        for pair in plan.pairs
        for index in pair.target.indexes
        if index.plain and index.name not in needed
    ]


def copy(plan: Plan) -> list[Statement]:
    return [sql.copy(pair.forward) for pair in plan.pairs]


def build(plan: Plan) -> list[Statement]:
    """Indexes and unique constraints over the copied rows, each sorted once."""
    constraints = [sql.add_constraint(table, constraint) for table, constraint in rebuilt_constraints(plan)]
    return constraints + [sql.SQL(index.definition) for _, index in rebuilt_indexes(plan)]


def add_foreign_keys(plan: Plan, *, acting: bool) -> list[Statement]:
    """Those that delete or change rows of the target when what they point at goes, or the others. NOT VALID: enforced
    for every later write, and added without a look at the rows.
    """
    return [
        sql.add_constraint(pair.target, key, validate=False)
        for pair in plan.pairs
        for key in pair.target.foreign_keys
        if key.acts == acting
    ]


def settle(plan: Plan) -> list[Statement]:
    """Validate the foreign keys; each statement blocks nobody."""
    return [
        sql.validate(pair.target.schema, pair.target.name, key.name)
        for pair in plan.pairs
        for key in pair.target.foreign_keys
    ]


def vacuum(plan: Plan) -> list[Statement]:
    """What autovacuum would do for so many new rows, before the first queries need it; outside transactions."""
    return [sql.vacuum(pair.target) for pair in plan.pairs]


def let_go(plan: Plan) -> list[Statement]:
    """Foreign keys of other tables that point at a target step aside, for TRUNCATE refuses a table that one
    points at, even from a table without rows. Their tables stay locked until the commit.
    """
    return [sql.drop_incoming(key) for key in other_incoming(plan)]


def empty(plan: Plan) -> list[Statement]:
    """Truncate the targets, and let foreign keys point at them again."""
    targets = [pair.target for pair in plan.pairs]
    return [sql.truncate(targets), *(sql.add_incoming(key) for key in other_incoming(plan))]


def settle_back(plan: Plan) -> list[Statement]:
    return [sql.validate(key.schema, key.table, key.name) for key in other_incoming(plan)]


def other_incoming(plan: Plan) -> list[Incoming]:
    """Foreign keys that point at a target from tables that are no target of this move."""
    own = {(pair.target.schema, pair.target.name) for pair in plan.pairs}
    return [key for pair in plan.pairs for key in pair.target.incoming if (key.schema, key.table) not in own]
