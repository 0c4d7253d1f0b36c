"""The SQL of a move in place: a table and its twin change places, and what the run keeps of it."""

import dataclasses

from rehome.moves import steps
from rehome.parts import foreign_keys, grants, identity, matching, renaming, sync, views
from rehome.parts.matching import Counterparts
from rehome.plan.plan import Assignment, Plan, TablePair, read_column
from rehome.plan.record import Exchanged, InPlace, Record
from rehome.postgres import anatomy, locks, sql
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import Grant, Table


def find(plan: Plan) -> list[Counterparts]:
    targets = {pair.source.oid: (str(pair.target), matching.find_columns(pair)) for pair in plan.pairs}
    targets |= {pair.target.oid: (str(pair.target), {}) for pair in plan.pairs}
    return [
        matching.find(
            pair,
            anatomy.read_anatomy(pair.source, plan.connection),
            anatomy.read_anatomy(pair.target, plan.connection),
            targets,
        )
        for pair in plan.pairs
    ]


def enter(plan: Plan) -> list[Statement]:
    return locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE")


def switch(plan: Plan, found: list[Counterparts], names: identity.Identity | None) -> list[Statement]:
    """From here the table has its twin's name. Foreign keys are last: their lock reaches other tables.

    Its own rows may point at content types, and are corrected while it has the name by which it was found.
    """
    twins = SQL(", ").join(sql.name(pair.target) for pair in plan.pairs)
    return [
        *identity.carry(names),
        *foreign_keys.let_go(plan),
        *(
            statement
            for pair in plan.pairs
            if is_fenced(pair.target)
            for statement in sync.fence_of_target(pair).drop()
        ),
        SQL("DROP TABLE {}").format(twins),
        *(statement for parts in found for statement in renaming.rename(parts.renaming)),
        *(
            grants.grant("TABLE", sql.name(pair.target), privilege)
            for pair, parts in zip(plan.pairs, found, strict=True)
            for privilege in added_grants(pair, parts)
        ),
        *(statement for pair in plan.pairs for statement in views.create(as_view(pair), plan.search_path)),
        *(statement for parts in found for statement in renaming.add_foreign_keys(parts.renaming)),
        *(sql.add_incoming(key) for key in foreign_keys.other_incoming(plan)),
    ]


def is_fenced(table: Table) -> bool:
    """An earlier way back, of a move by copying, leaves a fence behind."""
    return len(table.triggers) > len(sync.of_user(table))


def as_view(pair: TablePair) -> TablePair:
    """The pair that the view is made of. The table's own sequence and its generated columns are the view's too."""
    columns = {
        column.name: dataclasses.replace(column, default=None, identity="", generated=False)
        if column.name in pair.source.sequences or column.generated
        else column
        for column in pair.source.columns
    }
    assignments = [
        *(dataclasses.replace(a, column=columns[a.column.name]) for a in pair.backward.assignments),
        *(
            Assignment(columns[column.name], read_column(column.name), frozenset({column.name}))
            for column in pair.source.columns
            if column.generated
        ),
    ]
    return dataclasses.replace(
        pair,
        source=dataclasses.replace(pair.source, columns=tuple(columns.values())),
        backward=dataclasses.replace(pair.backward, assignments=tuple(assignments)),
    )


def added_grants(pair: TablePair, found: Counterparts) -> list[Grant]:
    """What roles may do with the twin and not with the source."""
    columns = found.renaming.columns
    own = [grants.renamed(g, columns) for g in pair.source.grants]
    return [privilege for privilege in pair.target.grants if privilege not in own]


def to_keep(plan: Plan, found: list[Counterparts]) -> InPlace:
    """What the way back and the settling need."""
    moved = [(parts.renaming.schema, *parts.renaming.table, parts.renaming.foreign_keys) for parts in found]
    twins_keys = foreign_keys.other_incoming(plan)
    replaced = {before.name for parts in found for before, _ in parts.renaming.foreign_keys}
    own_keys = [key for key in foreign_keys.own(foreign_keys.read(plan), plan) if key.name in replaced]
    return InPlace(
        pairs=tuple(
            Exchanged(
                renaming=parts.renaming,
                view=tuple(
                    s.as_string() for s in views.create(as_view(pair), plan.search_path) if not is_grant(s, pair)
                ),
                added_grants=tuple(added_grants(pair, parts)),
                grants=pair.source.grants,
                twin_grants=pair.target.grants,
                twin_key_grants=tuple((column, g) for column, s in pair.target.sequences.items() for g in s.grants),
            )
            for pair, parts in zip(plan.pairs, found, strict=True)
        ),
        keys=tuple(key.as_json() for key in own_keys),
        stay=tuple((key.schema, key.table, key.name) for pair in plan.pairs for key in pair.source.incoming),
        validate=(
            *((schema, table, after.name) for schema, _, table, keys in moved for _, after in keys),
            *((key.schema, key.table, key.name) for key in twins_keys if key.validated),
        ),
    )


def is_grant(statement: Statement, pair: TablePair) -> bool:
    return statement in [grants.grant("TABLE", sql.name(pair.source), privilege) for privilege in pair.source.grants]


# ----- afterwards


def validations(plan: Plan, record: Record) -> list[Statement]:
    return [
        sql.validate(schema, table, name)
        for schema, table, name in (record.in_place.validate if record.in_place else ())
        if foreign_keys.is_unvalidated(plan, Identifier(schema, table), name)
    ]
