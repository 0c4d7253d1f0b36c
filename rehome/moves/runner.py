"""Which way a move goes, forwards and backwards."""

import contextlib
import itertools
from collections.abc import Iterator

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.models import MoveRun, Phase
from rehome.moves import back, in_place, resume, state, steps
from rehome.moves.online import Online
from rehome.moves.retire import Drop, Retire, Unretire
from rehome.moves.steps import Step
from rehome.moves.transactional import Transactional
from rehome.moves.way import Way
from rehome.plan import resolve
from rehome.plan.declaration import Declaration
from rehome.plan.historical import is_allowed
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.plan.resolve import renew
from rehome.postgres import conf
from rehome.postgres.session import Session
from rehome.preflight import checks


def forward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Move the rows, or resume an interrupted move; where it is live, repair and settle it again.

    Raises Refused before anything is written, MoveFailed or LockNotObtained after everything is undone.
    """
    if not is_allowed(move, apps, connection):
        return
    with alone(move, apps, connection) as (plan, run):
        if state.is_retired(plan, run):
            return
        way = way_forward(plan, run)
        if run and run.phase == Phase.PREPARED and not isinstance(way, Online):
            resume.cancel(plan, run)
            way = way_forward(renew(plan), None)
        way.go()


def backward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Move every row back to the source, with all that was written since, in one transaction.

    Raises Refused before anything is written; any failure leaves both tables live and in sync.
    """
    if not is_allowed(move, apps, connection):
        return
    with alone(move, apps, connection) as (plan, run):
        if run and state.is_retired(plan, run):
            # A way back that ends here must not have unretired the old table for nothing.
            checks.check_nothing_lost(plan)
            Unretire(plan, run).go()
            plan = renew(plan)
            run = Ledger(connection.alias).current(plan)
        way_backward(plan, run).go()


def way_forward(plan: Plan, run: MoveRun | None) -> Way:
    """An interrupted run is resumed in its own way; what is live is settled in the default one."""
    if goes_in_place(plan, run):
        return in_place.Forward(plan, run)
    return Online(plan, run) if goes_online(plan, run) else Transactional(plan, run)


def way_backward(plan: Plan, run: MoveRun | None) -> Way:
    return in_place.Back(plan, run) if run and state.went_in_place(run) else back.Back(plan, run)


def goes_in_place(plan: Plan, run: MoveRun | None) -> bool:
    """A move that stands is finished the way it went, whatever is declared by now."""
    if run is None or state.is_in_place(plan, run):
        return run is not None or plan.move.in_place
    begun = standing(run).online or state.is_live(plan, run)
    return plan.move.in_place and not begun


def goes_online(plan: Plan, run: MoveRun | None) -> bool:
    if run and standing(run).online:
        return True
    begun = run is not None and state.is_live(plan, run)
    return not begun and (conf.online() if plan.move.online is None else plan.move.online)


def cancel(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> bool:
    """Undo whatever an interrupted move has done; whether there was anything to undo.

    Raises Refused, LockNotObtained; then nothing is undone.
    """
    begun = Ledger(connection.alias).latest_named(str(move))
    # A move that was not interrupted is not resolved: its tables may be gone by then.
    if begun is None or not standing(begun).interrupted or not is_allowed(move, apps, connection):
        return False
    with alone(move, apps, connection) as (plan, run):
        if run is None or not standing(run).interrupted:
            return False
        with steps.explained(plan, "Nothing has been cancelled."):
            resume.cancel(plan, run)
        return True


def retire(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Replace the old tables by views of the new ones; nothing where they are.

    Raises Refused before anything is written; any failure leaves both tables live and in sync.
    """
    with alone(move, apps, connection) as (plan, run):
        Retire(plan, run).go()


def unretire(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Undo `retire`: the old tables are there again, with everything that was written since; nothing where they are."""
    with alone(move, apps, connection) as (plan, run):
        Unretire(plan, run).go()


def drop(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Drop the old tables of a retired move for good."""
    with alone(move, apps, connection) as (plan, run):
        Drop(plan, run).go()


@contextlib.contextmanager
def alone(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> Iterator[tuple[Plan, MoveRun | None]]:
    """The plan and the last run of the only move that runs in this database until the block ends."""
    checks.check_connection(connection)
    with Session(connection).only_move(str(move)):
        plan = resolve.resolve(move, apps, connection)
        yield plan, Ledger(connection.alias).current(plan)


# ----- what a move would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The steps of `forward`; where the move stands, those that repair it."""
    if state.is_retired(plan, run):
        return Retire(plan, run).steps()
    way = way_forward(plan, run)
    if isinstance(way, in_place.Forward) and way.fresh:
        in_place.check_parts(plan)
    return way.steps()


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The steps of `backward`."""
    if not state.went_in_place(run) and state.is_retired(plan, run):
        undone = Unretire(plan, run)
        return itertools.chain(undone.steps(), back.Back(undone.afterwards, run).steps())
    return way_backward(plan, run).steps()
