"""The way that lets everybody write: batches beside a trigger, concurrent builds, one short switch at the end.

    PREPARED  --enter-->  COPYING  --copy-->  BUILDING  --build, compare, switch-->  LIVE

Each phase is recorded in the transaction that completes it, so the next run goes on from there; `resume.give_up` leads
from any of them back to where the move had not begun.
"""

from collections.abc import Iterator

from rehome.errors import MoveFailed
from rehome.models import MoveRun, Phase
from rehome.moves import both, resume, steps
from rehome.moves.steps import Action, Batches, Do, Step, Watched, Whole
from rehome.parts import batches, foreign_keys, grants, identity, indexes, rows, sequences, sync
from rehome.parts.batches import Rewritten
from rehome.plan.ledger import Ledger
from rehome.plan.phases import PHASES
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Checkpoint, Record
from rehome.plan.resolve import renew
from rehome.postgres import locks, waiting
from rehome.preflight import checks, notices
from rehome.terminal import Pace, Progress, stoppable
from rehome.verify import comparison

STEPS = 7
DONE = {Phase.COPYING: 2, Phase.BUILDING: 3}
"""Steps that a run has behind it when it goes on from a phase."""
NOTHING = "Nothing has been moved."
RESUMABLE = "What is copied stays, and a run that follows goes on with it."


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Begin the move, or go on where an earlier run stopped.

    A copy that can't be gone on with, because the plan or the tables have changed since, starts over.
    """
    begun = run if run and PHASES[Phase(run.phase)].interrupted else None
    reason = resume.why_start_over(plan, begun) if begun else ""
    resumed = None if reason else begun
    progress = Progress(
        f"{plan}: {'going on' if resumed else 'moving'} online, database {plan.connection.alias!r}",
        steps=STEPS,
        done=DONE[Phase(resumed.phase)] if resumed else 0,
    )
    with stoppable(plan):
        if resumed is None:
            if begun:
                with steps.explained(plan, NOTHING):
                    progress.note(f"Starting over, for {reason}.")
                    resume.give_up(plan, ledger, begun)
                plan = renew(plan)
            checks.check_beside_writers(plan, ledger)
        way = Online(plan, ledger, resumed, progress)
        if resumed is None:
            way.begin_run()
        steps.run(way.finish(), plan, way.session, progress)
    progress.note(way.summary())
    for notice in notices.find(plan):
        progress.note(notice)


class Online:
    """The steps of one move online: all of them, or those that are left for a run that goes on."""

    def __init__(self, plan: Plan, ledger: Ledger, run: MoveRun | None, progress: Progress) -> None:
        self.plan = plan
        self.ledger = ledger
        self.run = run
        self.progress = progress
        self.record = Record.of(run) if run else indexes.to_keep(plan, beside_writers=True)
        self.session = steps.open_session(plan)
        self.session.waits = progress.waits
        self.stamps: object = None
        self.rows = 0

    def steps(self) -> Iterator[Step]:
        yield from self.begin()
        yield from self.finish()

    # ----- up to the moment from which every write is carried

    def begin_run(self) -> None:
        """Whatever fails, the target is left as it was."""
        self.record |= Record(plan=resume.fingerprint(self.plan))
        with steps.explained(self.plan, NOTHING), self.session.transaction():
            self.run = run = self.ledger.begin(self.plan, self.record)
        with steps.undone_on_failure(self.plan, lambda: resume.give_up(self.plan, self.ledger, run)):
            steps.run(self.begin(), self.plan, self.session, self.progress)
        self.plan = renew(self.plan)

    def begin(self) -> Iterator[Step]:
        put_away = indexes.put_away(self.plan, beside_writers=True)
        yield Step("Prepare", "put the target's indexes and foreign keys away", NOTHING, lambda: put_away)
        yield Whole("Carry", "carry new writes", NOTHING, self.enter)

    def enter(self) -> Iterator[Action]:
        """One short transaction, which no write is under way in: from its commit on each is carried to the target."""
        yield from both.lock_both(self.plan)
        yield Do(lambda: checks.check_target_empty(self.plan))
        yield from sync.install(self.plan, copying=True)
        yield Do(lambda: self.advance(Phase.COPYING))

    def advance(self, phase: Phase, rows: int | None = None) -> None:
        assert self.run is not None  # noqa: S101  It has begun.
        self.ledger.advance(self.run, phase, record=self.record, rows=rows)

    # ----- what is left then; after a crash in any of it, it begins again and finds its place

    def finish(self) -> Iterator[Step]:
        if self.run is None or self.run.phase != Phase.BUILDING:
            copied = f"copy {', '.join(str(pair.source) for pair in self.plan.pairs)}"
            yield Batches("Copy", copied, RESUMABLE, self.whole_copy, copy=self.copy)
        yield Watched("Build", "build indexes", RESUMABLE, lambda: indexes.build_beside_writers(self.plan, self.record))
        yield Watched("Build", "foreign keys", RESUMABLE, lambda: foreign_keys.build(self.plan, self.record))
        yield Step("Settle", "compare every row", RESUMABLE, self.compare)
        yield Whole("Switch", "switch: sequences, triggers, permissions", RESUMABLE, self.switch)

    def whole_copy(self) -> Iterator[Action]:
        """As one batch of all blocks."""
        for pair in self.plan.pairs:
            yield rows.pass_fence()
            yield rows.copy_blocks(pair.forward, 0, batches.start(self.session, pair).blocks)

    def copy(self) -> None:
        for pair in self.plan.pairs:
            self.copy_pair(pair)
        self.advance(Phase.BUILDING)

    def copy_pair(self, pair: TablePair) -> None:
        checkpoint = self.record.copied.get(str(pair.target)) or batches.start(self.session, pair)
        pace = Pace(done=checkpoint.block, rows=checkpoint.rows)
        courtesy = waiting.Courtesy(self.session, [pair.source.oid])

        def between(reached: Checkpoint) -> None:
            courtesy.pause()
            waiting.wait(self.session, self.progress.waits)
            come = pace.describe(reached.rows, done=reached.block, whole=reached.blocks)
            self.progress.detail(f"{pair.source} {come}")
            courtesy.resume()

        while not checkpoint.done:
            try:
                checkpoint = batches.copy(self.session, pair, checkpoint, lambda c: self.save(pair, c), between)
            except Rewritten:
                self.progress.note(f"{pair.source} was rewritten meanwhile: its copy starts over.")
                checkpoint = batches.start(self.session, pair)

    def save(self, pair: TablePair, checkpoint: Checkpoint) -> None:
        self.record = self.record.keeping(copied={**self.record.copied, str(pair.target): checkpoint})
        self.advance(Phase.COPYING, sum(saved.rows for saved in self.record.copied.values()))

    def compare(self) -> Iterator[Action]:
        """The plan is resolved again, for it was made while the indexes and keys were away."""
        self.plan = renew(self.plan)
        yield from indexes.vacuum(self.plan)
        yield Do(self.compare_in_snapshot)

    def compare_in_snapshot(self) -> None:
        """In one snapshot, in which everything that was written is on both sides.

        After a difference the move is given up, for nothing says which of its rows can be trusted.
        """
        assert self.run is not None  # noqa: S101  It has begun.
        self.stamps = sync.stamps(self.plan)
        with self.session.snapshot():
            found = comparison.compare(self.plan, self.session)
        if not found.equal:
            resume.give_up(self.plan, self.ledger, self.run)
            both.refuse_differences(self.plan, found)
        self.rows = found.target_rows

    def switch(self) -> Iterator[Action]:
        """One short transaction: the fence falls, both tables live."""
        yield from locks.lock(steps.tables_of(self.plan), "ACCESS EXCLUSIVE")
        plan = renew(self.plan)
        yield Do(lambda: self.refuse_changes(plan))
        names = identity.read_identity(plan, self.session)
        record = self.record | sequences.to_keep(plan) | grants.to_keep(plan)
        yield from sync.remove(plan, copying=True)
        yield from sequences.share(plan)
        yield from both.switch(plan, names)
        yield Do(lambda: self.record_live(record | identity.to_keep(names, self.session)))

    def refuse_changes(self, plan: Plan) -> None:
        """What was compared is what is switched to."""
        assert self.run is not None  # noqa: S101  It has begun.
        if why := resume.why_start_over(plan, self.run):
            raise MoveFailed(f"{plan}: {why}. Nothing is switched; run the migration again, which starts over.")
        if sync.stamps(plan) != self.stamps:
            raise MoveFailed(
                f"{plan}: somebody changed a trigger after the comparison. Nothing is switched; run the migration "
                "again, which compares again."
            )

    def record_live(self, record: Record) -> None:
        assert self.run is not None  # noqa: S101  It has begun.
        self.ledger.advance(self.run, Phase.LIVE, rows=self.rows, record=record)
        identity.forget_cached()

    def summary(self) -> str:
        retries = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.session.retries.items()))
        return f"Tried again after {retries}." if retries else "Nothing had to be tried again."
