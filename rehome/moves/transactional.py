"""The default way: one transaction forwards, with writers of the source waiting for it, and every way back."""

from collections.abc import Iterator

from rehome.models import MoveRun, Phase
from rehome.moves import resume, state, steps
from rehome.moves.steps import Step
from rehome.parts import foreign_keys, grants, identity, indexes, rows, sequences, sync
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import locks, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import Statement
from rehome.preflight import checks, notices
from rehome.terminal import Progress
from rehome.verify import comparison


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Move the rows, or finish the move that a crash cut short; where it is live, mend and settle it again."""
    if run and run.phase == Phase.PREPARED:
        resume.give_up(plan, ledger, run)
        plan, run = renew(plan), None
    if run is None or not state.is_live(plan, run):
        checks.check_forward(plan, ledger)
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
        run = ledger.begin(plan, indexes.to_keep(plan) | sequences.to_keep(plan))
    with steps.undone_on_failure(plan, lambda: resume.give_up(plan, ledger, run)):
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
    locked = [*locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"), *shared]
    return [*([statement] for statement in indexes.put_away(plan)), *([locked] if shared else [])]


def move_in_transaction(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Copy, build, compare, and only then what others would notice, just before the commit."""
    session.run(*enter(plan))
    checks.check_target_empty(plan)
    with progress.step(f"copy {', '.join(str(pair.source) for pair in plan.pairs)}"):
        copied = [session.execute(statement) for statement in rows.copy_all(plan)]
    with progress.step("build indexes"):
        session.execute_all(indexes.build(plan))
    with progress.step("compare every row"):
        steps.refuse_differences(plan, comparison.compare(plan, session))
    with progress.step("triggers, permissions"):
        names = identity.read_identity(plan, session)
        # A cascade that one side alone had would leave its rows on the other. Django's own keys have none.
        session.run(*steps.switch(plan, names), *foreign_keys.add_foreign_keys(plan, acting=True))
        record = Record.of(run) | grants.to_keep(plan) | identity.to_keep(names, session)
        ledger.advance(run, Phase.MOVED, rows=sum(copied), record=record)
    identity.forget_cached()


def enter(plan: Plan) -> list[Statement]:
    """Until the commit, the source is read and nobody else touches the target. No lock of the source is raised later:
    a writer who has read the source and waits to write to it would be waited for.
    """
    sources, targets = [pair.source for pair in plan.pairs], [pair.target for pair in plan.pairs]
    return [*locks.lock(sources, "SHARE ROW EXCLUSIVE"), sql.lock(targets, "ACCESS EXCLUSIVE"), *sync.lower_fence(plan)]


def settle(plan: Plan, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Vacuum, add and validate the foreign keys; a failure leaves a move that is complete, and the next run settles it.

    Before the commit they would wait for writers of the tables that they point at, who may wait for the source.
    Until they are there, those of the source hold, for every write to the target is carried there.
    """
    plan = renew(plan)
    session = steps.open_session(plan)
    with progress.step("foreign keys, statistics"):
        session.execute_all(indexes.vacuum(plan))
        if run.phase == Phase.MOVED:
            foreign_keys.build_foreign_keys(plan, Record.of(run), session)
        else:  # A later migration may have dropped one on purpose.
            for statement in foreign_keys.validations(plan):
                session.run_patiently(statement)
    ledger.advance(run, Phase.LIVE)


# ----- what it would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move is live, those that mend it."""
    if run is None or not state.is_live(plan, run):
        names = identity.read_identity(plan, steps.open_session(plan))
        for group in prepare(plan):
            yield Step("Prepare: each transaction is short.", group)
        statements = [*enter(plan), *rows.copy_all(plan), *indexes.build(plan), *steps.switch(plan, names)]
        statements += foreign_keys.add_foreign_keys(plan, acting=True)
        yield Step("Move: all or nothing.", statements)
        settled = [*foreign_keys.add_foreign_keys(plan, acting=False), *foreign_keys.validations(plan)]
    else:
        if statements := steps.mend(plan):
            yield Step("Mend: all or nothing.", statements)
        settled = (
            list(foreign_keys.build_statements(plan, Record.of(run)))
            if run.phase == Phase.MOVED
            else foreign_keys.validations(plan)
        )
    for statement in [*indexes.vacuum(plan), *settled]:
        yield Step("Settle: each statement in a transaction of its own.", [statement])
