"""The order of the phases, forward and backward; nothing else loops over them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, router
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome import copying, grants, identity, preflight, sequences, sql, sync, verify
from rehome.errors import MoveFailed, RehomeError
from rehome.ledger import LIVE, Ledger
from rehome.models import MoveRun, Phase
from rehome.plan import Plan, make_plan
from rehome.progress import Progress
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
    """Move the rows, or finish the move that a crash cut short; on a database where it is live, settle again.

    Raises Refused before anything is written, MoveFailed or LockNotObtained after everything is undone.
    """
    preflight.check_server(connection)
    if not router.allow_migrate_model(connection.alias, apps.get_model(*move.target.split("."))):
        return
    with Session(connection).only_move():
        plan = make_plan(move, apps, connection)
        ledger = Ledger(connection.alias)
        run = ledger.current(plan)
        if run and run.phase == Phase.PREPARED:
            undo_preparation(run, ledger, open_session(plan))
            plan, run = make_plan(move, apps, connection), None
        if run is None or run.phase not in LIVE or sync.state(plan) == "missing":
            preflight.check_forward(plan, ledger)
            run = move_rows(plan, ledger)
        settle(plan, ledger, run)


def move_rows(plan: Plan, ledger: Ledger) -> MoveRun:
    """Prepare, then everything else in one transaction; whatever fails, the target is left as it was."""
    session = open_session(plan)
    progress = Progress(f"{plan}: moving on database {plan.connection.alias!r}", steps=5)
    with session.transaction():
        run = ledger.begin(plan, copying.to_keep(plan))
    try:
        with progress.step("put the target's indexes and foreign keys away"):
            for statement in copying.put_away(plan):
                session.run(statement)
        with session.transaction():
            move_in_transaction(plan, session, ledger, run, progress)
    except BaseException as error:
        with contextlib.suppress(DatabaseError):
            # Without a connection this can't be done now; the next run begins with it.
            undo_preparation(run, ledger, session)
        if isinstance(error, DatabaseError) and not isinstance(error, RehomeError):
            raise MoveFailed(
                f"{plan}: PostgreSQL refused: {str(error).strip()} Nothing has been moved; "
                "correct the rows or the target's definition, then run the migration again."
            ) from error
        raise
    return run


def move_in_transaction(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    """Copy, build, compare, and only then take the locks that others would notice, just before the commit."""
    sources, targets = [pair.source for pair in plan.pairs], [pair.target for pair in plan.pairs]
    session.run(sql.lock(sources, "SHARE"), sql.lock(targets, "EXCLUSIVE"), *sync.lower_fence(plan))
    preflight.check_target_empty(plan)
    with progress.step(f"copy {', '.join(map(str, sources))}"):
        copied = [session.execute(statement) for statement in copying.copy(plan)]
    with progress.step("build indexes"):
        for statement in copying.build(plan):
            session.execute(statement)
    with progress.step("compare every row"):
        refuse_differences(plan, verify.compare(plan, session))
    with progress.step("sequences, content types, permissions, triggers, foreign keys"):
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


def switch(plan: Plan, names: identity.Identity | None) -> list[Statement]:
    """From here both tables live. Foreign keys are last: their lock on the table they point at is the widest."""
    return [
        *sequences.share(plan),
        *sync.install(plan),
        *grants.carry(plan),
        *identity.carry(names),
        *copying.add_foreign_keys(plan),
    ]


def settle(plan: Plan, ledger: Ledger, run: MoveRun) -> None:
    """Validate and analyze; a failure leaves a move that is complete, and the next run settles it."""
    session = open_session(plan)
    progress = Progress(f"{plan}: settling", steps=1)
    with progress.step("validate foreign keys, gather statistics"):
        for statement in copying.settle(plan):
            session.run(statement)
    ledger.advance(run, Phase.LIVE)


def undo_preparation(run: MoveRun, ledger: Ledger, session: Session) -> None:
    """Give the empty target its indexes and foreign keys again, and forget the run."""
    with session.transaction():
        session.run(*copying.put_back(run.kept))
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
    preflight.check_server(connection)
    if not router.allow_migrate_model(connection.alias, apps.get_model(*move.target.split("."))):
        return
    with Session(connection).only_move():
        plan = make_plan(move, apps, connection)
        ledger = Ledger(connection.alias)
        run = preflight.check_backward(plan, ledger)
        session = open_session(plan)
        progress = Progress(f"{plan}: moving back on database {connection.alias!r}", steps=3)
        with session.transaction():
            return_in_transaction(plan, session, ledger, run, progress)
        with progress.step("validate foreign keys that point at the target"):
            for statement in copying.settle_back(plan):
                session.run(statement)


def return_in_transaction(plan: Plan, session: Session, ledger: Ledger, run: MoveRun, progress: Progress) -> None:
    tables = [table for pair in plan.pairs for table in (pair.source, pair.target)]
    session.run(sql.lock(tables, "SHARE ROW EXCLUSIVE"))
    preflight.check_nothing_lost(plan)
    with progress.step("compare every row"):
        comparison = verify.compare(plan, session)
        preflight.check_source_knows(plan, comparison)
    with progress.step("triggers, sequences, content types, permissions; empty the target"):
        names = identity.read_identity(plan, session)
        session.run(*switch_back(plan, names, run.kept, reconcile=not comparison.equal))
        ledger.advance(run, Phase.BACK, rows=comparison.target_rows)
    identity.forget_cached()


def switch_back(
    plan: Plan, names: identity.Identity | None, kept: dict[str, Any], *, reconcile: bool
) -> list[Statement]:
    """From here only the source lives; the target wins where a trigger had been missing."""
    corrections = [statement for pair in plan.pairs for statement in sql.reconcile(pair.backward, pair.forward)]
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
    return Session(plan.connection, tables)


# ----- what a move would run, for `sqlmove`


def forward_steps(plan: Plan) -> Iterator[Step]:
    session = open_session(plan)
    sources, targets = [pair.source for pair in plan.pairs], [pair.target for pair in plan.pairs]
    for statement in copying.put_away(plan):
        yield Step("prepare, each statement in a transaction of its own", [statement])
    yield Step(
        "move, in one transaction",
        [
            sql.lock(sources, "SHARE"),
            sql.lock(targets, "EXCLUSIVE"),
            *sync.lower_fence(plan),
            *copying.copy(plan),
            *copying.build(plan),
            *switch(plan, identity.read_identity(plan, session)),
        ],
    )
    for statement in copying.settle(plan):
        yield Step("settle, each statement in a transaction of its own", [statement])


def backward_steps(plan: Plan, kept: dict[str, Any]) -> Iterator[Step]:
    session = open_session(plan)
    tables = [table for pair in plan.pairs for table in (pair.source, pair.target)]
    names = identity.read_identity(plan, session)
    yield Step(
        "move back, in one transaction",
        [sql.lock(tables, "SHARE ROW EXCLUSIVE"), *switch_back(plan, names, kept, reconcile=False)],
    )
    for statement in copying.settle_back(plan):
        yield Step("settle, each statement in a transaction of its own", [statement])
