"""What a move left that was cut short: how far it came, whether it can go on, and how it is given up."""

from rehome.models import MoveRun, Phase
from rehome.parts import sequences, sync
from rehome.plan.ledger import LIVE
from rehome.plan.plan import Plan
from rehome.postgres import catalog, sql

HALF_DONE = {Phase.PREPARED, Phase.COPYING, Phase.BUILDING}
"""What a crash leaves that a later run resumes or gives up."""
COPIED_BESIDE_WRITERS = {Phase.COPYING, Phase.BUILDING}


def is_live(plan: Plan, run: MoveRun) -> bool:
    """Whether the move stands; tables that were made anew since the run share no rows, triggers or sequence."""
    return run.phase in LIVE and (
        sync.state(plan) != "missing" or not is_empty(plan) or sequences.draw_from_one(plan.main)
    )


def is_empty(plan: Plan) -> bool:
    return not any(catalog.query(plan.connection, sql.has_rows(pair.target).as_string())[0][0] for pair in plan.pairs)
