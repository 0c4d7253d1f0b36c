"""Retire: a view of the new table replaces the old one, whose rows are set aside; undo it, or make it final."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

from rehome.errors import MoveFailed, Refused
from rehome.models import MoveRun, Phase
from rehome.moves import both, state, steps
from rehome.moves.steps import Action, Do, Held, Step, Whole
from rehome.moves.way import Way
from rehome.parts import (
    aside,
    enforcement,
    foreign_keys,
    grants,
    indexes,
    ledger_rights,
    lives,
    made,
    next_keys,
    project_triggers,
    rows,
    standing_views,
    sync,
    views,
    writes,
)
from rehome.parts.standing_views import StandingView
from rehome.plan import resolve
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import asking, catalog, locks, sql
from rehome.postgres.session import Group
from rehome.postgres.sql import Statement
from rehome.postgres.tables import ForeignKey
from rehome.preflight import fates, leftovers, names, retirement, rights, tables, writers
from rehome.verify import comparison, report


class Retiring(Way):
    """What the steps of a retirement, of its undo and of its end share.

    Each raises Refused where the move can't go that way, as soon as it is made.
    """

    again = "the command"

    def validations(self, keys: Iterable[ForeignKey] | None) -> Iterator[Action]:
        """Validate the foreign keys that were added, as far as they are still there; blocks nobody."""
        for key in keys or ():
            yield dataclasses.replace(foreign_keys.validate(key), unless=functools.partial(self.is_gone, key))
        yield Do(lambda: self.advance(Phase(self.run.phase), self.record.keeping(unvalidated=None)))

    def is_gone(self, key: ForeignKey) -> bool:
        return not self.stands(key)

    def stands(self, key: ForeignKey) -> bool:
        return catalog.is_validated(self.plan.connection, key.schema, key.table, key.name) is not None


class Retire(Retiring):
    """The steps of a retirement, or those that repair one."""

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        self.retired = state.is_retired(plan, run)
        super().__init__(plan, run if self.retired else retirement.check(plan, run))

    def go(self) -> None:
        """Compare every row, then replace the old tables by views in one short transaction. After a failure the move
        is live as before. Where the move is retired, repair its views, and do what a crash left undone.
        """
        self.show("retired" if self.retired else "retiring", steps=1 if self.retired else 3)
        if not self.retired:
            self.name(fates.Way.RETIRE)
        self.take(self.steps())

    def steps(self) -> Iterator[Step]:
        failed = "The move is retired."
        if self.retired:
            yield Held("Repair", "", failed, self.repair)
            yield Step("Repair", "", failed, lambda: enforcement.repair(self.plan))
            yield Whole("Labels", "", failed, self.settle_labels)
        else:
            nothing = "Nothing has been retired."
            yield Whole("Repair", "", nothing, self.renew_triggers)
            yield Whole("Labels", "", nothing, self.settle_labels)
            yield Step("Compare", "compare every row", nothing, lambda: [Do(self.refuse_unequal)])
            yield Whole("Retire", "replace the old tables by views", nothing, self.replace_by_views)
        says = "views and foreign keys" if self.retired else "validate foreign keys"
        yield Step("Settle", says, failed, lambda: self.validations(self.record.unvalidated))

    def repair(self) -> Iterator[Action]:
        plan = self.plan
        names.refuse_adopted(plan, made.of_retired(plan, self.record))
        rights.refuse_strangers_code(plan)
        others = [
            *made.withdraw(plan, made.of_retired(plan, self.record)),
            *next_keys.repair(plan, self.session, self.record),
            *ledger_rights.repair(plan),
        ]
        if others:
            yield Group(tuple(others))
        if repaired := standing_views.repair(plan, self.record):
            yield Group(tuple(repaired))
            yield Do(lambda: self.advance(Phase.RETIRED, standing_views.to_keep_repaired(self.plan, self.record)))
        if lives.find_defects(self.plan, self.record):
            yield Group(tuple(lives.create(resolve.plan_of(self.plan, self.record, own_names=True))))

    def renew_triggers(self) -> Iterator[Action]:
        """As `migrate` does, where another version made them, or a role was granted something since.

        Where one is missing it is not created: which one it is tells which side of rows that differ is the newer one.
        """
        repaired = both.repair(self.plan, self.record) if sync.state(self.plan) != "missing" else []
        yield from repaired
        if repaired:
            yield Do(self.read_again)

    def read_again(self) -> None:
        self.plan = renew(self.plan)

    def refuse_unequal(self) -> None:
        found = report.verify(self.plan, self.session, self.record)
        self.ledger.record_verification(self.run, found.as_json())
        # Triggers are put in order by the retirement itself.
        if not dataclasses.replace(found, triggers=()).ok:
            raise Refused(
                f"Verification of {self.plan} failed, and retiring its old table would hide what is wrong.",
                f"Run `manage.py verifymoves {self.plan.move.target}`, which says what is wrong and how to cure it.",
            )

    def replace_by_views(self) -> Iterator[Action]:
        """All locks first: nobody waits for longer than the catalog takes to change."""
        plan = self.plan
        keys = foreign_keys.read(plan)
        incoming = foreign_keys.to_sources(keys, plan)
        yield from locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE")
        renewed = renew(plan)
        yield Do(lambda: retirement.check_sources(renewed))
        yield sync.require(plan)
        yield from self.settle_labels(renewed, stays=False)
        yield from project_triggers.repair(plan, self.record)
        yield from project_triggers.retire(plan)
        yield from (foreign_keys.drop(key) for key in foreign_keys.of_sources(keys, plan))
        for key, end in foreign_keys.counterparts(incoming, plan):
            yield from foreign_keys.move(key, end) if end else ()
        yield from sync.drop_triggers(plan)
        yield from writes.close(plan)
        yield from grants.carry(plan)
        yield from aside.put_away(plan)
        yield from lives.create(plan)
        for pair in plan.pairs:
            yield from views.create(pair, plan)
        yield Do(lambda: self.try_writes(plan, self.record, views=True))
        self.record = project_triggers.to_keep_retired(plan, Record.of(self.run)).keeping(
            foreign_keys=tuple(map(foreign_keys.to_keep, foreign_keys.of_sources(keys, plan))),
            unvalidated=validated(*incoming),
        )
        yield Do(lambda: self.advance(Phase.RETIRED, self.record | self.to_keep()))
        yield from aside.close(plan)

    def to_keep(self) -> Record:
        """What the undo and the verification need, once the views are there."""
        before, added = self.record.grants, grants.to_keep(self.plan).grants
        return Record(
            aside=aside.to_keep(self.plan),
            grants=before | {table: (*before.get(table, ()), *given) for table, given in added.items()},
            ends=foreign_keys.new_ends(self.plan),
            views=standing_views.to_keep(self.plan),
        )


# ----- and back


class Unretire(Retiring):
    """The steps of the undo of a retirement, or those that are left of one."""

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        self.live = run is not None and run.phase == Phase.LIVE
        super().__init__(plan, run if self.live else retirement.check_retired(plan, run))
        self.old = plan if self.live else resolve.plan_of(plan, self.record, own_names=True)
        self.noted = lives.noted(self.old)
        self.session = steps.open_session(self.old)

    def go(self) -> None:
        """Fill the old tables with what was written since; give them their names, triggers and foreign keys again.

        After a failure the move is as retired as before. Where it is live already, do what a crash left undone.
        """
        if not self.live:
            self.check()
        self.show("unretiring", steps=1 if self.live else 3)
        if not self.live:
            self.name(fates.Way.UNRETIRE)
        self.take(self.steps())

    def check(self) -> None:
        tables.refuse_moved_on(self.plan)
        retirement.check_views(self.plan, self.old)
        writers.refuse_unfit_owners(self.plan)
        rights.refuse_strangers_code(self.old)
        writers.refuse_lent_rights(self.old, views=[pair.source for pair in self.plan.pairs])

    def steps(self) -> Iterator[Step]:
        retired = "The move is still retired."
        if not self.live:
            yield Held("Fill", "fill the old tables", retired, self.fill, isolation="REPEATABLE READ")
            says = "compare every row, replace the views by the old tables"
            yield Held("Unretire", says, retired, self.replace_by_tables)
        yield Step("Foreign keys", "foreign keys", "The move is live again.", self.revert_keys)

    @property
    def views(self) -> list[StandingView]:
        return standing_views.find(self.plan, self.record)

    @property
    def afterwards(self) -> Plan:
        """The plan as its tables are once the keys that were moved off the sources have left the targets."""
        gone = {(key.schema, key.table, key.name) for key in self.moved_keys()}
        pairs = []
        for pair in self.old.pairs:
            stay = tuple(k for k in pair.target.incoming if (k.schema, k.table, k.name) not in gone)
            pairs.append(dataclasses.replace(pair, target=dataclasses.replace(pair.target, incoming=stay)))
        return dataclasses.replace(self.old, pairs=tuple(pairs))

    def fill(self) -> Iterator[Action]:
        """Beside everybody; what is written meanwhile follows when the tables change places."""
        aside = resolve.plan_of(self.plan, self.record, own_names=False)
        for named, pair in zip(self.old.pairs, aside.pairs, strict=True):
            yield rows.refill(pair, lives.is_as_it_was(named) if named in self.noted else sql.ALWAYS)
        yield sql.check_now()

    def replace_by_tables(self) -> Iterator[Action]:
        """Who reads a view waits until the commit, who reads a target does not."""
        yield Do(lambda: retirement.check_views(self.plan, self.old))
        yield Group(tuple(self.replace_views()))
        yield from map(lives.follow, self.noted)
        yield from map(rows.refill, self.old.pairs)
        # What is checked at the end of a transaction would forbid the ALTER TABLEs that follow.
        yield sql.check_now()
        yield Group(tuple(project_triggers.unretire(self.old, self.record)))
        for pair in self.old.pairs:
            yield from self.derive(pair) if pair.derived else ()
        yield Do(self.refuse_unequal)
        yield Group(tuple(sync.install(self.old)))
        yield Group(tuple(lives.stop(self.noted)))
        yield from self.settle_labels(self.old, stays=self.plan.move.identity == "retire")
        yield Do(self.record_back)

    def derive(self, pair: TablePair) -> Iterator[Action]:
        """Readers of the target wait as well, where what keeps its values unique has to be built again."""
        query = rows.all_derived(pair).as_string()
        dropped, built = indexes.unique_of_derived(pair, self.old)
        changed = [*dropped, rows.derive(pair), sql.check_now(), *built]
        yield Group(
            tuple(changed),
            unless=lambda: bool(asking.value(self.plan.connection, query)),
            note="only where values of the old table have changed",
        )

    def replace_views(self) -> Iterator[Statement]:
        """The views are dropped before their targets are locked: a writer has them in this order too."""
        rights = {str(one.view): one.rights(self.plan.connection) for one in self.views}
        for pair in self.plan.pairs:
            yield from views.drop(pair)
        yield from locks.lock([pair.target for pair in self.plan.pairs], "SHARE ROW EXCLUSIVE")
        yield from aside.revert(self.old, rights)

    def refuse_unequal(self) -> None:
        found = comparison.compare(self.old, self.session)
        if not found.equal:
            shown = "; ".join(map(str, found.differences))
            raise MoveFailed(
                f"{self.plan}: {shown or 'the old table'} could not be synchronised with the target. Everything is "
                "undone, and the move is still retired. Correct these rows in the target, then run the command again."
            )

    def record_back(self) -> None:
        unvalidated = validated(*self.own_keys(), *self.moved_keys())
        self.advance(Phase.LIVE, self.record.keeping(aside=None, ends={}, views={}, unvalidated=unvalidated))

    def revert_keys(self) -> Iterator[Action]:
        """Each in a transaction of its own; until then the target's foreign keys speak for both tables."""
        yield Group(tuple(lives.drop(self.old)))
        own, moved = self.own_keys(), self.moved_keys()
        for key in own:
            ours = str(key.end) in foreign_keys.source_names(self.old)
            added = foreign_keys.add(key if ours else foreign_keys.at_its_end(key, self.ledger))
            yield Group(tuple(added), unless=functools.partial(self.stands, key))
        for key in moved:
            yield Group(tuple(foreign_keys.move(key, foreign_keys.home_of(key))))
        # What a run has recorded when it unretired the tables.
        unvalidated = self.record.unvalidated
        yield from self.validations(validated(*own, *moved) if unvalidated is None else unvalidated)
        yield Do(lambda: self.advance(Phase.LIVE, self.record.keeping(foreign_keys=None)))

    def own_keys(self) -> list[ForeignKey]:
        return list(self.record.foreign_keys or ())

    def moved_keys(self) -> list[ForeignKey]:
        return foreign_keys.moved_off(foreign_keys.read(self.old), self.old)


def validated(*keys: ForeignKey) -> tuple[ForeignKey, ...]:
    """Of those that have been validated, what a run keeps until they are again."""
    return tuple(foreign_keys.to_keep(key) for key in keys if key.validated)


# ----- and for good


class Drop(Retiring):
    """Drop the rows that were set aside; the views stay, and there is no way back."""

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        super().__init__(plan, retirement.check_retired(plan, run))
        self.old = resolve.plan_of(plan, self.record, own_names=False)
        self.session = steps.open_session(self.old)

    def go(self) -> None:
        self.check()
        self.show("dropping", steps=1)
        self.name(fates.Way.DROP, self.old)
        self.take(self.steps())

    def steps(self) -> Iterator[Step]:
        yield Held("Drop", "drop what was set aside", "Nothing has been dropped.", self.drop_aside)

    def drop_aside(self) -> Iterator[Action]:
        """A sequence that the view's new rows are numbered by is the view's from now on."""
        old = self.old
        yield Group(tuple(locks.lock([pair.source for pair in old.pairs], "ACCESS EXCLUSIVE")))
        yield Do(self.check)
        statements = repaired = standing_views.repair(self.plan, self.record)
        for named, pair in zip(self.plan.pairs, old.pairs, strict=True):
            statements = [*statements, *views.keep_sequences(named.source, pair.source)]
        dropped = [
            *lives.drop(self.plan),
            sql.drop_tables(pair.source for pair in old.pairs),
            *writes.forget(self.plan),
        ]
        yield Group((*statements, *dropped))
        yield Do(lambda: self.record_dropped(repaired=bool(repaired)))

    def check(self) -> None:
        leftovers.refuse(fates.Way.DROP, self.old, views=[pair.source for pair in self.plan.pairs])

    def record_dropped(self, *, repaired: bool) -> None:
        kept = standing_views.to_keep_repaired(self.plan, self.record) if repaired else self.record
        self.advance(Phase.RETIRED, kept.keeping(foreign_keys=None, aside={}))
