"""The order of the phases, forward and backward; nothing else loops over them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, Error, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome import catalog, copying, grants, identity, notices, preflight, registry, sequences, sql, sync, verify
from rehome.errors import LockNotObtained, MoveFailed, one_line
from rehome.historical import is_allowed
from rehome.ledger import LIVE, Ledger
from rehome.models import MoveRun, Phase
from rehome.plan import Plan
from rehome.progress import Progress
from rehome.resolve import make_plan
from rehome.session import Session, Statement

if TYPE_CHECKING:
    from django.apps.registry import Apps

    from rehome.move import Move


@dataclasses.dataclass(frozen=True)
class Step:
    """Statements that succeed or fail together, and what they do in a person's words."""

    name: str
    statements: list[Statement]


# ----- forward


def forward(move: Move, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Move the rows, or finish the move that a crash cut short; where it is live, mend and settle it again.

    Raises Refused before anything is written, MoveFailed or LockNotObtained after everything is undone.
    """
    if not is_allowed(move, apps, connection):
        return
    preflight.check_connection(connection)
    with Session(connection).only_move():
        plan = make_plan(move, apps, connection)
        ledger = Ledger(connection.alias)
        run = ledger.current(plan)
        if run and run.phase == Phase.PREPARED:
            undo_preparation(run, ledger, open_session(plan))
            plan, run = make_plan(move, apps, connection), None
        if run is None or not is_live(plan, run):
            preflight.check_forward(plan, ledger)
            no_return = f"; there is no way back: {'; '.join(plan.irreversible)}" if plan.irreversible else ""
            progress = Progress(f"{plan}: moving, database {connection.alias!r}{no_return}", steps=6)
            with explained(plan, "Nothing has been moved."):
                run = move_rows(plan, ledger, progress)
            noticed = notices.find(plan)
        else:
            progress = Progress(f"{plan}: settling, database {connection.alias!r}", steps=1)
            with explained(plan, "The move is live, and what it lacks is not mended."):
                open_session(plan).run(*mend(plan))
            noticed = []
        with explained(plan, "The rows have been moved and both tables are in step; only the settling is left."):
            settle(plan, ledger, run, progress)
        for notice in noticed:
            progress.note(notice)


def is_live(plan: Plan, run: MoveRun) -> bool:
    """Whether the move stands; tables that were made anew since the run share no rows, triggers or sequence."""
    return run.phase in LIVE and (
        sync.state(plan) != "missing" or not is_empty(plan) or sequences.draw_from_one(plan.main)
    )


def move_rows(plan: Plan, ledger: Ledger, progress: Progress) -> MoveRun:
    """Prepare, then everything else in one transaction; whatever fails, the target is left as it was."""
    session = open_session(plan)
    alone = plan.connection.connection
    with session.transaction():
        run = ledger.begin(plan, copying.to_keep(plan))
    try:
        with progress.step("put the target's indexes and foreign keys away"):
            for statement in copying.put_away(plan):
                session.run(statement)
        with session.transaction():
            move_in_transaction(plan, session, ledger, run, progress)
    except BaseException:
        # On a new connection nothing would keep another run away, and a lock may not be granted now: then the
        # next run begins with it.
        if plan.connection.connection is alone:
            with contextlib.suppress(Error, LockNotObtained):
                undo_preparation(run, ledger, session)
        raise
    return run


@contextlib.contextmanager
def explained(plan: Plan, outcome: str) -> Iterator[None]:
    """Say what PostgreSQL said, and what has become of the rows: `outcome`, a sentence."""
    try:
        yield
    except LockNotObtained as error:
        raise LockNotObtained(f"{error} {outcome}") from error
    except (OperationalError, InterfaceError) as error:
        raise MoveFailed(
            f"{plan}: The connection was lost or the server gave up: {one_line(error)}. {outcome} "
            "Run the migration again."
        ) from error
    except DatabaseError as error:
        raise MoveFailed(
            f"{plan}: PostgreSQL refused: {one_line(error)}. {outcome} "
            "Correct the rows or the definition that it names, then run the migration again."
        ) from error


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
        refuse_differences(plan, verify.compare(plan, session))
    with progress.step("sequences, triggers, permissions, foreign keys"):
        names = identity.read_identity(plan, session)
        session.run(*switch(plan, names))
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
    return [sql.lock(sources, "SHARE"), sql.lock(targets, "EXCLUSIVE"), *sync.lower_fence(plan)]


def switch(plan: Plan, names: identity.Identity | None) -> list[Statement]:
    """From here both tables live. Foreign keys are last: their lock on the table they point at is the widest."""
    return [
        *sequences.share(plan),
        *sync.install(plan),
        *grants.carry(plan),
        *identity.carry(names),
        *copying.add_foreign_keys(plan),
    ]


def settle(plan: Plan, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Vacuum and validate; a failure leaves a move that is complete, and the next run settles it."""
    session = open_session(plan)
    with progress.step("validate foreign keys, gather statistics"):
        for statement in copying.vacuum(plan):
            session.execute(statement)
        for statement in copying.settle(plan):
            session.run(statement)
    ledger.advance(run, Phase.LIVE)


def mend(plan: Plan) -> list[Statement]:
    """What a live move lacks of its triggers and its sequences; rows that were written without them stay."""
    session = open_session(plan)
    statements = sync.install(plan) if sync.state(plan) != "installed" else []
    for pair in plan.pairs:
        statements += [] if sequences.is_ahead(session, pair) else sequences.mend(pair)
    return [lock_both(plan), *statements] if statements else []


def is_empty(plan: Plan) -> bool:
    return not any(catalog.query(plan.connection, sql.has_rows(pair.target).as_string())[0][0] for pair in plan.pairs)


def undo_preparation(run: MoveRun, ledger: Ledger, session: Session) -> None:
    """Give the empty target its indexes and foreign keys again, and forget the run."""
    with session.transaction():
        session.run(*copying.put_back(run.kept, session.connection))
        ledger.forget(run)


def refuse_differences(plan: Plan, comparison: verify.Comparison) -> None:
    if comparison.equal:
        return
    shown = "; ".join(map(str, comparison.differences)) or f"{comparison.orphans} orphaned foreign keys"
    raise MoveFailed(
        f"{plan}: the copy differs from the source ({comparison.missing} missing, {comparison.extra} extra, "
        f"{comparison.different} different, {comparison.orphans} orphans): {shown}. Everything is undone; "
        "a value that PostgreSQL changes on assignment needs an expression in fields={...}."
    )


# ----- backward


def backward(move: Move, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Give every row to the source again, with all that was written since, in one transaction.

    Raises Refused before anything is written; any failure leaves both tables live and in step.
    """
    if not is_allowed(move, apps, connection):
        return
    preflight.check_connection(connection)
    with Session(connection).only_move():
        plan = make_plan(move, apps, connection)
        ledger = Ledger(connection.alias)
        run = ledger.current(plan)
        session = open_session(plan)
        # After a crash behind the commit only the settling is left.
        returned = run is not None and run.phase == Phase.BACK
        progress = Progress(f"{plan}: moving back, database {connection.alias!r}", steps=1 if returned else 3)
        if not returned:
            run = preflight.check_backward(plan, ledger)
            with explained(plan, "Nothing has been moved back."), session.transaction():
                return_in_transaction(plan, session, ledger, run, progress)
        with (
            explained(plan, "The rows are back in the source; only the settling is left."),
            progress.step("validate foreign keys that point here"),
        ):
            for statement in copying.settle_back(plan):
                session.run(statement)


def return_in_transaction(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    session.run(lock_both(plan))
    preflight.check_nothing_lost(plan)
    with progress.step("compare every row"):
        comparison = verify.compare(plan, session)
        preflight.check_source_knows(plan, comparison)
    with progress.step("sequences, triggers, permissions; empty the target"):
        names = identity.read_identity(plan, session)
        session.run(*copying.let_go(plan))
        preflight.check_unreferenced(plan)
        session.run(*switch_back(plan, names, run.kept, reconcile=not comparison.equal))
        ledger.advance(run, Phase.BACK, rows=comparison.target_rows)
    identity.forget_cached()


def lock_both(plan: Plan) -> Statement:
    """Nobody else writes to either table; readers go on."""
    return sql.lock([table for pair in plan.pairs for table in (pair.source, pair.target)], "SHARE ROW EXCLUSIVE")


def switch_back(
    plan: Plan, names: identity.Identity | None, kept: dict[str, Any], *, reconcile: bool
) -> list[Statement]:
    """From here only the source lives; the target wins where a trigger had been missing."""
    corrections = [statement for pair in plan.pairs for statement in sql.reconcile(pair)]
    return [
        *sync.remove(plan),
        *(corrections if reconcile else []),
        # Deferred checks that the corrections queued would forbid the ALTER TABLEs that follow.
        sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"),
        *sequences.give_back(kept, plan),
        *grants.give_back(kept, plan),
        *identity.give_back(names, kept),
        *copying.empty(plan),
        *sync.raise_fence(plan),
    ]


def open_session(plan: Plan) -> Session:
    tables = {table.oid for pair in plan.pairs for table in (pair.source, pair.target)}
    pointed_at = {key.referenced_oid for pair in plan.pairs for key in pair.target.foreign_keys}
    return Session(plan.connection, tables | pointed_at | registry.table_oids(plan))


# ----- what a move would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move is live, those that mend it."""
    if run is None or not is_live(plan, run):
        names = identity.read_identity(plan, open_session(plan))
        for statement in copying.put_away(plan):
            yield Step("Prepare: each statement in a transaction of its own.", [statement])
        yield Step(
            "Move: all or nothing.", [*enter(plan), *copying.copy(plan), *copying.build(plan), *switch(plan, names)]
        )
    elif statements := mend(plan):
        yield Step("Mend: all or nothing.", statements)
    for statement in [*copying.vacuum(plan), *copying.settle(plan)]:
        yield Step("Settle: each statement in a transaction of its own.", [statement])


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The statements of `backward`, with those that it leaves out where both tables are found equal."""
    names = identity.read_identity(plan, open_session(plan))
    statements = [lock_both(plan), *copying.let_go(plan), *switch_back(plan, names, run.kept, reconcile=True)]
    yield Step("Move back: all or nothing.", statements)
    for statement in copying.settle_back(plan):
        yield Step("Settle: each statement in a transaction of its own.", [statement])
