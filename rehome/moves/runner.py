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
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.plan.resolve import renew
from rehome.postgres import conf
from rehome.postgres.session import Session
from rehome.preflight import checks, retirement
from rehome.terminal import Progress


def forward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Move the rows, or finish the move that a crash cut short; where it is live, mend and settle it again.

    Raises Refused before anything is written, MoveFailed or LockNotObtained after everything is undone.
    """
    if not is_allowed(move, apps, connection):
        return
    with alone(move, apps, connection) as (plan, ledger):
        run = ledger.current(plan)
        if not state.is_retired(plan, run):
            way_forward(plan, run).forward(plan, ledger, run)


def backward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Give every row to the source again, with all that was written since, in one transaction.

    Raises Refused before anything is written; any failure leaves both tables live and in step.
    """
    if not is_allowed(move, apps, connection):
        return
    with alone(move, apps, connection) as (plan, ledger):
        run = ledger.current(plan)
        if run and state.is_retired(plan, run):
            # A way back that ends here must not have brought the old table back for nothing.
            checks.check_nothing_lost(plan)
            retiring.unretire(plan, ledger, run)
            plan, run = renew(plan), ledger.current(plan)
        if run and state.went_in_place(run):
            in_place.backward(plan, ledger, run)
        else:
            back.backward(plan, ledger, run)


def way_forward(plan: Plan, run: MoveRun | None) -> ModuleType:
    """A run that was cut short goes on in its own way; what is live is settled in the default one."""
    if goes_in_place(plan, run):
        return in_place
    return online if goes_online(plan, run) else transactional


def goes_online(plan: Plan, run: MoveRun | None) -> bool:
    if run and standing(run).online:
        return True
    begun = run is not None and state.is_live(plan, run)
    return not begun and (conf.online() if plan.move.online is None else plan.move.online)


def give_up(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> bool:
    """Undo whatever a move that was cut short has done; whether there was anything to undo.

    Raises Refused, LockNotObtained; then nothing is undone.
    """
    begun = Ledger(connection.alias).latest_named(str(move))
    # A move that left nothing half done is not resolved: its tables may be gone by then.
    if begun is None or not standing(begun).interrupted or not is_allowed(move, apps, connection):
        return False
    with alone(move, apps, connection) as (plan, ledger):
        run = ledger.current(plan)
        if run is None or not standing(run).interrupted:
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


def unretire(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Undo `retire`: the old tables are there again, with everything that was written since; nothing where they are."""
    with alone(move, apps, connection) as (plan, ledger):
        retiring.unretire(plan, ledger, ledger.current(plan))


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
    if run is None or state.is_in_place(plan, run):
        return run is not None or plan.move.in_place
    begun = standing(run).online or state.is_live(plan, run)
    return plan.move.in_place and not begun


# ----- what a move would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The steps of `forward`; where the move stands, those that repair it."""
    ledger = Ledger(plan.connection.alias)
    if run and state.is_retired(plan, run):
        return retiring.Retire(plan, ledger, run).steps()
    if goes_in_place(plan, run):
        way = in_place.Forward(plan, ledger, run)
        if way.fresh:
            in_place.check_parts(plan)
        return way.steps()
    if goes_online(plan, run):
        return online.Online(plan, ledger, None, Progress(str(plan), steps=online.STEPS)).steps()
    return transactional.Transactional(plan, ledger, run).steps()


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The steps of `backward`."""
    ledger = Ledger(plan.connection.alias)
    if state.went_in_place(run):
        return in_place.Back(plan, ledger, run).steps()
    if state.is_retired(plan, run):
        undone = retiring.Unretire(plan, ledger, retirement.check_retired(plan, run))
        return itertools.chain(undone.steps(), back.Back(undone.afterwards, ledger, run).steps())
    return back.Back(plan, ledger, run).steps()


def retire_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The steps of `retire`, after all that it refuses but differences."""
    return retiring.Retire(plan, Ledger(plan.connection.alias), retirement.check(plan, run)).steps()


def unretire_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    return retiring.Unretire(plan, Ledger(plan.connection.alias), retirement.check_retired(plan, run)).steps()


def drop_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    return retiring.Drop(plan, Ledger(plan.connection.alias), retirement.check_retired(plan, run)).steps()
