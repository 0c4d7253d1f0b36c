"""An interrupted move: how far it came, whether it can be resumed, and how it is cancelled."""

import hashlib

from rehome.models import MoveRun, Phase
from rehome.moves import steps
from rehome.parts import foreign_keys, indexes, project_triggers, rows, sequences, sync
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import locks
from rehome.postgres.session import Session
from rehome.preflight import checks, leftovers
from rehome.preflight.fates import Way
from rehome.preflight.records import check_record, check_sequences


def describe(run: MoveRun) -> str:
    """How far a run has come, in a person's words."""
    parts = [
        f"{100 * saved.block // max(saved.blocks, 1)} % of what becomes {table}"
        for table, saved in Record.of(run).copied.items()
    ]
    return standing(run).interrupted.format(copied=", ".join(parts) or "nothing yet")


def why_start_over(plan: Plan, run: MoveRun) -> str:
    """Why rows that were copied can't be trusted; empty when they can."""
    if run.phase == Phase.PREPARED:
        return "nothing had been copied"
    if Record.of(run).plan != fingerprint(plan):
        return "the move or its tables have changed since"
    if not sync.is_carrying(plan):
        return "a trigger that carried writes is missing or disabled"
    return ""


def fingerprint(plan: Plan) -> str:
    """Of everything that decides what a copied row looks like."""
    parts = [str(plan.irreversible)]
    for pair in plan.pairs:
        parts.append(rows.copy(pair.forward).as_string())
        parts += [str((c.name, c.type, c.nullable, c.collation)) for t in (pair.source, pair.target) for c in t.columns]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def cancel(plan: Plan, run: MoveRun) -> None:
    """Leave the database as if the move had not begun: an empty target with its indexes and keys, no triggers.

    One transaction. Raises Refused where other tables' rows point at the target by now.
    """
    plan = renew(plan)
    session = steps.open_session(plan)
    Ledger(plan.connection.alias).refresh(run)
    check_record(plan, run)
    if run.phase == Phase.PREPARED:
        undo_preparation(plan, run, session)
        return
    checks.check_unreferenced(plan)
    leftovers.refuse(Way.CANCEL, plan)
    session.retry_transaction(lambda: undo_copy(plan, run, session))
    for group in foreign_keys.validate_incoming(plan):
        session.run_group(group)


def undo_preparation(plan: Plan, run: MoveRun, session: Session) -> None:
    """Touches only what was changed, for the lock that was not granted may be the reason."""
    record, unshared = Record.of(run), []
    if sequences.is_sharing(record, plan):
        check_sequences(plan, record)
        unshared = [*locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"), *sequences.unshare(record, plan)]
    with session.transaction():
        silenced = project_triggers.revert(plan, record)
        session.run(*unshared, *silenced, *indexes.revert(record, plan))
        Ledger(plan.connection.alias).forget(run)


def undo_copy(plan: Plan, run: MoveRun, session: Session) -> None:
    """The locks that triggers and rows need are asked for at once, and released before another try: a writer who has
    read a table, or written to one that a foreign key points at, would be waited for while it waits.
    """
    session.execute_all(locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"))
    leftovers.refuse(Way.CANCEL, plan)
    session.execute_all(
        [
            *sync.remove(plan, copying=True),
            *foreign_keys.drop_incoming(plan),
            *foreign_keys.empty_targets(plan),
            *project_triggers.revert(plan, Record.of(run)),
            *indexes.invalid_indexes(plan, Record.of(run)),
        ]
    )
    session.execute_all(indexes.revert(Record.of(run), renew(plan)))
    ledger = Ledger(plan.connection.alias)
    ledger.forget(run)
    before = ledger.current(plan)
    if before and before.phase == Phase.BACK:
        session.execute_all(sync.raise_fence(plan))
