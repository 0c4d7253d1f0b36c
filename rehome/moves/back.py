"""Refuses, with a hint, before anything is written: one refusal a function, cheapest first."""

from collections.abc import Iterator

from rehome.errors import MoveFailed, Refused
from rehome.models import MoveRun, Phase
from rehome.moves import steps
from rehome.moves.steps import Step
from rehome.parts import foreign_keys, identity, sync
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import catalog, locks, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier
from rehome.preflight import checks
from rehome.terminal import Progress
from rehome.verify.comparison import Comparison, compare


def refuse_emptied_target(plan: Plan) -> None:
    """A table that was emptied behind the triggers looks like one of which new code has deleted every row."""
    source, target = plan.main.source, plan.main.target
    filled = [catalog.query(plan.connection, sql.has_rows(table).as_string())[0][0] for table in (source, target)]
    key = Identifier(plan.main.forward.key[0][0])
    touch = SQL("UPDATE {} SET {} = {}").format(sql.name(source), key, key)
    if filled == [True, False]:
        raise Refused(
            f"{target} is empty and {source} is not: moving back would delete every row.",
            f"If that is meant, delete the rows of {source} first. Otherwise run the migration forwards again, which "
            f"mends the triggers, and carry the rows over with {touch.as_string()}.",
        )


def check_source_knows(plan: Plan, comparison: Comparison) -> None:
    """The target wins only where its own trigger is missing, and the source's is not: then it alone has writes
    that were not carried. Rows that differ beside triggers that are all there tell of one that was missing.
    """
    if not (comparison.missing or comparison.extra or comparison.different):
        return
    refuse_emptied_target(plan)
    missing = {t.table.oid for t in sync.wanted(plan) if sync.state_of(t, t.table) == "missing"}
    if missing and missing <= {pair.target.oid for pair in plan.pairs}:
        return
    raise Refused(
        f"{comparison.missing + comparison.extra + comparison.different} rows of {plan} differ, because the trigger "
        f"that carried writes from {plan.main.source} is or was missing, so either side may be the newer one.",
        f"Run `manage.py verifymoves {plan.move.target}`, make the rows equal, and try again.",
    )


def backward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Give every row to the source again, with all that was written since, in one transaction."""
    session = steps.open_session(plan)
    # After a crash behind the commit only the settling is left.
    returned = run is not None and run.phase == Phase.BACK
    progress = Progress(f"{plan}: moving back, database {plan.connection.alias!r}", steps=1 if returned else 3)
    if not returned:
        run = checks.check_backward(plan, ledger)
        with steps.explained(plan, "Nothing has been moved back."):
            return_rows(plan, session, ledger, run, progress)
        identity.forget_cached()
    with (
        steps.explained(plan, "The rows are back in the source; only the settling is left."),
        progress.step("validate foreign keys that point here"),
    ):
        for statement in foreign_keys.settle_back(plan):
            session.run_patiently(statement)


def return_rows(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Compare beside the writers, for the triggers keep equal what was equal; where that can't be, keep them away."""
    stamps = sync.stamps(plan)
    if sync.state(plan) != "missing":
        with progress.step("compare every row"), session.snapshot():
            comparison = compare(plan, session)
        if comparison.same_rows:
            with progress.step("sequences, triggers, permissions; empty the target"):
                session.retry_transaction(lambda: return_at_once(plan, session, ledger, run, comparison, stamps))
            return
        progress.steps += 1
    with session.transaction():
        return_corrected(plan, session, ledger, run, progress)


def return_at_once(
    plan: Plan, session: Session, ledger: Ledger, run: MoveRun, comparison: Comparison, stamps: object
) -> None:
    """What was compared is what goes back: every write since has been carried."""
    session.execute_all(locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"))
    plan = renew(plan)
    if sync.stamps(plan) != stamps:
        raise MoveFailed(f"{plan}: somebody changed a trigger during the comparison. Run the migration again.")
    checks.check_nothing_lost(plan)
    give_back(plan, session, ledger, run, comparison)


def return_corrected(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """The slow way, for tables that differ or lack a trigger: readers and writers wait for the comparison."""
    session.run(*locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"))
    checks.check_nothing_lost(plan)
    with progress.step("compare every row, with everybody waiting"):
        comparison = compare(plan, session)
        check_source_knows(plan, comparison)
    with progress.step("sequences, triggers, permissions; empty the target"):
        session.attempt(lambda: give_back(plan, session, ledger, run, comparison))


def give_back(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, comparison: Comparison) -> None:
    names = identity.read_identity(plan, session)
    session.execute_all(foreign_keys.let_go(plan))
    checks.check_unreferenced(plan)
    session.execute_all(steps.switch_back(plan, names, Record.of(run), reconcile=not comparison.same_rows))
    ledger.advance(run, Phase.BACK, rows=comparison.target_rows)


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The statements of `backward`, with those that it leaves out where both tables are found equal."""
    names = identity.read_identity(plan, steps.open_session(plan))
    statements = [
        *locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"),
        *foreign_keys.let_go(plan),
        *steps.switch_back(plan, names, Record.of(run), reconcile=True),
    ]
    yield Step("Move back: all or nothing.", statements)
    for statement in foreign_keys.settle_back(plan):
        yield Step("Settle: each statement in a transaction of its own.", [statement])
