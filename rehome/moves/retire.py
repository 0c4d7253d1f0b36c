"""Retire: the old table becomes a view of the new one, with its rows set aside, and can come back."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

from rehome.errors import MoveFailed, Refused
from rehome.models import MoveRun, Phase
from rehome.moves import state, steps
from rehome.moves.steps import Action, Do, Held, Step, Whole
from rehome.parts import aside, foreign_keys, grants, rows, standing_views, sync, views, writes
from rehome.plan import resolve
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Json, Record
from rehome.postgres import catalog, locks, sql
from rehome.postgres.session import Group
from rehome.postgres.sql import Statement
from rehome.postgres.tables import ForeignKey
from rehome.preflight import retirement, tables
from rehome.terminal import Progress
from rehome.verify import comparison, report

AGAIN = "the command"


def retire(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Compare every row, then let views take the old tables' places in one short transaction.

    Raises Refused or MoveFailed with nothing changed. Where the move is retired, its views are mended, and what a
    crash left is made up for.
    """
    database = f"database {plan.connection.alias!r}"
    if run is not None and state.is_retired(plan, run):
        way = Retire(plan, ledger, run)
        progress = Progress(f"{plan}: retired, {database}", steps=1)
    else:
        way = Retire(plan, ledger, retirement.check(plan, run))
        progress = Progress(f"{plan}: retiring, {database}", steps=3)
        with progress.step("compare every row"):
            way.refuse_unequal()
    steps.run(way.steps(), plan, way.session, progress, again=AGAIN)


class Way:
    """What the steps of a retirement, of its undo and of its end share."""

    def __init__(self, plan: Plan, ledger: Ledger, run: MoveRun) -> None:
        self.plan = plan
        self.ledger = ledger
        self.run = run
        self.record = Record.of(run)
        self.session = steps.open_session(plan)

    def advance(self, phase: Phase, record: Record) -> None:
        self.record = record
        self.ledger.advance(self.run, phase, record=record)

    def validations(self, keys: Iterable[Json] | None) -> Iterator[Action]:
        """Validate the foreign keys that were added, as far as they are still there; blocks nobody."""
        for key in map(foreign_keys.from_json, keys or ()):
            gone = functools.partial(self.is_gone, key)
            yield dataclasses.replace(foreign_keys.validate(key), unless=gone)
        yield Do(lambda: self.advance(Phase(self.run.phase), self.record.keeping(unvalidated=None)))

    def is_gone(self, key: ForeignKey) -> bool:
        return not self.stands(key)

    def stands(self, key: ForeignKey) -> bool:
        return catalog.is_validated(self.session.connection, key.schema, key.table, key.name) is not None


class Retire(Way):
    """The steps of a retirement, or those that repair one."""

    def steps(self) -> Iterator[Step]:
        failed = "The move is retired."
        if state.is_retired(self.plan, self.run):
            yield Held("Mend", "", failed, self.repair)
            yield Step("Settle", "views and foreign keys", failed, lambda: self.validations(self.record.unvalidated))
        else:
            says = "put views in the old tables' places"
            yield Whole("Retire", says, "Nothing has been retired.", self.replace_by_views)
            yield Step("Settle", "validate foreign keys", failed, lambda: self.validations(self.record.unvalidated))

    def repair(self) -> Iterator[Action]:
        if repaired := standing_views.repair(self.plan, self.record):
            yield Group(tuple(repaired))
            yield Do(lambda: self.advance(Phase.RETIRED, standing_views.to_keep_repaired(self.plan, self.record)))

    def refuse_unequal(self) -> None:
        found = report.verify(self.plan, self.session, self.record)
        self.ledger.record_verification(self.run, found.as_json())
        if not found.ok:
            raise Refused(
                f"{self.plan} is not in order, and retiring its old table would hide that.",
                f"Run `manage.py verifymoves {self.plan.move.target}`, which says what is wrong and how to cure it.",
            )

    def replace_by_views(self) -> Iterator[Action]:
        """All locks first: nobody waits for longer than the catalog takes to change."""
        plan = self.plan
        keys = foreign_keys.read(plan)
        incoming = foreign_keys.to_sources(keys, plan)
        yield from locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE")
        yield sync.require(plan)
        yield from (foreign_keys.drop(key) for key in foreign_keys.of_sources(keys, plan))
        for key, end in foreign_keys.counterparts(incoming, plan):
            yield from foreign_keys.move(key, end) if end else ()
        yield from sync.drop_triggers(plan)
        yield from grants.carry(plan)
        yield from aside.put_away(plan)
        for pair in plan.pairs:
            yield from views.create(pair, plan.search_path)
        self.record = Record.of(self.run).keeping(
            foreign_keys=tuple(map(foreign_keys.as_json, foreign_keys.of_sources(keys, plan))),
            unvalidated=validated(*incoming),
        )
        yield Do(lambda: self.advance(Phase.RETIRED, self.record | self.to_keep()))

    def to_keep(self) -> Record:
        """When the views stand, what `unretire` and the verification need."""
        granted = dict(self.record.grants)
        for table, added in grants.to_keep(self.plan).grants.items():
            granted[table] = (*granted.get(table, ()), *added)
        return Record(
            aside=aside.to_keep(self.plan),
            grants=granted,
            ends=foreign_keys.new_ends(self.plan),
            views=standing_views.to_keep(self.plan),
        )


# ----- and back


def unretire(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Fill the old tables with what was written since, and give them their names, triggers and foreign keys again.

    Raises Refused, or MoveFailed with the move as retired as before. Where the move is live already, only what a
    crash left is made up for.
    """
    back = run is not None and run.phase == Phase.LIVE
    if run is None or not back:
        run = retirement.check_retired(plan, run)
        tables.refuse_moved_on(plan)
    progress = Progress(f"{plan}: bringing back, database {plan.connection.alias!r}", steps=1 if back else 3)
    way = Unretire(plan, ledger, run)
    steps.run(way.steps(), plan, way.session, progress, again=AGAIN)


class Unretire(Way):
    """The steps of the undo of a retirement, or those that are left of one."""

    def __init__(self, plan: Plan, ledger: Ledger, run: MoveRun) -> None:
        super().__init__(plan, ledger, run)
        self.old = plan if run.phase == Phase.LIVE else resolve.plan_of(plan, run, own_names=True)
        self.session = steps.open_session(self.old)

    def steps(self) -> Iterator[Step]:
        retired = "The move is still retired."
        if self.run.phase != Phase.LIVE:
            yield Held("Fill", "fill the old tables", retired, self.fill, isolation="REPEATABLE READ")
            says = "compare every row, put the old tables in the views' places"
            yield Held("Bring back", says, retired, self.return_tables)
        yield Step("Foreign keys", "foreign keys", "The old tables are back.", self.restore_keys)

    @property
    def afterwards(self) -> Plan:
        """The plan as its tables are once the keys that were moved off the sources have left the targets."""
        gone = {(key.schema, key.table, key.name) for key in self.returning_keys()}
        pairs = []
        for pair in self.old.pairs:
            stay = tuple(k for k in pair.target.incoming if (k.schema, k.table, k.name) not in gone)
            pairs.append(dataclasses.replace(pair, target=dataclasses.replace(pair.target, incoming=stay)))
        return dataclasses.replace(self.old, pairs=tuple(pairs))

    def fill(self) -> Iterator[Action]:
        """Beside everybody; what is written meanwhile follows when the tables change places."""
        yield from refill(resolve.plan_of(self.plan, self.run, own_names=False))

    def return_tables(self) -> Iterator[Action]:
        """Who reads a view waits until the commit, who reads a target does not."""
        yield Group(tuple(self.replace_views()))
        yield from refill(self.old)
        yield Do(self.refuse_unequal)
        yield Group(tuple(sync.install(self.old)))
        yield Do(self.record_back)

    def replace_views(self) -> Iterator[Statement]:
        """The views are dropped before their targets are locked: a writer has them in this order too."""
        stood = {str(pair.source): pair.source for pair in self.plan.pairs if pair.source.kind == "v"}
        for pair in self.plan.pairs:
            yield from views.drop(pair)
        yield from locks.lock([pair.target for pair in self.plan.pairs], "SHARE ROW EXCLUSIVE")
        yield from aside.revert(self.old)
        for pair in self.old.pairs:
            if view := stood.get(str(pair.source)):
                yield from grants.change("TABLE", sql.name(view), pair.source.grants, view.grants)

    def refuse_unequal(self) -> None:
        found = comparison.compare(self.old, self.session)
        if not found.equal:
            shown = "; ".join(map(str, found.differences))
            raise MoveFailed(
                f"{self.plan}: {shown or 'the old table'} can't be made what the target is. Everything is undone, and "
                "the move is still retired. Correct the rows that are named in the target, then run the command again."
            )

    def record_back(self) -> None:
        unvalidated = validated(*self.own_keys(), *self.returning_keys())
        self.advance(Phase.LIVE, self.record.keeping(aside=None, ends={}, views={}, unvalidated=unvalidated))

    def restore_keys(self) -> Iterator[Action]:
        """Each in a transaction of its own; until then the target's foreign keys speak for both tables."""
        own, returning = self.own_keys(), self.returning_keys()
        for key in own:
            ours = str(key.end) in foreign_keys.source_names(self.old)
            added = foreign_keys.add(key if ours else foreign_keys.at_its_end(key, self.ledger))
            yield Group(tuple(added), unless=functools.partial(self.stands, key))
        for key in returning:
            yield Group(tuple(foreign_keys.move(key, foreign_keys.home_of(key))))
        # What a run has recorded when it put the tables back.
        unvalidated = self.record.unvalidated
        yield from self.validations(validated(*own, *returning) if unvalidated is None else unvalidated)
        yield Do(lambda: self.advance(Phase.LIVE, self.record.keeping(foreign_keys=None)))

    def own_keys(self) -> list[ForeignKey]:
        return [foreign_keys.from_json(record) for record in self.record.foreign_keys or ()]

    def returning_keys(self) -> list[ForeignKey]:
        return foreign_keys.moved_off(foreign_keys.read(self.old), self.old)


def validated(*keys: ForeignKey) -> tuple[Json, ...]:
    """Of those that have been validated, what a run keeps until they are again."""
    return tuple(foreign_keys.as_json(key) for key in keys if key.validated)


def refill(plan: Plan) -> Iterator[Statement]:
    yield from (rows.refill(pair) for pair in plan.pairs)
    # What is checked at the end of a transaction would forbid the ALTER TABLEs that follow.
    yield sql.check_now()


# ----- and for good


def drop(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Drop the rows that were set aside; the views stay, and there is no way back."""
    way = Drop(plan, ledger, retirement.check_retired(plan, run))
    progress = Progress(f"{plan}: dropping, database {plan.connection.alias!r}", steps=1)
    steps.run(way.steps(), plan, way.session, progress, again=AGAIN)


class Drop(Way):
    """The one step by which nothing is left to come back."""

    def steps(self) -> Iterator[Step]:
        yield Held("Drop", "drop what was set aside", "Nothing has been dropped.", self.drop_aside)

    def drop_aside(self) -> Iterator[Action]:
        """A sequence that the view's new rows are numbered by is the view's from now on."""
        old = resolve.plan_of(self.plan, self.run, own_names=False)
        statements = standing_views.repair(self.plan, self.record)
        for named, pair in zip(self.plan.pairs, old.pairs, strict=True):
            statements += views.keep_sequences(named.source, pair.source)
        statements += [sql.drop_tables(pair.source for pair in old.pairs), *writes.forget(self.plan)]
        yield Group(tuple(statements))
        dropped = self.record.keeping(foreign_keys=None, aside={})
        yield Do(lambda: self.advance(Phase.RETIRED, dropped))
