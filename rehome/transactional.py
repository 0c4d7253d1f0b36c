"""The default way: one transaction forwards, and every way back, with writers of the source waiting for it."""

from collections.abc import Iterator

from rehome import copying, grants, identity, notices, preflight, sequences, sql, steps, sync, verify
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
        undo_preparation(run, ledger, steps.open_session(plan))
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
    """Prepare, then everything else in one transaction; whatever fails, the target is left as it was."""
    session = steps.open_session(plan)
    with session.transaction():
        run = ledger.begin(plan, copying.to_keep(plan))
    with steps.undone_on_failure(plan, lambda: undo_preparation(run, ledger, session)):
        with progress.step("put the target's indexes and foreign keys away"):
            for statement in copying.put_away(plan):
                session.run(statement)
        with session.transaction():
            move_in_transaction(plan, session, ledger, run, progress)
    return run


def move_in_transaction(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Copy, build, compare, and only then take the locks that others would notice, just before the commit."""
    session.run(*enter(plan))
    preflight.check_target_empty(plan)
    with progress.step(f"copy {', '.join(str(pair.source) for pair in plan.pairs)}"):
        copied = [session.execute(statement) for statement in copying.copy(plan)]
    with progress.step("build indexes"):
        for statement in copying.build(plan):
            session.execute(statement)
    with progress.step("compare every row"):
        steps.refuse_differences(plan, verify.compare(plan, session))
    with progress.step("sequences, triggers, permissions, foreign keys"):
        names = identity.read_identity(plan, session)
        # Foreign keys are last: their lock on the table they point at is the widest.
        session.run(*steps.switch(plan, names), *copying.add_foreign_keys(plan))
        kept = {
            **run.kept,
            **sequences.to_keep(plan),
            **grants.to_keep(plan),
            **identity.to_keep(names, session),
        }
        ledger.advance(run, Phase.MOVED, rows=sum(copied), kept=kept)
    identity.forget_cached()


def enter(plan: Plan) -> list[Statement]:
    """Until the commit, the source is read and nobody else touches the target."""
    sources, targets = [pair.source for pair in plan.pairs], [pair.target for pair in plan.pairs]
    return [*steps.lock(sources, "SHARE"), sql.lock(targets, "EXCLUSIVE"), *sync.lower_fence(plan)]


def settle(plan: Plan, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Vacuum and validate; a failure leaves a move that is complete, and the next run settles it."""
    session = steps.open_session(plan)
    with progress.step("validate foreign keys, gather statistics"):
        for statement in copying.vacuum(plan):
            session.execute(statement)
        for statement in copying.settle(plan):
            session.run_patiently(statement)
    ledger.advance(run, Phase.LIVE)


def undo_preparation(run: MoveRun, ledger: Ledger, session: Session) -> None:
    """Give the empty target its indexes and foreign keys again, and forget the run."""
    with session.transaction():
        session.run(*copying.put_back(run.kept, session.connection))
        ledger.forget(run)


def backward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Give every row to the source again, with all that was written since, in one transaction."""
    session = steps.open_session(plan)
    # After a crash behind the commit only the settling is left.
    returned = run is not None and run.phase == Phase.BACK
    progress = Progress(f"{plan}: moving back, database {plan.connection.alias!r}", steps=1 if returned else 3)
    if not returned:
        run = preflight.check_backward(plan, ledger)
        with steps.explained(plan, "Nothing has been moved back."), session.transaction():
            return_in_transaction(plan, session, ledger, run, progress)
    with (
        steps.explained(plan, "The rows are back in the source; only the settling is left."),
        progress.step("validate foreign keys that point here"),
    ):
        for statement in copying.settle_back(plan):
            session.run_patiently(statement)


def return_in_transaction(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    session.run(*steps.lock_both(plan))
    preflight.check_nothing_lost(plan)
    with progress.step("compare every row"):
        comparison = verify.compare(plan, session)
        preflight.check_source_knows(plan, comparison)
    with progress.step("sequences, triggers, permissions; empty the target"):
        names = identity.read_identity(plan, session)
        session.run(*copying.let_go(plan))
        preflight.check_unreferenced(plan)
        session.run(*steps.switch_back(plan, names, run.kept, reconcile=not comparison.equal))
        ledger.advance(run, Phase.BACK, rows=comparison.target_rows)
    identity.forget_cached()


# ----- what it would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move is live, those that mend it."""
    if run is None or not steps.is_live(plan, run):
        names = identity.read_identity(plan, steps.open_session(plan))
        for statement in copying.put_away(plan):
            yield Step("Prepare: each statement in a transaction of its own.", [statement])
        statements = [*enter(plan), *copying.copy(plan), *copying.build(plan)]
        statements += [*steps.switch(plan, names), *copying.add_foreign_keys(plan)]
        yield Step("Move: all or nothing.", statements)
    elif statements := steps.mend(plan):
        yield Step("Mend: all or nothing.", statements)
    for statement in [*copying.vacuum(plan), *copying.settle(plan)]:
        yield Step("Settle: each statement in a transaction of its own.", [statement])


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The statements of `backward`, with those that it leaves out where both tables are found equal."""
    names = identity.read_identity(plan, steps.open_session(plan))
    statements = [
        *steps.lock_both(plan),
        *copying.let_go(plan),
        *steps.switch_back(plan, names, run.kept, reconcile=True),
    ]
    yield Step("Move back: all or nothing.", statements)
    for statement in copying.settle_back(plan):
        yield Step("Settle: each statement in a transaction of its own.", [statement])
