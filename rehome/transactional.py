"""The default way: one transaction forwards, with writers of the source waiting for it, and every way back."""

from collections.abc import Iterator

from rehome import (
    building,
    copying,
    grants,
    identity,
    notices,
    preflight,
    resuming,
    sequences,
    sql,
    steps,
    sync,
    verify,
)
from rehome.errors import MoveFailed
from rehome.ledger import Ledger
from rehome.models import MoveRun, Phase
from rehome.plan import Plan
from rehome.progress import Progress
from rehome.resolve import renew
from rehome.session import Session, Statement
from rehome.steps import Step


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Move the rows, or finish the move that a crash cut short; where it is live, mend and settle it again."""
    if run and run.phase == Phase.PREPARED:
        resuming.give_up(plan, ledger, run)
        plan, run = renew(plan), None
    if run is None or not steps.is_live(plan, run):
        preflight.check_forward(plan, ledger)
        no_return = f"; there is no way back: {'; '.join(plan.irreversible)}" if plan.irreversible else ""
        progress = Progress(f"{plan}: moving, database {plan.connection.alias!r}{no_return}", steps=6)
        with steps.explained(plan, "Nothing has been moved."):
            run = move_rows(plan, ledger, progress)
        noticed = notices.find(plan)
    else:
        progress = Progress(f"{plan}: settling, database {plan.connection.alias!r}", steps=1)
        with steps.explained(plan, "The move is live, and what it lacks is not mended."):
            steps.open_session(plan).run(*steps.mend(plan))
        noticed = []
    with steps.explained(plan, "The rows have been moved and both tables are in step; only the settling is left."):
        settle(plan, ledger, run, progress)
    for notice in noticed:
        progress.note(notice)


def move_rows(plan: Plan, ledger: Ledger, progress: Progress) -> MoveRun:
    """Prepare, then everything else in one transaction; whatever fails, the tables are left as they were."""
    session = steps.open_session(plan)
    with session.transaction():
        run = ledger.begin(plan, {**copying.to_keep(plan), **sequences.to_keep(plan)})
    with steps.undone_on_failure(plan, lambda: resuming.give_up(plan, ledger, run)):
        with progress.step("put the target's indexes and foreign keys away"):
            for group in prepare(plan):
                session.run(*group)
        with session.transaction():
            move_in_transaction(plan, session, ledger, run, progress)
    return run


def prepare(plan: Plan) -> list[list[Statement]]:
    """What takes a lock that others would notice, or that a waiting writer who has read the source would not let go
    of: each group is a short transaction of its own.
    """
    shared = sequences.share(plan)
    locked = [*steps.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"), *shared]
    return [*([statement] for statement in copying.put_away(plan)), *([locked] if shared else [])]


def move_in_transaction(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Copy, build, compare, and only then what others would notice, just before the commit."""
    session.run(*enter(plan))
    preflight.check_target_empty(plan)
    with progress.step(f"copy {', '.join(str(pair.source) for pair in plan.pairs)}"):
        copied = [session.execute(statement) for statement in copying.copy(plan)]
    with progress.step("build indexes"):
        session.execute_all(copying.build(plan))
    with progress.step("compare every row"):
        steps.refuse_differences(plan, verify.compare(plan, session))
    with progress.step("triggers, permissions"):
        names = identity.read_identity(plan, session)
        # A cascade that one side alone had would leave its rows on the other. Django's own keys have none.
        session.run(*steps.switch(plan, names), *copying.add_foreign_keys(plan, acting=True))
        kept = {**run.kept, **grants.to_keep(plan), **identity.to_keep(names, session)}
        ledger.advance(run, Phase.MOVED, rows=sum(copied), kept=kept)
    identity.forget_cached()


def enter(plan: Plan) -> list[Statement]:
    """Until the commit, the source is read and nobody else touches the target. No lock of the source is raised later:
    a writer who has read the source and waits to write to it would be waited for.
    """
    sources, targets = [pair.source for pair in plan.pairs], [pair.target for pair in plan.pairs]
    return [*steps.lock(sources, "SHARE ROW EXCLUSIVE"), sql.lock(targets, "ACCESS EXCLUSIVE"), *sync.lower_fence(plan)]


def settle(plan: Plan, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Vacuum, add and validate the foreign keys; a failure leaves a move that is complete, and the next run settles it.

    Before the commit they would wait for writers of the tables that they point at, who may wait for the source.
    Until they are there, those of the source hold, for every write to the target is carried there.
    """
    plan = renew(plan)
    session = steps.open_session(plan)
    with progress.step("foreign keys, statistics"):
        session.execute_all(copying.vacuum(plan))
        if run.phase == Phase.MOVED:
            building.add_foreign_keys(plan, run.kept, session)
        else:  # A later migration may have dropped one on purpose.
            for statement in copying.settle(plan):
                session.run_patiently(statement)
    ledger.advance(run, Phase.LIVE)


def backward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Give every row to the source again, with all that was written since, in one transaction."""
    session = steps.open_session(plan)
    # After a crash behind the commit only the settling is left.
    returned = run is not None and run.phase == Phase.BACK
    progress = Progress(f"{plan}: moving back, database {plan.connection.alias!r}", steps=1 if returned else 3)
    if not returned:
        run = preflight.check_backward(plan, ledger)
        with steps.explained(plan, "Nothing has been moved back."):
            return_rows(plan, session, ledger, run, progress)
        identity.forget_cached()
    with (
        steps.explained(plan, "The rows are back in the source; only the settling is left."),
        progress.step("validate foreign keys that point here"),
    ):
        for statement in copying.settle_back(plan):
            session.run_patiently(statement)


def return_rows(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Compare beside the writers, for the triggers keep equal what was equal; where that can't be, keep them away."""
    stamps = sync.stamps(plan)
    if sync.state(plan) != "missing":
        with progress.step("compare every row"), session.snapshot():
            comparison = verify.compare(plan, session)
        if comparison.same_rows:
            with progress.step("sequences, triggers, permissions; empty the target"):
                session.retry_transaction(lambda: return_at_once(plan, session, ledger, run, comparison, stamps))
            return
        progress.steps += 1
    with session.transaction():
        return_corrected(plan, session, ledger, run, progress)


def return_at_once(
    plan: Plan, session: Session, ledger: Ledger, run: MoveRun, comparison: verify.Comparison, stamps: object
) -> None:
    """What was compared is what goes back: every write since has been carried."""
    session.execute_all(steps.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"))
    plan = renew(plan)
    if sync.stamps(plan) != stamps:
        raise MoveFailed(f"{plan}: somebody changed a trigger during the comparison. Run the migration again.")
    preflight.check_nothing_lost(plan)
    give_back(plan, session, ledger, run, comparison)


def return_corrected(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """The slow way, for tables that differ or lack a trigger: readers and writers wait for the comparison."""
    session.run(*steps.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"))
    preflight.check_nothing_lost(plan)
    with progress.step("compare every row, with everybody waiting"):
        comparison = verify.compare(plan, session)
        preflight.check_source_knows(plan, comparison)
    with progress.step("sequences, triggers, permissions; empty the target"):
        session.attempt(lambda: give_back(plan, session, ledger, run, comparison))


def give_back(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, comparison: verify.Comparison) -> None:
    names = identity.read_identity(plan, session)
    session.execute_all(copying.let_go(plan))
    preflight.check_unreferenced(plan)
    session.execute_all(steps.switch_back(plan, names, run.kept, reconcile=not comparison.same_rows))
    ledger.advance(run, Phase.BACK, rows=comparison.target_rows)


# ----- what it would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move is live, those that mend it."""
    if run is None or not steps.is_live(plan, run):
        names = identity.read_identity(plan, steps.open_session(plan))
        for group in prepare(plan):
            yield Step("Prepare: each transaction is short.", group)
        statements = [*enter(plan), *copying.copy(plan), *copying.build(plan), *steps.switch(plan, names)]
        statements += copying.add_foreign_keys(plan, acting=True)
        yield Step("Move: all or nothing.", statements)
        settled = [*copying.add_foreign_keys(plan, acting=False), *copying.settle(plan)]
    else:
        if statements := steps.mend(plan):
            yield Step("Mend: all or nothing.", statements)
        settled = list(building.foreign_keys(plan, run.kept)) if run.phase == Phase.MOVED else copying.settle(plan)
    for statement in [*copying.vacuum(plan), *settled]:
        yield Step("Settle: each statement in a transaction of its own.", [statement])


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The statements of `backward`, with those that it leaves out where both tables are found equal."""
    names = identity.read_identity(plan, steps.open_session(plan))
    statements = [
        *steps.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"),
        *copying.let_go(plan),
        *steps.switch_back(plan, names, run.kept, reconcile=True),
    ]
    yield Step("Move back: all or nothing.", statements)
    for statement in copying.settle_back(plan):
        yield Step("Settle: each statement in a transaction of its own.", [statement])
