"""Step: what a way of moving does next. Each way yields its steps once: `migrate` runs them, `sqlmove` prints them."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar

from django.db import DatabaseError, InterfaceError, OperationalError
from psycopg.errors import ObjectNotInPrerequisiteState

from rehome.errors import LockNotObtained, MoveFailed, one_line
from rehome.parts import content_types
from rehome.plan.plan import Plan
from rehome.postgres import waiting
from rehome.postgres.session import Group, Session
from rehome.postgres.sql import Statement
from rehome.postgres.states import RETRIED, TOO_LONG, cure_of, state_of
from rehome.postgres.tables import Table
from rehome.terminal import Progress


@dataclasses.dataclass(frozen=True)
class Do:
    """What a run does between its statements: a check, a comparison, an entry in the ledger."""

    act: Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Now:
    """The progress of a run says this from here on."""

    name: str


Action = Statement | Group | Do | Now
REFUSALS = {"54", "55"}
"""Classes of SQLSTATE that Django takes for a server in trouble: a limit of PostgreSQL, the state of an object."""


@dataclasses.dataclass(frozen=True)
class Step:
    """Actions that are run one by one, each group of statements in a transaction of its own.

    `body` looks at the database while it is run, so that it may yield what depends on what came before. `sqlmove` takes
    the statements from it without running any, so it must not rely on what a `Do` would have done.
    """

    name: str
    says: str
    """What the progress of a run says; empty for a step that it does not count."""
    outcome: str
    """Where the rows are when the step fails: a sentence."""
    body: Callable[[], Iterable[Action]]
    heading: ClassVar[str] = "each by itself"
    together: ClassVar[bool] = False

    def groups(self) -> Iterator[Group]:
        """The statements alone."""
        for action in self.body():
            if isinstance(action, Group):
                yield action
            elif not isinstance(action, Do | Now):
                yield Group((action,))

    def run(self, session: Session, progress: Progress) -> None:
        with contextlib.ExitStack() as shown:

            def now(name: str) -> None:
                shown.close()
                shown.enter_context(progress.step(name))

            if self.says:
                now(self.says)
            self.carry_out(session, now)

    def carry_out(self, session: Session, now: Callable[[str], object]) -> None:
        perform(self.body(), session.run_group, session.run, now)


@dataclasses.dataclass(frozen=True)
class Watched(Step):
    """Statements that wait for others' transactions: whose these are is told meanwhile."""

    def carry_out(self, session: Session, now: Callable[[str], object]) -> None:
        with waiting.watched(session.connection, session.waits):
            super().carry_out(session, now)


@dataclasses.dataclass(frozen=True)
class Whole(Step):
    """One short transaction, which is begun again while a lock is not granted. `body` asks for every lock first."""

    heading: ClassVar[str] = "all or nothing"
    together: ClassVar[bool] = True

    def carry_out(self, session: Session, now: Callable[[str], object]) -> None:
        session.retry_transaction(lambda: perform(self.body(), session.execute_group, session.execute, now))


@dataclasses.dataclass(frozen=True)
class Held(Whole):
    """One long transaction. A group in it is tried again by itself while a lock is not granted."""

    isolation: str = "READ COMMITTED"

    def carry_out(self, session: Session, now: Callable[[str], object]) -> None:
        with session.transaction(isolation=self.isolation):
            perform(self.body(), session.run_group, session.execute, now)


@dataclasses.dataclass(frozen=True)
class Batches(Step):
    """`copy` runs what `body` says for the whole table, for a few of its blocks at a time."""

    copy: Callable[[], object]
    heading: ClassVar[str] = "in batches of a few blocks, each in a transaction of its own"
    together: ClassVar[bool] = True

    def carry_out(self, session: Session, now: Callable[[str], object]) -> None:
        self.copy()


def perform(
    actions: Iterable[Action],
    run: Callable[[Group], object],
    execute: Callable[[Statement], object],
    now: Callable[[str], object],
) -> None:
    for action in actions:
        match action:
            case Do():
                action.act()
            case Now():
                now(action.name)
            case Group():
                if action.unless is None or not action.unless():
                    run(action)
            case _:
                execute(action)


def open_session(plan: Plan) -> Session:
    tables = {table.oid for pair in plan.pairs for table in (pair.source, pair.target)}
    pointed_at = {key.referenced_oid for pair in plan.pairs for key in pair.target.foreign_keys}
    return Session(plan.connection, tables | pointed_at | content_types.table_oids(plan))


@contextlib.contextmanager
def explained(plan: Plan, outcome: str, *, again: str = "the migration") -> Iterator[None]:
    """Add to PostgreSQL's error where the rows are: `outcome`, a sentence, and what to run `again`."""
    try:
        yield
    except LockNotObtained as error:
        raise LockNotObtained(f"{error} {outcome}") from error
    except (DatabaseError, InterfaceError) as error:
        raise MoveFailed(f"{plan}: {describe(error, outcome, again)}") from error


def describe(error: Exception, outcome: str, again: str) -> str:
    """PostgreSQL's error, or that it is gone, then `outcome`, and what to do."""
    cause = error.__cause__
    state = state_of(error)
    if isinstance(cause, ObjectNotInPrerequisiteState) and cause.diag.message_hint:
        # What a fence says is whole sentences.
        return f"PostgreSQL refused: {cause.diag.message_primary} {outcome} {cause.diag.message_hint}"
    if isinstance(error, OperationalError | InterfaceError) and state[:2] not in REFUSALS and state not in TOO_LONG:
        return f"The connection was lost or the server failed: {one_line(error)}. {outcome} Run {again} again."
    if state in RETRIED:
        return f"PostgreSQL refused: {one_line(error)}. {outcome} {cure_of(error)}"
    return (
        f"PostgreSQL refused: {one_line(error)}. {outcome} "
        f"Correct the rows or the definition that it names, then run {again} again."
    )


def tables_of(plan: Plan) -> list[Table]:
    return [table for pair in plan.pairs for table in (pair.source, pair.target)]
