"""Builds the indexes and foreign keys of a filled table beside its writers; safe to repeat after any crash."""

import re
from collections.abc import Iterator
from typing import Any

from rehome import catalog, sql, steps
from rehome.catalog import Table
from rehome.plan import Plan
from rehome.session import Session, Statement
from rehome.sql import SQL, Identifier


def build_indexes(plan: Plan, kept: dict[str, Any], session: Session) -> None:
    """Each index concurrently, then each unique constraint on top of its index."""
    for table, name, definition in wanted_indexes(plan, kept):
        build_index(table, name, definition, session)
    for schema, table, name, _ in kept["unique_indexes"]:
        bearer = find(plan, schema, table)
        if not has_constraint(bearer, name):
            session.run(*steps.lock([bearer], "ACCESS EXCLUSIVE"), add_unique(bearer, name))


def build_index(table: Table, name: str, definition: str, session: Session) -> None:
    state = catalog.index_state(session.connection, table, name)
    if state == "invalid":
        session.execute(drop_invalid(table, name))
    if state != "valid":
        session.execute(concurrently(definition))


def wanted_indexes(plan: Plan, kept: dict[str, Any]) -> Iterator[tuple[Table, str, str]]:
    """(table, name, CREATE INDEX) of what was put away: plain indexes, and those of unique constraints."""
    for schema, table, name, definition in [*kept["indexes"], *kept.get("unique_indexes", [])]:
        yield find(plan, schema, table), name, definition


def foreign_keys(plan: Plan, kept: dict[str, Any]) -> Iterator[Statement]:
    """What `add_foreign_keys` runs: those that are not there yet, and all of them validated."""
    for schema, name, constraint, definition in kept["constraints"]:
        if definition.startswith("FOREIGN KEY"):
            table = find(plan, schema, name)
            if not has_constraint(table, constraint):
                yield add_foreign_key(table, constraint, definition)
            yield sql.validate(schema, name, constraint)


def add_foreign_keys(plan: Plan, kept: dict[str, Any], session: Session) -> None:
    """NOT VALID, one short transaction each, then validated, which blocks nobody."""
    for schema, name, constraint, definition in kept["constraints"]:
        if not definition.startswith("FOREIGN KEY"):
            continue
        table = find(plan, schema, name)
        if not has_constraint(table, constraint):
            locked = steps.lock([table], "SHARE ROW EXCLUSIVE")
            session.run(*locked, add_foreign_key(table, constraint, definition))
        session.run_patiently(sql.validate(schema, name, constraint))


def all_of_it(plan: Plan, kept: dict[str, Any]) -> Iterator[Statement]:
    """What both functions above run where nothing is built yet."""
    yield from (concurrently(definition) for _, _, definition in wanted_indexes(plan, kept))
    yield from (add_unique(find(plan, schema, table), name) for schema, table, name, _ in kept["unique_indexes"])
    for schema, table, name, definition in kept["constraints"]:
        if definition.startswith("FOREIGN KEY"):
            yield add_foreign_key(find(plan, schema, table), name, definition)
            yield sql.validate(schema, table, name)


def invalid_indexes(plan: Plan, kept: dict[str, Any], session: Session) -> list[Statement]:
    """Drop what a build left that was cut short, for `put_back` takes every index that it finds for a whole one."""
    return [
        SQL("DROP INDEX {}").format(Identifier(table.schema, name))
        for table, name, _ in wanted_indexes(plan, kept)
        if catalog.index_state(session.connection, table, name) == "invalid"
    ]


def find(plan: Plan, schema: str, name: str) -> Table:
    return next(pair.target for pair in plan.pairs if (pair.target.schema, pair.target.name) == (schema, name))


def has_constraint(table: Table, name: str) -> bool:
    return any(constraint.name == name for constraint in table.constraints)


def concurrently(definition: str) -> Statement:
    return SQL(re.sub(r"^(CREATE (?:UNIQUE )?INDEX) ", r"\1 CONCURRENTLY ", definition))


def drop_invalid(table: Table, name: str) -> Statement:
    return SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(Identifier(table.schema, name))


def add_foreign_key(table: Table, name: str, definition: str) -> Statement:
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID").format(
        sql.name(table), Identifier(name), SQL(definition.removesuffix(" NOT VALID"))
    )


def add_unique(table: Table, name: str) -> Statement:
    return SQL("ALTER TABLE {} ADD CONSTRAINT {} UNIQUE USING INDEX {}").format(
        sql.name(table), Identifier(name), Identifier(name)
    )
