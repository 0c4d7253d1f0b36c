"""What the ways of moving share: groups of statements that stand for one moment of a move, and what failures say."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from django.db import DatabaseError, InterfaceError, OperationalError
from psycopg.errors import ObjectNotInPrerequisiteState

from rehome.errors import LockNotObtained, MoveFailed, RehomeError, one_line
from rehome.parts import content_types, foreign_keys, grants, identity, rows, sequences, sync, writes
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import locks, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import Statement
from rehome.postgres.tables import Table
from rehome.verify import comparison

REFUSALS = {"54", "55"}
"""Classes of SQLSTATE that Django takes for a server in trouble: a limit of PostgreSQL, the state of an object."""


@dataclasses.dataclass(frozen=True)
class Step:
    """Statements that succeed or fail together, and what they do in a person's words."""

    name: str
    statements: list[Statement]


def open_session(plan: Plan) -> Session:
    tables = {table.oid for pair in plan.pairs for table in (pair.source, pair.target)}
    pointed_at = {key.referenced_oid for pair in plan.pairs for key in pair.target.foreign_keys}
    return Session(plan.connection, tables | pointed_at | content_types.table_oids(plan))


@contextlib.contextmanager
def explained(plan: Plan, outcome: str, *, again: str = "the migration") -> Iterator[None]:
    """Say what PostgreSQL said, what has become of the rows: `outcome`, a sentence, and what to run `again`."""
    try:
        yield
    except LockNotObtained as error:
        raise LockNotObtained(f"{error} {outcome}") from error
    except (DatabaseError, InterfaceError) as error:
        raise MoveFailed(f"{plan}: {describe(error, outcome, again)}") from error


def describe(error: Exception, outcome: str, again: str) -> str:
    """A sentence on what PostgreSQL said, or on its silence, then `outcome`, and what to do."""
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None) or ""
    if isinstance(cause, ObjectNotInPrerequisiteState) and cause.diag.message_hint:
        # What a fence says is whole sentences.
        return f"PostgreSQL refused: {cause.diag.message_primary} {outcome} {cause.diag.message_hint}"
    if isinstance(error, (OperationalError, InterfaceError)) and state[:2] not in REFUSALS:
        return f"The connection was lost or the server gave up: {one_line(error)}. {outcome} Run {again} again."
    return (
        f"PostgreSQL refused: {one_line(error)}. {outcome} "
        f"Correct the rows or the definition that it names, then run {again} again."
    )


def lock_both(plan: Plan) -> list[Statement]:
    """Nobody else writes to either table; readers go on."""
    return locks.lock(tables_of(plan), "SHARE ROW EXCLUSIVE")


def tables_of(plan: Plan) -> list[Table]:
    return [table for pair in plan.pairs for table in (pair.source, pair.target)]


@contextlib.contextmanager
def undone_on_failure(plan: Plan, undo: Callable[[], object]) -> Iterator[None]:
    """After a failure, undo what is committed already if that can be done at once; else the next run begins so."""
    alone = plan.connection.connection
    try:
        yield
    except BaseException:
        # On a new connection nothing would keep another run away, and a lock may not be granted now.
        if plan.connection.connection is alone:
            with contextlib.suppress(DatabaseError, InterfaceError, RehomeError):
                undo()
        raise


def switch(plan: Plan, names: identity.Identity | None) -> list[Statement]:
    """From here both tables live. Rows of the source that point at the names are corrected, and the target's by the
    triggers: where there is no way back, by those that carry one way, before the source is frozen.
    """
    named = identity.carry(names)
    if named and not plan.reversible:
        named = [*sync.install_for_copying(plan), *named, *sync.remove_for_copying(plan)]
    return [
        *sequences.follow(plan),
        *([] if plan.reversible else named),
        *sync.install(plan),
        *writes.restart(plan),
        *grants.carry(plan),
        *(named if plan.reversible else []),
    ]


def switch_back(plan: Plan, names: identity.Identity | None, record: Record, *, reconcile: bool) -> list[Statement]:
    """From here only the source lives; the target wins where a trigger had been missing."""
    corrections = [statement for pair in plan.pairs for statement in rows.reconcile(pair)]
    return [
        *sync.remove(plan),
        *(corrections if reconcile else []),
        # Deferred checks that the corrections queued would forbid the ALTER TABLEs that follow.
        sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"),
        *sequences.give_back(record, plan),
        *grants.give_back(record, plan),
        # What the target has is the source's by now, and would forbid what is dropped with its names.
        *foreign_keys.empty(plan),
        *identity.give_back(names, record),
        *sync.raise_fence(plan),
    ]


def mend(plan: Plan) -> list[Statement]:
    """What a live move lacks of its triggers and its sequences; rows that were written without them stay."""
    session = open_session(plan)
    statements = sync.install(plan) if sync.state(plan) != "installed" else []
    for pair in plan.pairs:
        statements += [] if sequences.is_ahead(session, pair) else sequences.mend(pair)
    return [*lock_both(plan), *statements] if statements else []


def refuse_differences(plan: Plan, comparison: comparison.Comparison) -> None:
    if comparison.equal:
        return
    shown = "; ".join(map(str, comparison.differences)) or f"{comparison.orphans} orphaned foreign keys"
    raise MoveFailed(
        f"{plan}: the copy differs from the source ({comparison.missing} missing, {comparison.extra} extra, "
        f"{comparison.different} different, {comparison.orphans} orphans): {shown}. Everything is undone; "
        "a value that PostgreSQL changes on assignment needs an expression in fields={...}."
    )
