"""The way that lets everybody write: batches beside a trigger, concurrent builds, one short switch at the end.

    PREPARED  --enter-->  COPYING  --copy-->  BUILDING  --build, compare, switch-->  LIVE

Each phase is recorded in the transaction that completes it, so the next run goes on from there; `give_up` leads from
any of them back to where the move had not begun.
"""

from collections.abc import Iterator

from rehome import terminal
from rehome.errors import MoveFailed
from rehome.models import MoveRun, Phase
from rehome.moves import resume, state, steps
from rehome.moves.steps import Step
from rehome.parts import batches, foreign_keys, grants, identity, indexes, rows, sequences, sync
from rehome.parts.batches import Rewritten
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Checkpoint, Record
from rehome.plan.resolve import renew
from rehome.postgres import locks, waiting
from rehome.postgres.session import Session
from rehome.preflight import checks, notices
from rehome.terminal import Pace, Progress
from rehome.verify import comparison

STEPS = 7
DONE = {Phase.COPYING: 2, Phase.BUILDING: 3}
"""Steps that a run has behind it when it goes on from a phase."""


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Begin the move, or go on where an earlier run stopped.

    A copy that can't be gone on with, because the plan or the tables have changed since, starts over.
    """
    reason = resume.why_start_over(plan, run) if run and run.phase in state.HALF_DONE else "it had not begun"
    resumed = None if reason else run
    progress = Progress(
        f"{plan}: {'going on' if resumed else 'moving'} online, database {plan.connection.alias!r}",
        steps=STEPS,
        done=DONE[Phase(resumed.phase)] if resumed else 0,
    )
    with terminal.stoppable(plan):
        if resumed is None:
            with steps.explained(plan, "Nothing has been moved."):
                if run and run.phase in state.HALF_DONE:
                    progress.note(f"Starting over, for {reason}.")
                    resume.give_up(plan, ledger, run)
                    plan = renew(plan)
                checks.check_beside_writers(plan, ledger)
                resumed = begin(plan, ledger, progress)
        finish = Finish(renew(plan), ledger, resumed, progress)
        with steps.explained(plan, "What is copied stays, and a run that follows goes on with it."):
            finish()
    progress.note(finish.summary())
    for notice in notices.find(plan):
        progress.note(notice)


def begin(plan: Plan, ledger: Ledger, progress: Progress) -> MoveRun:
    """Up to the moment from which every write is carried; whatever fails, the target is left as it was."""
    session = steps.open_session(plan)
    session.waits = progress.waits
    record = indexes.to_keep_beside_writers(plan) | Record(plan=resume.fingerprint(plan), copied={})
    with session.transaction():
        run = ledger.begin(plan, record)
    with steps.undone_on_failure(plan, lambda: resume.give_up(plan, ledger, run)):
        with progress.step("put the target's indexes and foreign keys away"):
            for statement in indexes.put_away_beside_writers(plan):
                session.run(statement)
        with progress.step("carry new writes"):
            session.retry_transaction(lambda: enter(plan, ledger, run, session))
    return run


def enter(plan: Plan, ledger: Ledger, run: MoveRun, session: Session) -> None:
    """One short transaction, which no write is under way in: from its commit on each is carried to the target."""
    session.execute_all(steps.lock_both(plan))
    checks.check_target_empty(plan)
    session.execute_all(sync.install_for_copying(plan))
    ledger.advance(run, Phase.COPYING)


class Finish:
    """What is left once every write is carried; after a crash in any of it, it begins again and finds its place."""

    def __init__(self, plan: Plan, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
        self.plan = plan
        self.ledger = ledger
        self.run = run
        self.progress = progress
        self.session = steps.open_session(plan)
        self.session.waits = progress.waits
        self.stamps: object = None

    def __call__(self) -> None:
        if self.run.phase == Phase.COPYING:
            with self.progress.step(f"copy {', '.join(str(pair.source) for pair in self.plan.pairs)}"):
                for pair in self.plan.pairs:
                    self.copy(pair)
                self.ledger.advance(self.run, Phase.BUILDING)
        self.build()
        with self.progress.step("compare every row"):
            rows = self.compare()
        with self.progress.step("switch: sequences, triggers, permissions"):
            self.session.retry_transaction(lambda: self.switch(rows))
            identity.forget_cached()

    def copy(self, pair: TablePair) -> None:
        saved = Record.of(self.run).copied.get(str(pair.target))
        checkpoint = saved or batches.start(self.session, pair)
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
        record = Record.of(self.run)
        copied = {**record.copied, str(pair.target): checkpoint}
        rows = sum(saved.rows for saved in copied.values())
        self.ledger.advance(self.run, Phase.COPYING, record=record.keeping(copied=copied), rows=rows)

    def build(self) -> None:
        """The plan is resolved again after it, for it was made while these were away."""
        with self.progress.step("build indexes"), waiting.watched(self.session.connection, self.progress.waits):
            indexes.build_indexes(self.plan, Record.of(self.run), self.session)
        with self.progress.step("foreign keys"), waiting.watched(self.session.connection, self.progress.waits):
            foreign_keys.build_foreign_keys(self.plan, Record.of(self.run), self.session)
        self.plan = renew(self.plan)

    def compare(self) -> int:
        """In one snapshot, in which everything that was written is on both sides; returns the number of rows.

        After a difference the move is given up, for nothing says which of its rows can be trusted.
        """
        for statement in indexes.vacuum(self.plan):
            self.session.execute(statement)
        self.stamps = sync.stamps(self.plan)
        with self.session.snapshot():
            found = comparison.compare(self.plan, self.session)
        if not found.equal:
            resume.give_up(self.plan, self.ledger, self.run)
            steps.refuse_differences(self.plan, found)
        return found.target_rows

    def switch(self, rows: int) -> None:
        """One short transaction: the fence falls, both tables live."""
        self.session.execute_all(locks.lock(steps.tables_of(self.plan), "ACCESS EXCLUSIVE"))
        plan = renew(self.plan)
        self.refuse_changes(plan)
        names = identity.read_identity(plan, self.session)
        record = Record.of(self.run) | sequences.to_keep(plan) | grants.to_keep(plan)
        self.session.execute_all([*sync.remove_for_copying(plan), *sequences.share(plan), *steps.switch(plan, names)])
        record |= identity.to_keep(names, self.session)
        self.ledger.advance(self.run, Phase.LIVE, rows=rows, record=record)

    def refuse_changes(self, plan: Plan) -> None:
        """What was compared is what is switched to."""
        if why := resume.why_start_over(plan, self.run):
            raise MoveFailed(f"{plan}: {why}. Nothing is switched; run the migration again, which starts over.")
        if sync.stamps(plan) != self.stamps:
            raise MoveFailed(
                f"{plan}: somebody changed a trigger after the comparison. Nothing is switched; run the migration "
                "again, which compares again."
            )

    def summary(self) -> str:
        retries = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.session.retries.items()))
        return f"Tried again after {retries}." if retries else "Nothing had to be tried again."


def forward_steps(plan: Plan) -> Iterator[Step]:
    """The statements of `forward`, for `sqlmove`; the rows of a table in one batch of all of its blocks."""
    names = identity.read_identity(plan, steps.open_session(plan))
    session = steps.open_session(plan)
    kept = indexes.to_keep_beside_writers(plan)
    for statement in indexes.put_away_beside_writers(plan):
        yield Step("Prepare: each statement in a transaction of its own.", [statement])
    carried = [*steps.lock_both(plan), *sync.install_for_copying(plan)]
    yield Step("Carry new writes: all or nothing.", carried)
    for pair in plan.pairs:
        copied = rows.copy_blocks(pair.forward, 0, batches.start(session, pair).blocks)
        yield Step("Copy: in batches of a few blocks each, in a transaction of its own.", [rows.let_pass(), copied])
    for statement in indexes.all_of_it(plan, kept):
        yield Step("Build: each statement by itself, outside of transactions.", [statement])
    for statement in indexes.vacuum(plan):
        yield Step("Settle: each statement by itself, outside of transactions.", [statement])
    switched = [*sync.remove_for_copying(plan), *sequences.share(plan), *steps.switch(plan, names)]
    yield Step("Switch: all or nothing.", [*locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"), *switched])
