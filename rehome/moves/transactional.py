"""The default way: the rows go in one transaction, and writers of the source wait for it."""

from collections.abc import Iterator

from rehome.models import MoveRun, Phase
from rehome.moves import both, resume, state, steps
from rehome.moves.steps import Action, Do, Held, Now, Step, Whole
from rehome.parts import foreign_keys, grants, identity, indexes, rows, sequences, sync
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import locks, sql
from rehome.postgres.session import Group
from rehome.preflight import checks, notices
from rehome.terminal import Progress
from rehome.verify import comparison

NOTHING = "Nothing has been moved."


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Move the rows, or finish the move that a crash cut short; where it is live, repair and settle it again."""
    if run and run.phase == Phase.PREPARED:
        resume.give_up(plan, ledger, run)
        plan, run = renew(plan), None
    way = Transactional(plan, ledger, run)
    if way.fresh:
        checks.check_forward(plan, ledger)
        way.move_rows()
        noticed = notices.find(plan)
    else:
        way.progress = Progress(f"{plan}: settling, database {plan.connection.alias!r}", steps=1)
        steps.run(way.repair(), plan, way.session, way.progress)
        noticed = []
    steps.run(way.settle(), plan, way.session, way.progress)
    for notice in noticed:
        way.progress.note(notice)


class Transactional:
    """The steps of one move, from the beginning, or from where it is live."""

    def __init__(self, plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
        self.plan = plan
        self.ledger = ledger
        self.fresh = run is None or not state.is_live(plan, run)
        self.run = run
        self.record = indexes.to_keep(plan) | sequences.to_keep(plan) if self.fresh or run is None else Record.of(run)
        """What the move puts away, and needs for its way back."""
        self.session = steps.open_session(plan)
        no_return = f"; there is no way back: {'; '.join(plan.irreversible)}" if plan.irreversible else ""
        self.progress = Progress(f"{plan}: moving, database {plan.connection.alias!r}{no_return}", steps=6)

    def steps(self) -> Iterator[Step]:
        yield from self.move() if self.fresh else self.repair()
        yield from self.settle()

    def move_rows(self) -> None:
        """Prepare, then everything else in one transaction; whatever fails, the tables are left as they were."""
        with steps.explained(self.plan, NOTHING), self.session.transaction():
            self.run = run = self.ledger.begin(self.plan, self.record)
        with steps.undone_on_failure(self.plan, lambda: resume.give_up(self.plan, self.ledger, run)):
            steps.run(self.move(), self.plan, self.session, self.progress)
        identity.forget_cached()

    def move(self) -> Iterator[Step]:
        yield Step("Prepare", "put the target's indexes and foreign keys away", NOTHING, self.prepare)
        copied = f"copy {', '.join(str(pair.source) for pair in self.plan.pairs)}"
        yield Held("Move", copied, NOTHING, self.copy)

    def prepare(self) -> Iterator[Action]:
        """What takes a lock that others would notice, or that a waiting writer who has read the source would not let
        go of: each group is a short transaction of its own.
        """
        yield from indexes.put_away(self.plan)
        if shared := sequences.share(self.plan):
            yield Group((*locks.lock(steps.tables_of(self.plan), "ACCESS EXCLUSIVE"), *shared))

    def copy(self) -> Iterator[Action]:
        """Copy, build, compare, and only then what others would notice, just before the commit."""
        plan = self.plan
        yield Group(tuple(self.enter()))
        yield Do(lambda: checks.check_target_empty(plan))
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
        yield Group((*both.switch(plan, names), *foreign_keys.add_foreign_keys(plan, acting=True)))
        yield Do(lambda: self.record_moved(names, compared[0].target_rows))

    def enter(self) -> Iterator[sql.Statement]:
        """Until the commit, the source is read and nobody else touches the target. No lock of the source is raised
        later: a writer who has read the source and waits to write to it would be waited for.
        """
        yield from locks.lock([pair.source for pair in self.plan.pairs], "SHARE ROW EXCLUSIVE")
        yield sql.lock([pair.target for pair in self.plan.pairs], "ACCESS EXCLUSIVE")
        yield from sync.lower_fence(self.plan)

    def record_moved(self, names: identity.Identity | None, copied: int) -> None:
        assert self.run is not None  # noqa: S101  It has begun.
        self.record |= grants.to_keep(self.plan) | identity.to_keep(names, self.session)
        self.ledger.advance(self.run, Phase.MOVED, rows=copied, record=self.record)

    def repair(self) -> Iterator[Step]:
        failed = "The move is live, and what it lacks is not mended."
        yield Whole("Mend", "", failed, lambda: both.repair(self.plan))

    def settle(self) -> Iterator[Step]:
        settling = "The rows have been moved and both tables are in step; only the settling is left."
        yield Step("Settle", "foreign keys, statistics", settling, self.settled)

    def settled(self) -> Iterator[Action]:
        """Vacuum, add and validate the foreign keys; a failure leaves a move that is complete, and the next run settles
        it.

        Before the commit they would wait for writers of the tables that they point at, who may wait for the source.
        Until they are there, those of the source hold, for every write to the target is carried there.
        """
        plan = renew(self.plan)
        yield from indexes.vacuum(plan)
        if self.fresh or (self.run and self.run.phase == Phase.MOVED):
            yield from foreign_keys.build(plan, self.record)
        else:  # A later migration may have dropped one on purpose.
            yield from foreign_keys.validations(plan)
        yield Do(self.record_settled)

    def record_settled(self) -> None:
        assert self.run is not None  # noqa: S101  It has been moved.
        self.ledger.advance(self.run, Phase.LIVE)
