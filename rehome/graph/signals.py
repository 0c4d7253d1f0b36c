"""Receivers of the signals that Django sends around migrations, whichever command or program runs them."""

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from rehome.errors import RehomeError
from rehome.graph import breaking, cut, repair
from rehome.graph.discovery import find_moves
from rehome.graph.ending import found
from rehome.graph.leading_out import LeadingOut
from rehome.graph.status import Status
from rehome.models import Phase
from rehome.parts import made
from rehome.plan.ledger import Ledger
from rehome.plan.phases import PHASES
from rehome.postgres.session import Session

Plan = list[tuple[Migration, bool]]
SILENT: ContextVar[frozenset[str]] = ContextVar("SILENT", default=frozenset())
"""Which of the functions here, and of the system checks, the command that runs sees to itself."""


@contextlib.contextmanager
def silent(*names: str) -> Iterator[None]:
    token = SILENT.set(SILENT.get() | {*names})
    try:
        yield
    finally:
        SILENT.reset(token)


def before_migrations(using: str, plan: Plan | None = None, **signal: Any) -> None:
    """Raise RehomeError, before the first migration is applied, where one of the plan would break a move there."""
    connection = connections[using]
    if "before" in SILENT.get() or not goes_forward(plan, connection):
        return
    cut.refuse_dropped([migration for migration, backwards in plan or [] if not backwards], connection)
    moves, endings = has_moves(), found.find_named(MigrationLoader(None, ignore_no_migrations=True))
    with Session(connection).patient() if moves or endings else contextlib.nullcontext():
        if endings:
            coming = {(migration.app_label, migration.name) for migration, backwards in plan or [] if not backwards}
            found.refuse_early(coming, MigrationLoader(connection), connection)
        if moves:
            refuse_breaking(plan or [], connection)


def has_moves() -> bool:
    """Without a query."""
    return any(find_moves(MigrationLoader(None, ignore_no_migrations=True)))


def refuse_breaking(plan: Plan, connection: BaseDatabaseWrapper) -> None:
    findings = breaking.in_plan(plan, MigrationLoader(connection), connection, standing(connection))
    if findings:
        listed = "\n".join(map(str, findings))
        raise RehomeError(f"{listed} Nothing has been applied.")


def goes_forward(plan: Plan | None, connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql" and any(not backwards for _, backwards in plan or ())


def standing(connection: BaseDatabaseWrapper) -> dict[str, Phase]:
    """The phases of the moves that stand on this database, by the moves' names."""
    runs = sorted(Ledger(connection.alias).all(), key=lambda run: run.pk)
    phases = {run.move: Phase(run.phase) for run in runs if run.phase in Phase.values}
    return {move: phase for move, phase in phases.items() if PHASES[phase].compared}


def after_migrations(using: str, plan: Plan | None = None, **signal: Any) -> None:
    """Renew the triggers of moves whose tables the plan has altered, or made whole again by unapplying migrations; what
    can't be done at once is told.
    """
    connection = connections[using]
    if "after" in SILENT.get() or not plan or connection.vendor != "postgresql" or connection.in_atomic_block:
        return
    if not has_moves():
        return
    out = signal.get("stdout") or sys.stdout
    with Session(connection).patient():
        for status, error in renew(plan, connection):
            if error:
                out.write(f"  {status} could not be repaired: {error}\n")
            elif signal.get("verbosity", 1):
                out.write(f"  Repaired {status}.\n")


def after_tables_went(using: str, plan: Plan | None = None, **signal: Any) -> None:
    """Drop the functions of triggers that went with tables which the plan has dropped: a fence's, above all."""
    connection = connections[using]
    if connection.vendor == "postgresql" and any(backwards for _, backwards in plan or ()) and has_moves():
        Session(connection).execute_all(made.drop_uncalled(connection))


def before_label_goes(instance: Any, using: str, **signal: Any) -> None:
    """Refuse to delete a content type that a move which stands has left to either side's code, as Django's
    `remove_stale_contenttypes` does: rows that name it would go with it, and permissions under it.
    """
    connection, label = connections[using], f"{instance.app_label}.{instance.model}"
    if connection.vendor != "postgresql":
        return
    for move, phase in standing(connection).items():
        if label in move.lower().split(" -> "):
            raise RehomeError(
                f"The content type {label} is not deleted: {move} is {str(phase)!r} on database {using!r}, and what "
                "one side's code writes names it. End the move first (`manage.py endmoves`, then `manage.py migrate`)."
            )


def renew(plan: Plan, connection: BaseDatabaseWrapper) -> Iterator[tuple[Status, RehomeError | None]]:
    if goes_forward(plan, connection):
        yield from repair.run_all(repair.find(MigrationLoader(connection), connection), connection)
    elif phases := standing(connection):
        leading_out = LeadingOut(connection)
        leading_out.unapplied((migration for migration, _ in plan), phases)
        yield from leading_out.heal()
