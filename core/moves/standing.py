"""How far the printers' move is, asked on many requests: the answer may be some seconds old."""

import time
from typing import Literal

from django.db import DEFAULT_DB_ALIAS, DatabaseError
from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Cast, Concat

from rehome.errors import Refused
from rehome.models import MoveRun, Phase
from rehome.plan.ledger import Ledger
from rehome.plan.phases import LIVE, PHASES, REPLACED

Uses = Literal["source", "both", "target"]

PRINTERS = "portal.Printer"
"""The model whose rows both sides show."""
RETIRED = (Phase.RETIRED, Phase.ENDED)
REMEMBERED_S = 5.0
_remembered: dict[str, tuple[float, Phase]] = {}
_noticed: list[list[str]] = []


def last_runs() -> dict[str, MoveRun]:
    """By the model that a move comes from, such as `portal.Printer`. Raises Refused for records nobody can read."""
    return {run.move.partition(" ")[0]: run for run in Ledger(DEFAULT_DB_ALIAS).all()}


def phase_of(source: str) -> Phase:
    """Of the move from this model. BACK, on which the source alone is in use, where nothing moved or can be read."""
    asked, phase = _remembered.get(source, (float("-inf"), Phase.BACK))
    if time.monotonic() - asked > REMEMBERED_S:
        phase = _ask(source)
        _remembered[source] = time.monotonic(), phase
    return phase


def _ask(source: str) -> Phase:
    try:
        run = last_runs().get(source)
    except (DatabaseError, Refused):
        return Phase.BACK
    return Phase(run.phase) if run and run.phase in Phase.values else Phase.BACK


def marks() -> QuerySet[MoveRun, dict[str, str]]:
    """Texts, as a part of another query, of which one is another whenever a move goes on: cheap to ask all the time."""
    said = Concat(Cast("pk", CharField()), Value(" "), "phase", output_field=CharField())
    return MoveRun.objects.order_by("pk").annotate(mark=said).values("mark")


def notice(found: list[str]) -> None:
    """What was read of `marks()`: if it is not what was read the last time, what is remembered is too old."""
    if _noticed and _noticed[0] != found:
        forget()
    _noticed[:] = [found]


def forget() -> None:
    """Ask again next time."""
    _remembered.clear()
    _noticed.clear()


def uses_of(source: str) -> Uses:
    """The tables that have the rows of this model, and may be written to."""
    return PHASES[phase_of(source)].uses


def takes_writes(source: str) -> bool:
    """Whether what is written under the old name reaches whoever reads: also through the view of a retired table."""
    phase = phase_of(source)
    return phase in LIVE | REPLACED or PHASES[phase].uses == "source"


def is_retired(source: str) -> bool:
    """Whether the target alone has the rows of this model, for good."""
    return phase_of(source) in RETIRED


def retired() -> list[str]:
    """The models of which nothing but a name is left, if that."""
    try:
        return [source for source in last_runs() if is_retired(source)]
    except (DatabaseError, Refused):
        return []
