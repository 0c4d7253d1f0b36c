"""The default way: the rows go in one transaction, and writers of the source wait for it."""

from collections.abc import Iterator

from rehome.models import MoveRun, Phase
from rehome.moves import both, state, steps
from rehome.moves.steps import Action, Do, Held, Now, Step, Whole
from rehome.moves.way import NOTHING, Way
from rehome.parts import (
    enforcement,
    foreign_keys,
    grants,
    identity,
    indexes,
    project_triggers,
    revoked,
    rows,
    sequences,
    sync,
    writes,
)
from rehome.plan.plan import Plan
from rehome.plan.resolve import renew
from rehome.postgres import locks, sql
from rehome.postgres.session import Group
from rehome.preflight import checks, notices, writers
from rehome.verify import comparison


class Transactional(Way):
    """The steps of one move, from the beginning, or from where it is live."""

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        super().__init__(plan, run)
        self.fresh = run is None or not state.is_live(plan, run)
        if self.fresh:
            kept = foreign_keys.to_keep_of(plan) | sequences.to_keep(plan)
            self.record = kept | project_triggers.to_keep(plan)

    def steps(self) -> Iterator[Step]:
        yield from self.move() if self.fresh else self.repair()
        yield from self.settle()

    def go(self) -> None:
        """Prepare, then everything else in one transaction; whatever fails, the tables are left as they were."""
        noticed = []
        if self.fresh:
            checks.check_forward(self.plan, self.ledger)
            no_return = f"; there is no way back: {'; '.join(self.plan.irreversible)}" if self.plan.irreversible else ""
            self.show("moving", steps=6, note=no_return)
            self.begin(self.move())
            identity.forget_cached()
            noticed = notices.find(self.plan)
        else:
            self.show("settling", steps=1)
            for defect in revoked.find_defects(self.plan, self.record):
                self.progress.note(f"{defect.text} {defect.cure}")
            self.take(self.repair())
        self.take(self.settle())
        for notice in noticed:
            self.progress.note(notice)

    def move(self) -> Iterator[Step]:
        yield Step("Prepare", "drop the target's foreign keys", NOTHING, self.prepare)
        copied = f"copy {', '.join(str(pair.source) for pair in self.plan.pairs)}"
        yield Held("Move", copied, NOTHING, self.copy)

    def prepare(self) -> Iterator[Action]:
        """What needs a lock that others would notice, or that a waiting writer who has read the source would hold: each
        group is a short transaction of its own.
        """
        yield from foreign_keys.put_away(self.plan)
        if silenced := project_triggers.put_away(self.plan):
            yield Group(tuple(silenced))
        if shared := sequences.share(self.plan):
            yield Group((*locks.lock(steps.tables_of(self.plan), "ACCESS EXCLUSIVE"), *shared))

    def copy(self) -> Iterator[Action]:
        """Copy, build, compare, and only then what others would notice, just before the commit."""
        plan = self.plan
        yield Group(tuple(self.enter()))
        yield Do(lambda: checks.check_target_empty(plan))
        yield from indexes.put_away(plan)
        yield from rows.copy_all(plan)
        yield Now("build indexes")
        yield from indexes.build(plan)
        yield Now("compare every row")
        compared: list[comparison.Comparison] = []
        yield Do(lambda: compared.append(comparison.compare(plan, self.session)))
        yield Do(lambda: both.refuse_differences(plan, compared[0]))
        yield Now("triggers, permissions")
        names = identity.read_identity(plan, self.session)
        # A cascade that one side alone had would leave its rows on the other. Django's own keys have none.
        yield Do(lambda: writers.refuse_lent_rights(plan, granting=True))
        yield Group((*both.switch(plan, names, self.record), *foreign_keys.add_foreign_keys(plan, acting=True)))
        yield Do(lambda: self.try_writes(plan, self.record))
        yield from writes.restart(plan)
        yield Do(lambda: self.record_moved(names, compared[0].target_rows))

    def enter(self) -> Iterator[sql.Statement]:
        """Until the commit, the source is read and nobody else touches the target. No lock of the source is raised
        later: a writer who has read the source and waits to write to it would be waited for.
        """
        yield from locks.lock([pair.source for pair in self.plan.pairs], "SHARE ROW EXCLUSIVE")
        yield sql.lock([pair.target for pair in self.plan.pairs], "ACCESS EXCLUSIVE")
        yield from sync.lower_fence(self.plan)

    def record_moved(self, names: identity.Identity | None, copied: int) -> None:
        kept = grants.to_keep(self.plan) | self.to_keep_labels(names)
        self.advance(Phase.MOVED, project_triggers.to_keep_live(self.plan, self.record) | kept, rows=copied)

    def repair(self) -> Iterator[Step]:
        failed = "The move is live; missing triggers or sequences could not be repaired."
        yield Whole("Repair", "", failed, lambda: both.repair(self.plan, self.record))
        yield Whole("Labels", "", failed, self.settle_labels)

    def settle(self) -> Iterator[Step]:
        settling = "The rows have been moved and both tables are in sync; only the settling is left."
        yield Step("Settle", "foreign keys, statistics", settling, self.settled)

    def settled(self) -> Iterator[Action]:
        """Vacuum, add and validate the foreign keys; a failure leaves a move that is complete, and the next run settles
        it.

        Before the commit they would wait for writers of the tables that they point at, who may wait for the source.
        Until they are there, those of the source hold, for every write to the target is carried there.
        """
        plan = renew(self.plan)
        yield from indexes.vacuum(plan)
        yield from enforcement.repair(plan)
        if self.fresh or self.run.phase == Phase.MOVED:
            yield from foreign_keys.build(plan, self.record.dropped_keys)
        else:  # A later migration may have dropped one on purpose.
            yield from foreign_keys.validations(plan)
        yield Do(lambda: self.advance(state.settled(self.plan)))
