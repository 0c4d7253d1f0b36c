"""Which way a move goes, forwards and backwards."""

import contextlib
import itertools
from collections.abc import Iterator
from types import ModuleType

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.models import MoveRun
from rehome.moves import back, in_place, online, resume, state, steps, transactional
from rehome.moves import retire as retiring
from rehome.moves.steps import Step
from rehome.plan import resolve
from rehome.plan.declaration import Declaration
from rehome.plan.historical import is_allowed
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import conf
from rehome.postgres.session import Session
from rehome.preflight import checks


def forward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Move the rows, or finish the move that a crash cut short; where it is live, mend and settle it again.

    Raises Refused before anything is written, MoveFailed or LockNotObtained after everything is undone.
    """
    if not is_allowed(move, apps, connection):
        return
    with alone(move, apps, connection) as (plan, ledger):
        run = ledger.current(plan)
        if not retiring.stands(plan, run):
            way_forward(plan, run).forward(plan, ledger, run)


def backward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Give every row to the source again, with all that was written since, in one transaction.

    Raises Refused before anything is written; any failure leaves both tables live and in step.
    """
    if not is_allowed(move, apps, connection):
        return
    with alone(move, apps, connection) as (plan, ledger):
        run = ledger.current(plan)
        if run and retiring.stands(plan, run):
            # A way back that ends here must not have brought the old table back for nothing.
            checks.check_nothing_lost(plan)
            retiring.bring_back(plan, ledger, run)
            plan, run = renew(plan), ledger.current(plan)
        if run and went_in_place(run):
            in_place.backward(plan, ledger, run)
        else:
            back.backward(plan, ledger, run)


def way_forward(plan: Plan, run: MoveRun | None) -> ModuleType:
    """A run that was cut short goes on in its own way; what is live is settled in the default one."""
    if goes_in_place(plan, run):
        return in_place
    return online if goes_online(plan, run) else transactional


def goes_online(plan: Plan, run: MoveRun | None) -> bool:
    if run and run.phase in state.COPIED_BESIDE_WRITERS:
        return True
    begun = run is not None and state.is_live(plan, run)
    return not begun and (conf.online() if plan.move.online is None else plan.move.online)


def give_up(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> bool:
    """Undo whatever a move that was cut short has done; whether there was anything to undo.

    Raises Refused, LockNotObtained; then nothing is undone.
    """
    begun = Ledger(connection.alias).latest_named(str(move))
    # A move that left nothing half done is not resolved: its tables may be gone by then.
    if begun is None or begun.phase not in state.HALF_DONE or not is_allowed(move, apps, connection):
        return False
    with alone(move, apps, connection) as (plan, ledger):
        run = ledger.current(plan)
        if run is None or run.phase not in state.HALF_DONE:
            return False
        with steps.explained(plan, "Nothing has been given up."):
            resume.give_up(plan, ledger, run)
        return True


def retire(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Let views of the new tables take the old tables' places; nothing where they have.

    Raises Refused before anything is written; any failure leaves both tables live and in step.
    """
    with alone(move, apps, connection) as (plan, ledger):
        retiring.retire(plan, ledger, ledger.current(plan))


def bring_back(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Undo `retire`: the old tables are there again, with everything that was written since; nothing where they are."""
    with alone(move, apps, connection) as (plan, ledger):
        retiring.bring_back(plan, ledger, ledger.current(plan))


def drop(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Drop the old tables of a retired move for good."""
    with alone(move, apps, connection) as (plan, ledger):
        retiring.drop(plan, ledger, ledger.current(plan))


@contextlib.contextmanager
def alone(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> Iterator[tuple[Plan, Ledger]]:
    """The plan and the ledger of the only move that runs in this database until the block ends."""
    checks.check_connection(connection)
    with Session(connection).only_move(str(move)):
        yield resolve.resolve(move, apps, connection), Ledger(connection.alias)


def goes_in_place(plan: Plan, run: MoveRun | None) -> bool:
    """A move that stands is finished the way it went, whatever is declared by now."""
    if run is None or in_place.stands(plan, run):
        return run is not None or plan.move.in_place
    begun = run.phase in state.COPIED_BESIDE_WRITERS or state.is_live(plan, run)
    return plan.move.in_place and not begun


def went_in_place(run: MoveRun) -> bool:
    return Record.of(run).in_place is not None


# ----- what a move would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move is live, those that mend it."""
    if run and retiring.stands(plan, run):
        return retiring.retire_steps(plan, Ledger(plan.connection.alias), run)
    if goes_in_place(plan, run):
        return in_place.forward_steps(plan, run)
    return online.forward_steps(plan) if goes_online(plan, run) else transactional.forward_steps(plan, run)


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The statements of `backward`, with those that it leaves out where both tables are found equal."""
    if went_in_place(run):
        return in_place.backward_steps(plan, run)
    if retiring.stands(plan, run):
        return itertools.chain(
            retiring.bring_back_steps(plan, Ledger(plan.connection.alias), run),
            back.backward_steps(resolve.plan_of(plan, run, own_names=True), run),
        )
    return back.backward_steps(plan, run)
