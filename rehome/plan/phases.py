"""In which phase a run can be, what may follow, and what each command makes of it: one table, and nothing else."""

import dataclasses
from typing import Literal

from rehome.errors import Refused
from rehome.models import MoveRun, Phase


@dataclasses.dataclass(frozen=True)
class Standing:
    """What a phase means. Each question that a command has of a run is a column here."""

    follow: frozenset[Phase]
    """The phases that may come next; what is recorded again in the same phase is no change."""
    uses: Literal["source", "both", "target"]
    """The tables that have the project's rows, and may be written to."""
    interrupted: str = ""
    """How far an interrupted run came: `migrate` resumes it, or cancels it. Empty where no run is interrupted."""
    online: bool = False
    """Whether rows were copied beside writers, so that the move is resumed online whatever is declared by now."""
    compared: Literal["tables", "view", ""] = ""
    """What `verifymoves` compares the target with; empty where one of the tables has no rows to compare."""


PHASES = {
    # The target's foreign keys are dropped; the rows come next, all at once or in batches. In place, the
    # run begins and ends in one transaction.
    Phase.PREPARED: Standing(
        frozenset({Phase.COPYING, Phase.MOVED, Phase.IN_PLACE}), "source", interrupted="No row is copied yet"
    ),
    Phase.COPYING: Standing(frozenset({Phase.BUILDING}), "source", interrupted="Copied: {copied}", online=True),
    Phase.BUILDING: Standing(
        frozenset({Phase.COPYING, Phase.LIVE, Phase.FROZEN}),
        "source",
        interrupted="Every row is copied; indexes are being built",
        online=True,
    ),
    # A crash before the settling leaves a move that is complete; the next `migrate` settles it.
    Phase.MOVED: Standing(frozenset({Phase.LIVE, Phase.FROZEN, Phase.BACK}), "both", compared="tables"),
    # A move without a way back was recorded as live by versions that did not know it as frozen.
    Phase.LIVE: Standing(frozenset({Phase.RETIRED, Phase.BACK, Phase.FROZEN, Phase.ENDED}), "both", compared="tables"),
    # The source has the rows of the moment of the move, for good.
    Phase.FROZEN: Standing(frozenset({Phase.ENDED}), "target", compared="tables"),
    Phase.IN_PLACE: Standing(frozenset({Phase.BACK, Phase.ENDED}), "target", compared="view"),
    Phase.RETIRED: Standing(frozenset({Phase.LIVE, Phase.ENDED}), "target", compared="view"),
    # Another move begins a run of its own.
    Phase.BACK: Standing(frozenset(), "source"),
    Phase.ENDED: Standing(frozenset(), "target"),
}
INTERRUPTED = frozenset(phase for phase, standing in PHASES.items() if standing.interrupted)
LIVE = frozenset(phase for phase, standing in PHASES.items() if standing.uses == "both")
TWO_TABLES = frozenset(phase for phase, standing in PHASES.items() if standing.compared == "tables")
"""Phases of a move that stands in which the source is a table still."""
REPLACED = frozenset(phase for phase, standing in PHASES.items() if standing.compared == "view")
"""Phases in which the old name is a view."""


def standing(run: MoveRun) -> Standing:
    """Raises Refused for a phase that only another version of rehome knows."""
    if run.phase not in Phase.values:
        raise Refused(
            f"The last run of {run.move} is in phase {run.phase!r} in {MoveRun._meta.db_table}, which is no phase that "
            "this version of rehome knows.",
            "Use the version that wrote it, or restore that row from a backup.",
        )
    return PHASES[Phase(run.phase)]


def describe(run: MoveRun | None) -> str:
    """As part of a sentence."""
    return f"its phase is {run.phase!r}" if run else "it never ran here"
