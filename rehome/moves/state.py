"""Where a run stands, by its record and by the tables; the phases themselves are in `plan.phases`."""

from rehome.models import MoveRun, Phase
from rehome.parts import sequences, standing_views, sync
from rehome.plan import resolve
from rehome.plan.phases import LIVE
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import catalog, sql


def is_live(plan: Plan, run: MoveRun) -> bool:
    """Whether the move stands; tables that were made anew since the run share no rows, triggers or sequence."""
    return run.phase in LIVE and (
        sync.state(plan) != "missing" or not is_empty(plan) or sequences.draw_from_one(plan.main)
    )


def is_empty(plan: Plan) -> bool:
    return not any(catalog.query(plan.connection, sql.has_rows(pair.target).as_string())[0][0] for pair in plan.pairs)


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


def needs_work(plan: Plan, run: MoveRun) -> bool:
    """Whether a crash left foreign keys undone behind the commit of either way, or a view is not what it was."""
    record = Record.of(run)
    undone = record.unvalidated is not None or (run.phase == Phase.LIVE and record.foreign_keys is not None)
    return undone or (is_retired(plan, run) and bool(standing_views.find_defects(plan, record)))
