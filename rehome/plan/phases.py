"""In which phase a run can be, what may follow, and what each command makes of it: one table, and nothing else."""

import dataclasses
from typing import Literal

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
    # The target's foreign keys and indexes are dropped; the rows come next, all at once or in batches. In place, the
    # run begins and ends in one transaction.
    Phase.PREPARED: Standing(
        frozenset({Phase.COPYING, Phase.MOVED, Phase.IN_PLACE}), "source", interrupted="No row is copied yet"
    ),
    Phase.COPYING: Standing(frozenset({Phase.BUILDING}), "source", interrupted="Copied: {copied}", online=True),
    Phase.BUILDING: Standing(
        frozenset({Phase.COPYING, Phase.LIVE}),
        "source",
        interrupted="Every row is copied; indexes are being built",
        online=True,
    ),
    # A crash before the settling leaves a move that is complete; the next `migrate` settles it.
    Phase.MOVED: Standing(frozenset({Phase.LIVE, Phase.BACK}), "both", compared="tables"),
    Phase.LIVE: Standing(frozenset({Phase.RETIRED, Phase.BACK}), "both", compared="tables"),
    Phase.IN_PLACE: Standing(frozenset({Phase.BACK}), "target", compared="view"),
    Phase.RETIRED: Standing(frozenset({Phase.LIVE}), "target", compared="view"),
    # Another move begins a run of its own.
    Phase.BACK: Standing(frozenset(), "source"),
}
INTERRUPTED = frozenset(phase for phase, standing in PHASES.items() if standing.interrupted)
LIVE = frozenset(phase for phase, standing in PHASES.items() if standing.uses == "both")
REPLACED = frozenset(phase for phase, standing in PHASES.items() if standing.compared == "view")
"""Phases in which the old name is a view."""


def standing(run: MoveRun) -> Standing:
    return PHASES[Phase(run.phase)]


def describe(run: MoveRun | None) -> str:
    """As part of a sentence."""
    return f"its phase is {run.phase!r}" if run else "it never ran here"
