"""In place: the table is renamed to its empty twin's names, and a view has the old ones; no row is read or written."""

import dataclasses
import functools
from collections.abc import Iterator

from rehome.errors import MoveFailed
from rehome.models import MoveRun, Phase
from rehome.moves import exchange, state, steps
from rehome.moves.steps import Action, Do, Step, Whole
from rehome.moves.way import NOTHING, NOTHING_BACK, Way
from rehome.parts import (
    enforcement,
    foreign_keys,
    identity,
    ledger_rights,
    matching,
    next_keys,
    project_triggers,
    standing_views,
)
from rehome.parts.matching import Counterparts
from rehome.plan.ledger import Ledger
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.plan.record import InPlace, Record
from rehome.plan.resolve import renew
from rehome.postgres import anatomy, catalog, locks, sql, tables
from rehome.postgres.session import Group
from rehome.postgres.tables import Anatomy
from rehome.preflight import checks, fates, in_place, leftovers, notices


def check(plan: Plan, ledger: Ledger) -> list[Counterparts]:
    """Refuse what can't be done before anything is written; return what will be."""
    in_place.check_rights(plan)
    found = check_parts(plan)
    checks.refuse_unmoved_references(plan, ledger)
    checks.check_target_empty(plan)
    return found


def check_parts(plan: Plan) -> list[Counterparts]:
    """What the definitions alone decide."""
    in_place.check_pairs(plan)
    found = exchange.find(plan)
    in_place.check_parts(plan, found)
    return found


class Forward(Way):
    """The steps of one move in place, or those that repair and settle one that stands."""

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        super().__init__(plan, run)
        self.fresh = run is None or not state.is_in_place(plan, run)

    def go(self) -> None:
        """Rename the table and put a view in its place; where that is done, validate what is left."""
        noticed = []
        if self.fresh:
            pairs = zip(self.plan.pairs, check(self.plan, self.ledger), strict=True)
            noticed = [note for pair, parts in pairs for note in notices.find_in_place(pair, parts, self.plan)]
            self.show("moving in place", steps=2)
        else:
            if self.record.in_place:
                in_place.refuse_lost_defaults(self.plan, self.record.in_place)
            self.show("settling", steps=1)
        self.take(self.steps())
        for note in noticed:
            self.progress.note(note)

    def steps(self) -> Iterator[Step]:
        if self.fresh:
            yield Whole("Move in place", "rename the table and all that it has", NOTHING, self.take_place)
        else:
            failed = "The move is live; its view or its sequences could not be repaired."
            found = (
                *standing_views.repair(self.plan, self.record),
                *next_keys.repair(self.plan, self.session, self.record),
                *ledger_rights.repair(self.plan),
            )
            yield Step("Repair", "", failed, lambda: [Group(found)] if found else [])
            yield Step("Repair", "", failed, lambda: enforcement.repair(self.plan))
            yield Whole("Labels", "", failed, self.settle_labels)
        settling = "The move is complete; only the settling is left."
        yield Step("Settle", "validate foreign keys", settling, lambda: validations(self.plan, self.record))

    def take_place(self) -> Iterator[Action]:
        """Everything that can be looked up is known before the first lock is asked for."""
        plan = renew(self.plan)
        found = exchange.find(plan)
        twins = [matching.with_width(p, anatomy.read_anatomy(p.target, plan.connection)) for p in plan.pairs]
        kept = Record(in_place=exchange.to_keep(plan, found), ends=foreign_keys.new_ends(plan))
        self.record = kept | project_triggers.to_keep_in_place(plan)
        names = identity.read_identity(plan, self.session)
        yield from locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE")
        yield Do(lambda: checks.check_target_empty(plan))
        yield Do(lambda: leftovers.refuse_ties(fates.Way.IN_PLACE, plan))
        yield from exchange.switch(plan, found, names)
        for pair, twin in zip(plan.pairs, twins, strict=True):
            yield Do(functools.partial(refuse_differences, pair, twin, plan))
        yield Do(lambda: self.try_writes(plan, self.record, views=True))
        yield Do(lambda: self.record_in_place(plan, names))

    def record_in_place(self, plan: Plan, names: identity.Identity | None) -> None:
        self.begun = self.ledger.begin(plan, self.record | identity.to_keep(names, self.session))
        self.advance(Phase.IN_PLACE)
        identity.forget_cached()


def refuse_differences(pair: TablePair, twin: Anatomy, plan: Plan) -> None:
    """PostgreSQL has the last word on whether the table now is what the twin was, in every name."""
    now = catalog.read_table(plan.connection, sql.name(pair.target).as_string())
    assert now is not None  # noqa: S101  It has just been renamed.
    missing = tables.describe(twin) - tables.describe(anatomy.read_anatomy(now, plan.connection))
    if missing:
        raise MoveFailed(
            f"{plan}: after renaming, {pair.source} does not match {pair.target}; missing: "
            f"{'; '.join(' '.join(map(str, part)) for part in sorted(missing, key=str))}. Everything is undone. "
            "Make both tables match with ALTER TABLE, or remove in_place=True."
        )


def validations(plan: Plan, record: Record) -> Iterator[Group]:
    """Of the foreign keys that were added, as far as they are there; a failure leaves a move that is complete."""
    for schema, table, name in record.in_place.validate if record.in_place else ():
        settled = functools.partial(is_settled, plan, schema, table, name)
        yield Group((sql.validate(schema, table, name),), patient=True, unless=settled)


def is_settled(plan: Plan, schema: str, table: str, name: str) -> bool:
    return catalog.is_validated(plan.connection, schema, table, name) is not False


# ----- and back


class Back(Way):
    """The steps of the way back of a move in place: at once, at any size."""

    @property
    def kept(self) -> InPlace:
        assert self.record.in_place is not None  # noqa: S101  A move in place keeps it from its first moment.
        return self.record.in_place

    def go(self) -> None:
        returned = self.run.phase == Phase.BACK
        self.show("moving back in place", steps=2 - returned)
        if not returned:
            in_place.check_back(self.plan, self.run, self.kept)
            self.name(fates.Way.IN_PLACE_BACK)
            self.take(self.go_back())
        self.take(self.settle())

    def steps(self) -> Iterator[Step]:
        yield from self.go_back()
        yield from self.settle()

    def go_back(self) -> Iterator[Step]:
        yield Whole("Move back", "rename the table to its own name", NOTHING_BACK, self.leave_place)

    def leave_place(self) -> Iterator[Action]:
        plan, kept = renew(self.plan), self.kept
        names = identity.read_identity(plan, self.session)
        # The table's own rows may point at content types: it still has the name by which it was found.
        reverted = [*identity.revert(names, self.record), *exchange.revert(plan, kept, self.record)]
        validate = exchange.to_validate(plan, kept)
        self.record = self.record.keeping(in_place=dataclasses.replace(kept, validate=validate))
        # The view before the table, as whoever reads the view has them.
        yield from locks.lock([table for table in steps.tables_of(plan) if table.oid != GONE], "ACCESS EXCLUSIVE")
        yield Do(lambda: checks.check_unreferenced(plan, foreign_keys.staying(plan, kept.stay)))
        yield Do(lambda: leftovers.refuse_ties(fates.Way.IN_PLACE_BACK, plan))
        yield from reverted
        yield Do(lambda: self.advance(Phase.BACK, self.record))
        yield Do(identity.forget_cached)

    def settle(self) -> Iterator[Step]:
        settling = "The table has its own names; only the settling is left."
        yield Step("Settle", "validate foreign keys", settling, lambda: validations(self.plan, self.record))
