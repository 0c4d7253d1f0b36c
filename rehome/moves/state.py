"""Where a run stands, by its record and by the tables; the phases themselves are in `plan.phases`."""

from rehome.models import MoveRun, Phase
from rehome.parts import made, sequences, sync
from rehome.plan import resolve
from rehome.plan.phases import TWO_TABLES
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import asking, sql
from rehome.preflight import checks


def settled(plan: Plan) -> Phase:
    """What a move by copying is once nothing is left to do."""
    return Phase.LIVE if plan.reversible else Phase.FROZEN


def is_live(plan: Plan, run: MoveRun) -> bool:
    """Whether the move stands; tables that were made anew since the run share no rows, triggers or sequence."""
    return run.phase in TWO_TABLES and (
        sync.state(plan) != "missing" or not is_empty(plan) or sequences.draw_from_one(plan.main)
    )


def is_empty(plan: Plan) -> bool:
    return not any(asking.query(plan.connection, sql.has_rows(pair.target).as_string())[0][0] for pair in plan.pairs)


def has_no_rows(plan: Plan) -> bool:
    """Also no where it can't be asked yet, of what a check refuses."""
    tables = [table for pair in plan.pairs for table in (pair.source, pair.target)]
    asked = all(table.kind == "r" and table.owned and not table.row_security for table in tables)
    return asked and not any(checks.has_rows(table, plan) for table in tables)


def is_in_place(plan: Plan, run: MoveRun) -> bool:
    """Whether the old name is still a view; tables that were made anew since the run are a move of their own."""
    return run.phase == Phase.IN_PLACE and plan.main.source.kind == "v"


def is_retired(plan: Plan, run: MoveRun | None) -> bool:
    """The same for a retired move, whose view may be gone where the set-aside table is still there."""
    if run is None or run.phase != Phase.RETIRED:
        return False
    return plan.main.source.kind == "v" or resolve.is_source(plan, run)


def went_in_place(run: MoveRun) -> bool:
    return Record.of(run).in_place is not None


def can_unretire(run: MoveRun) -> bool:
    """Whether the old rows are still set aside."""
    return run.phase == Phase.RETIRED and bool(Record.of(run).aside)


def lacks_keys(run: MoveRun) -> bool:
    """Whether the undo of a retirement stopped before it had created the foreign keys again."""
    return run.phase == Phase.LIVE and Record.of(run).foreign_keys is not None


def needs_work(plan: Plan, run: MoveRun) -> bool:
    """Whether a crash left foreign keys undone behind the commit of either way, or a view is not what it was."""
    record = Record.of(run)
    undone = record.unvalidated is not None or lacks_keys(run)
    return undone or (is_retired(plan, run) and made.is_damaged(plan, record))
