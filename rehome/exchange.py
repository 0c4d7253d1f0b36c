"""The SQL of a move in place: a table and its twin change places, and what the run keeps of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rehome import (
    anatomy,
    catalog,
    copying,
    counterparts,
    grants,
    identity,
    renaming,
    repointing,
    sql,
    steps,
    sync,
    views,
)
from rehome.catalog import Grant, Incoming, Table
from rehome.counterparts import Counterparts
from rehome.ledger import Ledger
from rehome.plan import GONE, Assignment, Plan, TablePair, read_column
from rehome.preflight import in_place
from rehome.renaming import Renaming
from rehome.session import Statement
from rehome.sql import SQL, Identifier, Literal

KEPT = "in_place"
"""The key under which a run keeps what the way back needs."""


def find(plan: Plan) -> list[Counterparts]:
    targets = {pair.source.oid: (str(pair.target), counterparts.find_columns(pair)) for pair in plan.pairs}
    targets |= {pair.target.oid: (str(pair.target), {}) for pair in plan.pairs}
    return [
        counterparts.find(
            pair,
            anatomy.read_anatomy(pair.source, plan.connection),
            anatomy.read_anatomy(pair.target, plan.connection),
            targets,
        )
        for pair in plan.pairs
    ]


def enter(plan: Plan) -> list[Statement]:
    return steps.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE")


def switch(plan: Plan, found: list[Counterparts], names: identity.Identity | None) -> list[Statement]:
    """From here the table has its twin's name. Foreign keys are last: their lock reaches other tables."""
    twins = SQL(", ").join(sql.name(pair.target) for pair in plan.pairs)
    return [
        *copying.let_go(plan),
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
        *identity.carry(names),
        *(statement for parts in found for statement in renaming.add_foreign_keys(parts.renaming)),
        *(sql.add_incoming(key) for key in copying.other_incoming(plan)),
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
    own = [renamed(g, columns) for g in pair.source.grants]
    return [privilege for privilege in pair.target.grants if privilege not in own]


def renamed(privilege: Grant, columns: Mapping[str, str]) -> Grant:
    return dataclasses.replace(privilege, column=columns.get(privilege.column, privilege.column))


def to_keep(plan: Plan, found: list[Counterparts]) -> dict[str, Any]:
    """What the way back and the settling need, as JSON."""
    moved = [(parts.renaming.schema, *parts.renaming.table, parts.renaming.foreign_keys) for parts in found]
    twins_keys = copying.other_incoming(plan)
    replaced = {before.name for parts in found for before, _ in parts.renaming.foreign_keys}
    own_keys = [key for key in repointing.own(repointing.read(plan), plan) if key.name in replaced]
    return {
        "pairs": [
            {
                "renaming": renaming.as_json(parts.renaming),
                "view": [s.as_string() for s in views.create(as_view(pair), plan.search_path) if not is_grant(s, pair)],
                "added_grants": [dataclasses.asdict(g) for g in added_grants(pair, parts)],
                "grants": [dataclasses.asdict(g) for g in pair.source.grants],
                "twin_grants": [dataclasses.asdict(g) for g in pair.target.grants],
                "twin_key_grants": [
                    (column, dataclasses.asdict(g)) for column, s in pair.target.sequences.items() for g in s.grants
                ],
            }
            for pair, parts in zip(plan.pairs, found, strict=True)
        ],
        "keys": [key.as_json() for key in own_keys],
        "stay": [(key.schema, key.table, key.name) for pair in plan.pairs for key in pair.source.incoming],
        "validate": [
            *((schema, table, after.name) for schema, _, table, keys in moved for _, after in keys),
            *((key.schema, key.table, key.name) for key in twins_keys),
        ],
    }


def is_grant(statement: Statement, pair: TablePair) -> bool:
    return statement in [grants.grant("TABLE", sql.name(pair.source), privilege) for privilege in pair.source.grants]


# ----- and back


def stay(kept: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Foreign keys that pointed at the table before the move: they are the source model's, and stay with it."""
    return [(schema, table, name) for schema, table, name in kept[KEPT]["stay"]]


def enter_back(plan: Plan) -> list[Statement]:
    """The view before the table, as whoever reads the view has them."""
    return steps.lock([table for table in steps.tables_of(plan) if table.oid != GONE], "ACCESS EXCLUSIVE")


def drop(pair: TablePair) -> list[Statement]:
    return [] if pair.source.oid == GONE else views.drop(pair)


def switch_back(plan: Plan, names: identity.Identity | None, kept: Mapping[str, Any]) -> list[Statement]:
    records = kept[KEPT]["pairs"]
    back = [own_names(plan, pair, record) for pair, record in zip(plan.pairs, records, strict=True)]
    keys = foreign_keys(plan, kept)
    own, ledger = map(repointing.from_json, kept[KEPT]["keys"]), Ledger(plan.connection.alias)
    return [
        *(statement for pair in plan.pairs for statement in drop(pair)),
        *(sql.drop_incoming(key) for key in keys),
        *(
            statement
            for pair, record in zip(plan.pairs, records, strict=True)
            for statement in take_grants_away(pair, record)
        ),
        *(statement for one in back for statement in renaming.rename(one)),
        *make_twins(plan),
        *(s for pair, record in zip(plan.pairs, records, strict=True) for s in grant_again(pair, record)),
        *identity.give_back(names, dict(kept)),
        *sync.raise_fence(plan),
        *(statement for key in own for statement in repointing.add(key, repointing.find_end(key, ledger))),
        *(sql.add_incoming(key) for key in keys),
    ]


def to_keep_back(plan: Plan, kept: Mapping[str, Any]) -> dict[str, Any]:
    """With what is left to validate after the way back."""
    renamings = [renaming.read(record["renaming"]) for record in kept[KEPT]["pairs"]]
    validate = [
        *((own.schema, own.table[0], before.name) for own in renamings for before, _ in own.foreign_keys),
        *((key.schema, key.table, key.name) for key in foreign_keys(plan, kept)),
    ]
    return {**kept, KEPT: {**kept[KEPT], "validate": validate}}


def foreign_keys(plan: Plan, kept: Mapping[str, Any]) -> list[Incoming]:
    """Those of other tables that go back to the empty twin."""
    return [key for pair in plan.pairs for key in in_place.foreign(pair, plan, stay(kept))]


def own_names(plan: Plan, pair: TablePair, record: Mapping[str, Any]) -> Renaming:
    not_nulls = anatomy.read_anatomy(pair.target, plan.connection).not_nulls
    return renaming.read(record["renaming"]).reversed().of_what_is_there(pair.target, not_nulls.values())


def take_grants_away(pair: TablePair, record: Mapping[str, Any]) -> list[Statement]:
    """What came with the twin; that also takes a weaker grant of the source's own, which is given again."""
    columns = record["renaming"]["columns"]
    added = [Grant(**privilege) for privilege in record["added_grants"]]
    own = [renamed(Grant(**privilege), columns) for privilege in record["grants"]]
    taken = {(g.grantee, g.privilege, g.column) for g in added}
    standing = {(g.grantee, g.privilege, g.column) for g in pair.target.grants}
    place = sql.name(pair.target)
    return [
        *(grants.revoke(place, privilege) for privilege in added),
        *(
            grants.grant("TABLE", place, privilege)
            for privilege in own
            if (privilege.grantee, privilege.privilege, privilege.column) in taken & standing
        ),
    ]


def make_twins(plan: Plan) -> list[Statement]:
    """The statements with which Django makes the target's tables, as its migrations would."""
    with plan.connection.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.create_model(plan.target_model)
    owners = [
        SQL("ALTER TABLE {} OWNER TO {}").format(sql.name(pair.target), Identifier(pair.target.owner))
        for pair in plan.pairs
    ]
    return [*(SQL(text.rstrip("; ")) for text in editor.collected_sql), *owners]


def grant_again(pair: TablePair, record: Mapping[str, Any]) -> list[Statement]:
    """What roles could do with the twin; the name of its sequence is Django's and PostgreSQL's affair."""
    place = sql.name(pair.target)
    return [
        *(grants.grant("TABLE", place, Grant(**privilege)) for privilege in record["twin_grants"]),
        *(
            SQL("DO $$ BEGIN EXECUTE replace({}, {}, pg_get_serial_sequence({}, {})); END $$").format(
                Literal(grants.grant("SEQUENCE", Identifier("its"), Grant(**privilege)).as_string()),
                Literal('"its"'),
                Literal(place.as_string()),
                Literal(column),
            )
            for column, privilege in record["twin_key_grants"]
        ),
    ]


# ----- afterwards


def validations(plan: Plan, kept: Mapping[str, Any]) -> list[Statement]:
    return [
        sql.validate(schema, table, name)
        for schema, table, name in kept[KEPT]["validate"]
        if is_unvalidated(plan, Identifier(schema, table), name)
    ]


def is_unvalidated(plan: Plan, place: Statement, name: str) -> bool:
    table = catalog.read_table(plan.connection, place.as_string())
    return table is not None and any(c.name == name and not c.validated for c in table.constraints)
