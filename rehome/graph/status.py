"""How each move stands on one database: its plan, its last run and its triggers; read, never written."""

import dataclasses
from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove
from rehome.models import MoveRun, Phase
from rehome.parts import standing_views, sync, writes
from rehome.plan import resolve
from rehome.plan.historical import is_allowed
from rehome.plan.ledger import Ledger
from rehome.plan.phases import LIVE, standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record

PLANNED = "planned"
"""The phase of a move that never ran on this database."""


@dataclasses.dataclass(frozen=True)
class Status:
    declared: DeclaredMove
    plan: Plan | None
    problem: str
    """Why there is no plan, and what to do; empty when there is one."""
    run: MoveRun | None
    """The last one, where the move ever ran."""

    def __str__(self) -> str:
        return str(self.declared)

    @property
    def phase(self) -> str:
        return self.run.phase if self.run else PLANNED

    @property
    def live(self) -> bool:
        return self.phase in LIVE

    @property
    def verifiable(self) -> bool:
        """Whether rows can be read under both names."""
        return self.run is not None and bool(standing(self.run).compared) and not self.ended

    @property
    def ended(self) -> bool:
        """Whether nothing is left of the source: the set-aside table was dropped, and then the view."""
        return bool(self.run and self.phase == Phase.RETIRED and not self.plan and not Record.of(self.run).aside)

    @property
    def defects(self) -> list[str]:
        """What is wrong with the views of a retired move."""
        if self.plan is None or self.run is None or self.phase != Phase.RETIRED:
            return []
        return standing_views.find_defects(self.plan, Record.of(self.run))

    @property
    def sync(self) -> sync.State | None:
        """The triggers' state; None where there should be none, because only one of the tables is in use."""
        return sync.state(self.plan) if self.plan and self.live else None

    @property
    def writes(self) -> writes.Writes | None:
        """What still arrives through the old tables; None where nothing can, or nobody counts it."""
        if self.plan is None or self.run is None or not self.live or not self.plan.reversible:
            return None
        return writes.read(self.plan, self.run)


def read_statuses(moves: Iterable[DeclaredMove], connection: BaseDatabaseWrapper) -> list[Status]:
    """The status of each move that belongs on this database, in the order given."""
    return [read_status(declared, connection) for declared in moves if belongs(declared, connection)]


def belongs(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> bool:
    try:
        return is_allowed(declared.move, declared.apps, connection)
    except Refused:
        return True  # Its models are unknown to its migration, which its status says.


def read_status(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> Status:
    ledger = Ledger(connection.alias)
    try:
        plan = resolve.resolve(declared.move, declared.apps, connection)
    except Refused as error:
        return Status(declared, plan=None, problem=str(error), run=ledger.latest_named(str(declared.move)))
    return Status(declared, plan=plan, problem="", run=ledger.current(plan))
