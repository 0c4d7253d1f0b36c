"""The SQL of a move in place: a table and its twin change places, and what the run keeps of it."""

from rehome.moves import steps
from rehome.parts import foreign_keys, grants, identity, matching, renaming, sync, views
from rehome.parts.matching import Counterparts
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Exchanged, InPlace
from rehome.postgres import anatomy, locks, sql
from rehome.postgres.sql import Statement
from rehome.postgres.tables import Grant


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
    return [
        *identity.carry(names),
        *foreign_keys.drop_incoming(plan),
        # An earlier way back, of a move by copying, leaves one behind.
        *sync.lower_fence(plan),
        sql.drop_tables(pair.target for pair in plan.pairs),
        *(statement for parts in found for statement in renaming.rename(parts.renaming)),
        *(
            grants.grant("TABLE", sql.name(pair.target), privilege)
            for pair, parts in zip(plan.pairs, found, strict=True)
            for privilege in added_grants(pair, parts)
        ),
        *(statement for pair in plan.pairs for statement in views.create(views.as_renamed(pair), plan.search_path)),
        *(statement for parts in found for statement in renaming.add_foreign_keys(parts.renaming)),
        *(statement for key in foreign_keys.to_targets(plan) for statement in foreign_keys.add(key)),
    ]


def added_grants(pair: TablePair, found: Counterparts) -> list[Grant]:
    """What roles may do with the twin and not with the source."""
    columns = found.renaming.columns
    own = [grants.renamed(g, columns) for g in pair.source.grants]
    return [privilege for privilege in pair.target.grants if privilege not in own]


def to_keep(plan: Plan, found: list[Counterparts]) -> InPlace:
    """What the way back and the settling need."""
    moved = [(parts.renaming.schema, *parts.renaming.table, parts.renaming.foreign_keys) for parts in found]
    twins_keys = foreign_keys.to_targets(plan)
    replaced = {before.name for parts in found for before, _ in parts.renaming.foreign_keys}
    own_keys = [key for pair in plan.pairs for key in pair.source.foreign_keys if key.name in replaced]
    return InPlace(
        pairs=tuple(
            Exchanged(
                renaming=parts.renaming,
                view=tuple(s.as_string() for s in views.make(views.as_renamed(pair), plan.search_path)),
                added_grants=tuple(added_grants(pair, parts)),
                grants=pair.source.grants,
                twin_grants=pair.target.grants,
                twin_key_grants=tuple((column, g) for column, s in pair.target.sequences.items() for g in s.grants),
            )
            for pair, parts in zip(plan.pairs, found, strict=True)
        ),
        keys=tuple(map(foreign_keys.as_json, own_keys)),
        stay=tuple((key.schema, key.table, key.name) for pair in plan.pairs for key in pair.source.incoming),
        validate=(
            *((schema, table, after.name) for schema, _, table, keys in moved for _, after in keys),
            *((key.schema, key.table, key.name) for key in twins_keys if key.validated),
        ),
    )
