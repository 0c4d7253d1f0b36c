"""How each move stands on one database: its plan, its last run and its triggers; read, never written."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterable

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Refused
from rehome.graph import breaking
from rehome.graph.discovery import DeclaredMove, before, find_moves
from rehome.graph.ending.found import find_named
from rehome.graph.rules import Change
from rehome.models import MoveRun, Phase
from rehome.moves.steps import open_session
from rehome.parts import standing_views, stranded, sync, writes
from rehome.parts.stranded import Counts
from rehome.plan import edits, resolve
from rehome.plan.historical import is_allowed
from rehome.plan.ledger import Ledger
from rehome.plan.phases import LIVE, PHASES, TWO_TABLES, standing
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.preflight.records import read_run

LEAD_OUT = "It is applied here: unapply it with `manage.py migrate {back}`."
END = (
    "Without the old table nothing is carried and nothing can move back: `manage.py retiremoves {move.target}` ends "
    "the move, so that {move.target} works."
)
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
    alias: str
    """Of the database."""

    def __str__(self) -> str:
        return str(self.declared)

    @property
    def phase(self) -> str:
        return self.run.phase if self.run else PLANNED

    @property
    def faked(self) -> str:
        """That its migration is recorded as applied, though it never ran here, and what to do; empty otherwise."""
        declared = self.declared
        if self.run or declared.key not in declared.loader.applied_migrations:
            return ""
        return (
            f"{declared.place} is recorded as applied, but rehome did not run it on this database, so it can neither "
            "verify it nor move it back. It was faked, or its SQL was run by hand. If it was faked, take it out of the "
            f"record with `manage.py migrate --fake {' '.join(declared.parent)}`, and whatever else was faked; "
            "`manage.py migrate` runs it then."
        )

    @property
    def edited(self) -> str:
        """That its Move was edited after it ran, and how; empty where it was not. What it said then still holds."""
        with contextlib.suppress(Refused):  # `problem` says why the record can't be read.
            if found := edits.find(self.declared.move, self.run):
                return f"{edits.edited(self.declared.move, found)} What it said then still holds here."
        return ""

    @property
    def live(self) -> bool:
        return self.phase in LIVE

    @property
    def verifiable(self) -> bool:
        """Whether rows can be read under both names."""
        return self.run is not None and bool(standing(self.run).compared) and not self.ended

    @property
    def ended(self) -> bool:
        """Whether nothing is left of the source: its ending has run, or the set-aside table was dropped, and then the
        view.
        """
        if self.phase == Phase.ENDED:
            return True
        with contextlib.suppress(Refused):  # `problem` says why the record can't be read.
            return bool(self.run and self.phase == Phase.RETIRED and not self.plan and not Record.of(self.run).aside)
        return False

    @property
    def defects(self) -> list[str]:
        """What is wrong with the views of a retired move."""
        if self.plan is None or self.run is None or self.phase != Phase.RETIRED:
            return []
        return standing_views.find_defects(self.plan, Record.of(self.run))

    @property
    def is_cut_off(self) -> bool:
        """Whether the move is live and nothing but the table of its source is missing, under this or another name."""
        if self.plan is not None or not self.live:
            return False
        declared, connection = self.declared, connections[self.alias]
        found = breaking.applied_already(declared, declared.loader, connection, Phase(self.phase))
        if any(one.change is not Change.TABLE_DROPPED or one.side != "source" for one in found):
            return False
        with contextlib.suppress(Refused):
            return resolve.without_source(declared.move, declared.apps, connection) is not None
        return False

    @property
    def broken(self) -> list[str]:
        """What applied migrations have broken, where the tables can be read all the same."""
        if self.plan is None:
            return []
        return tell_broken(self.declared, self.plan.connection, self.run)

    @property
    def sync(self) -> sync.State | None:
        """The triggers' state; None where there should be none, because only one of the tables is in use."""
        return sync.state(self.plan) if self.plan and self.phase in TWO_TABLES else None

    @functools.cached_property
    def stranded(self) -> Counts:
        """By table: how many rows name the label that one side's code alone knows."""
        if self.plan is None or self.run is None or not self.verifiable:
            return {}
        return stranded.count(self.plan, open_session(self.plan), Record.of(self.run))

    @property
    def told(self) -> list[str]:
        """The same in sentences."""
        if self.plan is None or self.run is None or not self.stranded:
            return []
        return stranded.told(self.plan, self.stranded, Record.of(self.run))

    @property
    def writes(self) -> writes.Writes | None:
        """What still arrives through the old tables; None where nothing can, or nobody counts it."""
        if self.plan is None or self.run is None or not self.live or not self.plan.reversible:
            return None
        return writes.read(self.plan, self.run)


def read_statuses(moves: Iterable[DeclaredMove], connection: BaseDatabaseWrapper) -> list[Status]:
    """The status of each move that belongs on this database, in the order given."""
    return [read_status(declared, connection) for declared in moves if belongs(declared, connection)]


def find_undeclared(loader: MigrationLoader, connection: BaseDatabaseWrapper) -> list[MoveRun]:
    """The last runs of moves that stand on this database, and that no migration declares or ends."""
    ledger = Ledger(connection.alias)
    last = {(run.source_table, run.target_table): run for run in ledger.all()}
    known = [*map(str, find_moves(loader)), *find_named(loader)] if last else []
    names = {name.lower() for name in known}
    return [
        run
        for run in last.values()
        if run.move.lower() not in names and run.phase != Phase.ENDED and standing(run).uses != "source"
    ]


def undeclared(run: MoveRun) -> str:
    return (
        f"{run.move}: its phase is {run.phase!r} on this database, and no migration declares it any more. Restore its "
        "Move where it was: without it, rehome can neither verify the move nor end it."
    )


def belongs(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> bool:
    try:
        return is_allowed(declared.move, declared.apps, connection)
    except Refused:
        return True  # Its models are unknown to its migration, which its status says.


def read_status(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> Status:
    ledger = Ledger(connection.alias)
    try:
        plan = resolve.resolve(declared.move, declared.apps, connection)
        run = read_run(plan, ledger)
    except Refused as error:
        run = ledger.latest_named(str(declared.move))
        status = Status(declared, plan=None, problem=str(error), run=run, alias=connection.alias)
        told = [*tell_broken(declared, connection, run), *([END] if status.is_cut_off else [])]
        return dataclasses.replace(status, problem=" ".join(told).format(move=declared.move)) if told else status
    return Status(declared, plan=plan, problem="", run=run, alias=connection.alias)


def tell_broken(declared: DeclaredMove, connection: BaseDatabaseWrapper, run: MoveRun | None) -> list[str]:
    """A sentence for each applied migration that has broken a move that stands, and the command that leads out."""
    if run is None or run.phase not in Phase.values or PHASES[Phase(run.phase)].uses == "source":
        return []
    found = breaking.applied_already(declared, declared.loader, connection, Phase(run.phase))
    return [f"{one.problem} {LEAD_OUT.format(back=' '.join(before(one.key, declared.loader)))}" for one in found]
