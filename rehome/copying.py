"""The rows themselves: puts the target's indexes away, copies in bulk, builds them again, empties the target."""

from typing import Any

from rehome import sql
from rehome.catalog import Constraint, Table
from rehome.plan import Plan
from rehome.session import Statement


def put_away(plan: Plan) -> list[Statement]:
    """Drop what a bulk copy pays for row by row; each statement is short and for a transaction of its own.

    Dropping a foreign key takes ACCESS EXCLUSIVE on the table it points at as well: inside the long
    transaction nobody could log in until it ended.
    """
    statements: list[Statement] = []
    for pair in plan.pairs:
        statements += [sql.drop_constraint(pair.target, key.name) for key in pair.target.foreign_keys]
        statements += [sql.drop_constraint(pair.target, c.name) for c in secondary_constraints(pair.target)]
        statements += [sql.drop_index(pair.target, name) for name, _ in secondary_indexes(pair.target)]
    return statements


def put_back(kept: dict[str, Any]) -> list[Statement]:
    """Restore what `put_away` dropped, from the record that `to_keep` made; safe to repeat."""
    statements: list[Statement] = []
    for table in kept["tables"]:
        place = sql.Identifier(table["schema"], table["name"])
        for name, definition in table["constraints"]:
            statements += [
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(place, sql.Identifier(name)),
                sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(place, sql.Identifier(name), sql.SQL(definition)),
            ]
        for name, definition in table["indexes"]:
            statements += [
                sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(table["schema"], name)),
                sql.SQL(definition),
            ]
    return statements


def to_keep(plan: Plan) -> dict[str, Any]:
    """The definitions of everything that `put_away` drops, as JSON."""
    return {
        "tables": [
            {
                "schema": pair.target.schema,
                "name": pair.target.name,
                "constraints": [
                    (c.name, c.definition) for c in (*secondary_constraints(pair.target), *pair.target.foreign_keys)
                ],
                "indexes": secondary_indexes(pair.target),
            }
            for pair in plan.pairs
        ]
    }


def secondary_constraints(table: Table) -> list[Constraint]:
    """Unique and exclusion constraints that no other table's foreign key relies on."""
    needed = {incoming.index for incoming in table.incoming}
    return [c for c in table.constraints if c.kind in "ux" and c.name not in needed]


def secondary_indexes(table: Table) -> list[tuple[str, str]]:
    needed = {incoming.index for incoming in table.incoming}
    return [(index.name, index.definition) for index in table.indexes if index.name not in needed]


def copy(plan: Plan) -> list[Statement]:
    return [sql.copy(pair.forward) for pair in plan.pairs]


def build(plan: Plan) -> list[Statement]:
    """Indexes and unique constraints over the copied rows, each sorted once."""
    statements: list[Statement] = []
    for pair in plan.pairs:
        statements += [sql.add_constraint(pair.target, c) for c in secondary_constraints(pair.target)]
        statements += [sql.SQL(definition) for _, definition in secondary_indexes(pair.target)]
    return statements


def add_foreign_keys(plan: Plan) -> list[Statement]:
    """NOT VALID: enforced for every later write, and added without a look at the rows."""
    return [
        sql.add_constraint(pair.target, key, validate=False) for pair in plan.pairs for key in pair.target.foreign_keys
    ]


def settle(plan: Plan) -> list[Statement]:
    """Validate the foreign keys and gather statistics; each statement blocks nobody."""
    statements: list[Statement] = []
    for pair in plan.pairs:
        table = pair.target
        statements += [sql.validate(table.schema, table.name, key.name) for key in table.foreign_keys]
    return statements + [sql.analyze(pair.target) for pair in plan.pairs]


def empty(plan: Plan) -> list[Statement]:
    """Truncate the targets; foreign keys of other tables that point at them step aside, for TRUNCATE
    refuses a table that one points at, even from a table without rows.
    """
    targets = [pair.target for pair in plan.pairs]
    incoming = other_incoming(plan)
    return [
        *(sql.drop_incoming(key) for key in incoming),
        sql.truncate(targets),
        *(sql.add_incoming(key) for key in incoming),
    ]


def settle_back(plan: Plan) -> list[Statement]:
    return [sql.validate(key.schema, key.table, key.name) for key in other_incoming(plan)]


def other_incoming(plan: Plan) -> list[Any]:
    """Foreign keys that point at a target from tables that are no target of this move."""
    own = {(pair.target.schema, pair.target.name) for pair in plan.pairs}
    return [key for pair in plan.pairs for key in pair.target.incoming if (key.schema, key.table) not in own]
