"""The SQL of the way back from a move in place: the table gets its own names, and its twin is made again."""

import dataclasses
from collections.abc import Iterator

from rehome.moves import steps
from rehome.parts import foreign_keys, grants, identity, renaming, sync, views
from rehome.plan.ledger import Ledger
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.plan.record import Exchanged, InPlace, Place, Record
from rehome.plan.renaming import Renaming
from rehome.postgres import anatomy, locks, sql
from rehome.postgres.sql import SQL, Statement
from rehome.postgres.tables import ForeignKey


def stay(record: Record) -> list[tuple[str, str, str]]:
    """Foreign keys that pointed at the table before the move: they are the source model's, and stay with it."""
    return list(in_place_of(record).stay)


def enter(plan: Plan) -> list[Statement]:
    """The view before the table, as whoever reads the view has them."""
    return locks.lock([table for table in steps.tables_of(plan) if table.oid != GONE], "ACCESS EXCLUSIVE")


def switch(plan: Plan, names: identity.Identity | None, record: Record) -> list[Statement]:
    pairs = list(zip(plan.pairs, in_place_of(record).pairs, strict=True))
    back = [own_names(plan, pair, kept) for pair, kept in pairs]
    keys = twins_keys(plan, record)
    ledger = Ledger(plan.connection.alias)
    own = [foreign_keys.at_its_end(foreign_keys.from_json(key), ledger) for key in in_place_of(record).keys]
    return [
        # The table's own rows may point at content types: it still has the name by which it was found.
        *identity.revert(names, record),
        *(statement for pair in plan.pairs for statement in views.drop(pair)),
        *(foreign_keys.drop(key) for key in keys),
        *(statement for pair, kept in pairs for statement in take_grants_away(pair, kept)),
        *(statement for one in back for statement in renaming.rename(one)),
        *make_twins(plan),
        *(statement for pair, kept in pairs for statement in grant_again(pair, kept)),
        *sync.raise_fence(plan),
        *(statement for key in (*own, *keys) for statement in foreign_keys.add(key)),
    ]


def to_keep(plan: Plan, record: Record) -> Record:
    """With what is left to validate after the way back."""
    return record.keeping(in_place=dataclasses.replace(in_place_of(record), validate=tuple(validate(plan, record))))


def validate(plan: Plan, record: Record) -> list[Place]:
    renamings = [kept.renaming for kept in in_place_of(record).pairs]
    return [
        *((own.schema, own.table[0], before.name) for own in renamings for before, _ in own.foreign_keys),
        *((key.schema, key.table, key.name) for key in twins_keys(plan, record) if key.validated),
    ]


def in_place_of(record: Record) -> InPlace:
    assert record.in_place is not None  # noqa: S101  A move in place keeps it from its first moment.
    return record.in_place


def twins_keys(plan: Plan, record: Record) -> list[ForeignKey]:
    """Those of other tables that go back to the empty twin."""
    return foreign_keys.to_targets(plan, stay(record))


def take_grants_away(pair: TablePair, kept: Exchanged) -> list[Statement]:
    """What came with the twin."""
    own = [grants.renamed(given, kept.renaming.columns) for given in kept.grants]
    return grants.take_away(pair.target, kept.added_grants, own)


def own_names(plan: Plan, pair: TablePair, kept: Exchanged) -> Renaming:
    not_nulls = anatomy.read_anatomy(pair.target, plan.connection).not_nulls
    return kept.renaming.reversed().of_what_is_there(pair.target, not_nulls.values())


def make_twins(plan: Plan) -> list[Statement]:
    """The statements with which Django makes the target's tables, as its migrations would."""
    with plan.connection.schema_editor(collect_sql=True, atomic=False) as editor:
        editor.create_model(plan.target_model)
    made = [SQL(text.rstrip("; ")) for text in editor.collected_sql]
    return [*made, *(sql.set_owner("TABLE", sql.name(pair.target), pair.target.owner) for pair in plan.pairs)]


def grant_again(pair: TablePair, kept: Exchanged) -> Iterator[Statement]:
    """What roles could do with the twin."""
    for given in grants.standing(kept.twin_grants, pair.target.grants):
        yield grants.grant("TABLE", sql.name(pair.target), given)
    for column, privilege in kept.twin_key_grants:
        own = pair.target.sequences.get(column)
        if own and grants.standing([privilege], own.grants):
            yield grants.grant_on_key(pair.target, column, privilege)
