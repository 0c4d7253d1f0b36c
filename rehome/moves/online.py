"""The way during which everybody writes: batches beside a trigger, concurrent builds, one short switch at the end.

    PREPARED  --enter-->  COPYING  --copy-->  BUILDING  --build, compare, switch-->  LIVE

Each phase is recorded in the transaction that completes it, so the next run resumes from there; `resume.cancel` leads
from any of them back to where the move had not begun.
"""

from collections.abc import Iterator

from rehome.errors import MoveFailed, Refused
from rehome.models import MoveRun, Phase
from rehome.moves import both, resume, state, steps
from rehome.moves.steps import Action, Batches, Do, Step, Watched, Whole
from rehome.moves.way import NOTHING, Way
from rehome.parts import (
    batches,
    foreign_keys,
    grants,
    identity,
    indexes,
    project_triggers,
    rows,
    sequences,
    sync,
    writes,
)
from rehome.parts.batches import Rewritten
from rehome.plan import edits
from rehome.plan.phases import standing
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Checkpoint, Record
from rehome.plan.resolve import renew
from rehome.postgres import locks, waiting
from rehome.postgres.session import Group
from rehome.preflight import checks, notices, writers
from rehome.terminal import Pace, stoppable
from rehome.verify import comparison

STEPS = 7
DONE = {Phase.COPYING: 2, Phase.BUILDING: 3}
"""Steps that are done when a run is resumed from a phase."""
CANCELLED = "The interrupted run of this move has been cancelled."
RESUMABLE = "Copied rows are kept, and the next run resumes from them."


class Online(Way):
    """The steps of one move online: all of them, or those that are left of an interrupted run."""

    stays = " Copied rows are kept."
    rows = 0

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        super().__init__(plan, run if run and standing(run).interrupted else None)
        if self.begun is None:
            self.record = to_keep(plan)

    def steps(self) -> Iterator[Step]:
        yield from self.prepare()
        yield from self.finish()

    def go(self) -> None:
        """Begin the move, or resume it. A copy starts over where the plan or the tables have changed since."""
        with stoppable(self.plan):
            reason = resume.why_start_over(self.plan, self.begun) if self.begun else ""
            if self.begun and not reason:
                self.show("resuming online", steps=STEPS, done=DONE[Phase(self.begun.phase)])
            else:
                self.show("moving online", steps=STEPS)
            self.session.waits = self.progress.waits
            if reason:
                self.start_over(reason)
            if self.begun is None:
                self.check(cancelled=bool(reason))
                self.record |= Record(plan=resume.fingerprint(self.plan))
                self.begin(self.prepare())
                self.plan = renew(self.plan)
            self.take(self.finish())
        retries = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.session.retries.items()))
        self.progress.note(f"Tried again after {retries}." if retries else "Nothing had to be tried again.")
        for notice in notices.find(self.plan):
            self.progress.note(notice)

    def check(self, *, cancelled: bool) -> None:
        """Refuse what can't be moved; whoever has `cancelled` an interrupted run for it says so."""
        try:
            checks.check_beside_writers(self.plan, self.ledger)
        except Refused as error:
            if cancelled:
                raise Refused(error.problem, f"{error.hint} {CANCELLED}") from error
            raise

    def start_over(self, reason: str) -> None:
        with steps.explained(self.plan, NOTHING):
            self.progress.note(f"Starting over, because {reason}.")
            resume.cancel(self.plan, self.run)
        self.plan, self.begun = renew(self.plan), None
        self.record = to_keep(self.plan)

    # ----- up to the moment from which every write is carried

    def prepare(self) -> Iterator[Step]:
        indexed = indexes.put_away_beside_writers(self.record, self.plan)
        silenced = Group(tuple(project_triggers.put_away(self.plan)))
        put_away: list[Action] = [*foreign_keys.put_away(self.plan), *indexed, silenced]
        yield Step("Prepare", "drop the target's indexes and foreign keys", NOTHING, lambda: put_away)
        yield Whole("Carry", "carry new writes", NOTHING, self.enter)

    def enter(self) -> Iterator[Action]:
        """One short transaction, which no write is under way in: from its commit on each is carried to the target."""
        yield from both.lock_both(self.plan)
        yield Do(lambda: checks.check_target_empty(self.plan))
        yield from sync.install(self.plan, copying=True)
        yield Do(lambda: self.advance(Phase.COPYING))

    # ----- what is left then; after a crash in any of it, it begins again and finds its place

    def finish(self) -> Iterator[Step]:
        if self.begun and sync.state(self.plan, copying=True) == "outdated":
            # Another version's triggers may not let this one's batches pass.
            self.progress.steps += 1
            yield Whole("Carry", "renew the triggers", RESUMABLE, self.renew_triggers)
        if self.begun is None or self.begun.phase != Phase.BUILDING:
            copied = f"copy {', '.join(str(pair.source) for pair in self.plan.pairs)}"
            yield Batches("Copy", copied, RESUMABLE, self.whole_copy, copy=self.copy)
        yield Watched("Build", "build indexes", RESUMABLE, lambda: indexes.build_beside_writers(self.plan, self.record))
        yield Watched(
            "Build", "foreign keys", RESUMABLE, lambda: foreign_keys.build(self.plan, self.record.dropped_keys)
        )
        yield Step("Settle", "compare every row", RESUMABLE, self.compare)
        yield Whole("Switch", "switch: sequences, triggers, permissions", RESUMABLE, self.switch)

    def renew_triggers(self) -> Iterator[Action]:
        yield from both.lock_both(self.plan)
        yield from sync.install(self.plan, copying=True)

    def whole_copy(self) -> Iterator[Action]:
        """As one batch of all blocks."""
        for pair in self.plan.pairs:
            yield rows.pass_fence(pair)
            yield rows.copy_blocks(pair.forward, 0, batches.start(self.session, pair).blocks)
            yield batches.analysis(pair)

    def copy(self) -> None:
        for pair in self.plan.pairs:
            self.copy_pair(pair)
        self.advance(Phase.BUILDING)

    def copy_pair(self, pair: TablePair) -> None:
        checkpoint = self.record.copied.get(str(pair.target)) or batches.start(self.session, pair)
        pace = Pace(done=checkpoint.block, rows=checkpoint.rows)
        courtesy = waiting.Courtesy(self.session, [pair.source.oid])

        def between(reached: Checkpoint) -> bool:
            courtesy.pause()
            waiting.wait(self.session, self.progress.waits)
            come = pace.describe(reached.rows, done=reached.block, whole=reached.blocks)
            self.progress.detail(f"{pair.source} {come}")
            courtesy.resume()
            return courtesy.writers > 0

        while not checkpoint.done:
            try:
                checkpoint = batches.copy(self.session, pair, checkpoint, lambda c: self.save(pair, c), between)
            except Rewritten:
                self.progress.note(f"{pair.source} was rewritten meanwhile: its copy starts over.")
                checkpoint = batches.start(self.session, pair)

    def save(self, pair: TablePair, checkpoint: Checkpoint) -> None:
        copied = {**self.record.copied, str(pair.target): checkpoint}
        rows = sum(saved.rows for saved in copied.values())
        self.advance(Phase.COPYING, self.record.keeping(copied=copied), rows=rows)

    def compare(self) -> Iterator[Action]:
        """The plan is resolved again, for it was made while the indexes and keys were away."""
        self.plan = renew(self.plan)
        yield from indexes.vacuum(self.plan)
        yield Do(self.compare_in_snapshot)

    def compare_in_snapshot(self) -> None:
        """In one snapshot, in which everything that was written is on both sides.

        After a difference the move is cancelled, for nothing says which of its rows can be trusted.
        """
        self.stamps = sync.stamps(self.plan)
        with self.session.snapshot():
            found = comparison.compare(self.plan, self.session)
        if not found.equal:
            resume.cancel(self.plan, self.run)
            both.refuse_differences(self.plan, found)
        self.rows = found.target_rows

    def switch(self) -> Iterator[Action]:
        """One short transaction: the fence falls, both tables live."""
        yield from locks.lock(steps.tables_of(self.plan), "ACCESS EXCLUSIVE")
        plan = renew(self.plan)
        yield Do(lambda: self.refuse_changes(plan))
        names = identity.read_identity(plan, self.session)
        # A resumed run may have been edited meanwhile where no copied row tells.
        live = project_triggers.to_keep_live(plan, self.record).keeping(declared=edits.describe(plan.move))
        record = live | sequences.to_keep(plan) | grants.to_keep(plan)
        yield from sync.remove(plan, copying=True)
        yield from sequences.share(plan)
        yield from both.switch(plan, names, self.record)
        yield Do(lambda: self.try_writes(plan, record))
        yield from writes.restart(plan)
        phase = state.settled(plan)
        yield Do(lambda: self.advance(phase, record | self.to_keep_labels(names), rows=self.rows))
        yield Do(identity.forget_cached)

    def refuse_changes(self, plan: Plan) -> None:
        """What was compared is what is switched to."""
        if why := resume.why_start_over(plan, self.run):
            raise MoveFailed(f"{plan}: {why}. Nothing is switched; run the migration again, which starts over.")
        self.refuse_changed_triggers(plan)
        writers.refuse_lent_rights(plan, granting=True)


def to_keep(plan: Plan) -> Record:
    """What is needed to begin anew, before anything is changed."""
    return indexes.to_keep(plan) | foreign_keys.to_keep_of(plan) | project_triggers.to_keep(plan)
