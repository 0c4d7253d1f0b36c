"""Which way a move goes, forwards and backwards."""

import contextlib
import itertools
from collections.abc import Iterator

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.models import MoveRun, Phase
from rehome.moves import back, in_place, resume, state, steps
from rehome.moves.cut_off import CutOff
from rehome.moves.empty import Empty, Filled
from rehome.moves.online import Online
from rehome.moves.refill import Lost, Refill, Renew
from rehome.moves.retire import Drop, Retire, Unretire
from rehome.moves.steps import Step
from rehome.moves.transactional import Transactional
from rehome.moves.way import Way
from rehome.parts import grants
from rehome.plan import resolve
from rehome.plan.declaration import Declaration
from rehome.plan.historical import get_model, get_table, is_allowed, is_never_made
from rehome.plan.ledger import Ledger
from rehome.plan.phases import LIVE, standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import conf, settings
from rehome.postgres.session import Session
from rehome.preflight import checks
from rehome.preflight.records import read_run
from rehome.terminal import Progress


def forward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Move the rows, or resume an interrupted move; where it is live, repair and settle it again.

    Raises Refused before anything is written, MoveFailed or LockNotObtained after everything is undone.
    """
    if not is_allowed(move, apps, connection):
        return
    checks.check_server(connection)
    with settings.own(connection, held=True):
        if find_ended(move, connection):
            return
        if is_never_made(get_model(apps, move.source), connection):
            record_ended(move, apps, connection)
            return
        move_forward(move, apps, connection)


def move_forward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    with alone(move, apps, connection) as (plan, run):
        if state.is_retired(plan, run):
            return
        plan, run = finish_unretiring(plan, run)
        way = way_forward(plan, run)
        if run and run.phase == Phase.PREPARED and not isinstance(way, Online):
            resume.cancel(plan, run)
            plan, run = renew(plan), None
            way = way_forward(plan, run)
        try:
            way.go()
        except Filled:
            way_for_rows(renew(plan), run).go()


def backward(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Move every row back to the source, with all that was written since, in one transaction.

    Raises Refused before anything is written; any failure leaves both tables live and in sync.
    """
    if not is_allowed(move, apps, connection):
        return
    if ended := find_ended(move, connection):
        checks.refuse_ended(move, apps, connection)
        Ledger(connection.alias).forget(ended)
        return
    with alone(move, apps, connection) as (plan, run):
        if run and state.is_retired(plan, run):
            # A way back that ends here must not have unretired the old table for nothing.
            checks.check_nothing_lost(plan)
            Unretire(plan, run).go()
            plan = renew(plan)
            run = Ledger(connection.alias).current(plan)
        plan, run = finish_unretiring(plan, run)
        way_backward(plan, run).go()


def find_ended(move: Declaration, connection: BaseDatabaseWrapper) -> MoveRun | None:
    """The run of a move of whose source nothing is left on this database."""
    checks.check_connection(connection)
    run = Ledger(connection.alias).latest_named(str(move))
    return run if run and run.phase == Phase.ENDED else None


def record_ended(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Of a source that is unmanaged or swapped out, a new database has no table, and the move has nothing to do."""
    target = get_table(connection, get_model(apps, move.target))
    source = get_model(apps, move.source)._meta.db_table
    Ledger(connection.alias).record_ended(str(move), f"{target.schema}.{source}", str(target))


def finish_unretiring(plan: Plan, run: MoveRun | None) -> tuple[Plan, MoveRun | None]:
    """Where a crash left foreign keys that a retirement dropped, create them first: no other way knows of them."""
    if run is None or not state.lacks_keys(run):
        return plan, run
    Unretire(plan, run).go()
    plan = renew(plan)
    return plan, Ledger(plan.connection.alias).current(plan)


def way_forward(plan: Plan, run: MoveRun | None) -> Way:
    """An interrupted run is resumed in its own way; what is live is settled in the default one."""
    if goes_in_place(plan, run):
        return in_place.Forward(plan, run)
    fresh = run is None or not (standing(run).interrupted or state.is_live(plan, run))
    return Empty(plan, None) if fresh and state.has_no_rows(plan) else way_for_rows(plan, run)


def way_for_rows(plan: Plan, run: MoveRun | None) -> Way:
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
        progress = Progress(f"{plan}: cancelling, database {connection.alias!r}", steps=0)
        for note in grants.find_gone(Record.of(run), connection):
            progress.note(note)
        with steps.explained(plan, "Nothing has been cancelled."):
            resume.cancel(plan, run)
        return True


def retire(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Replace the old tables by views of the new ones; nothing where they are.

    Raises Refused before anything is written; any failure leaves both tables live and in sync.
    """
    with alone(move, apps, connection) as (plan, run):
        Retire(*finish_unretiring(plan, run)).go()


def unretire(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Undo `retire`: the old tables are there again, with everything that was written since; nothing where they are."""
    with alone(move, apps, connection) as (plan, run):
        Unretire(plan, run).go()


def drop(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Drop the old tables of a retired move for good."""
    with alone(move, apps, connection) as (plan, run):
        Drop(plan, run).go()


def repair(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Create and correct what is missing or changed of a move that stands; no row is moved."""
    with alone(move, apps, connection) as (plan, run):
        plan, run = finish_unretiring(plan, run)
        if run is not None and standing(run).compared:
            (Retire(plan, run) if state.is_retired(plan, run) else way_forward(plan, run)).go()


def cut_off(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """End a live move whose old table is gone; nothing where it is there."""
    checks.check_connection(connection)
    with Session(connection).only_move(str(move)), settings.own(connection, held=True):
        if plan := resolve.without_source(move, apps, connection):
            CutOff(plan, Ledger(connection.alias).current(plan)).go()


def refill(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper, lost: Lost) -> None:
    """Give one side of a live move again what the other has, once Django has made a table or a column of it anew.

    Raises Refused before anything is written; any failure leaves the tables as Django has left them.
    """
    with alone(move, apps, connection) as (plan, run):
        if run is not None and run.phase in LIVE:
            Refill(plan, run, lost).go()


def renew_triggers(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Make the triggers of a live move again, for every session, after a column has had another type."""
    with alone(move, apps, connection) as (plan, run):
        if run is not None and run.phase in LIVE and plan.reversible:
            Renew(plan, run).go()


@contextlib.contextmanager
def alone(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> Iterator[tuple[Plan, MoveRun | None]]:
    """The plan and the last run of the only move that runs in this database until the block ends."""
    checks.check_connection(connection)
    with Session(connection).only_move(str(move)), settings.own(connection, held=True):
        plan = resolve.resolve(move, apps, connection)
        checks.refuse_open_transaction(plan)
        ledger = Ledger(connection.alias)
        if run := ledger.current(plan):
            ledger.convert(run)
        yield plan, read_run(plan, ledger)


# ----- what a move would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The steps of `forward`; where the move stands, those that repair it."""
    if state.is_retired(plan, run):
        return Retire(plan, run).steps()
    left = Unretire(plan, run).steps() if run and state.lacks_keys(run) else ()
    way = way_forward(plan, run)
    if isinstance(way, in_place.Forward) and way.fresh:
        in_place.check_parts(plan)
    return itertools.chain(left, way.steps())


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    """The steps of `backward`."""
    if state.lacks_keys(run) or (not state.went_in_place(run) and state.is_retired(plan, run)):
        undone = Unretire(plan, run)
        return itertools.chain(undone.steps(), back.Back(undone.afterwards, run).steps())
    return way_backward(plan, run).steps()
