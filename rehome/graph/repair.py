"""Moves that stand and have lost something, triggers, views or rights: found and repaired by a `migrate` forwards."""

from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.errors import RehomeError
from rehome.graph.discovery import find_moves
from rehome.graph.status import Status, belongs, read_status
from rehome.models import Phase
from rehome.moves import runner
from rehome.moves.steps import open_session
from rehome.plan.ledger import Ledger
from rehome.plan.phases import PHASES
from rehome.plan.record import Record
from rehome.verify import report

STANDING = [phase for phase in Phase if PHASES[phase].compared]


def find(loader: MigrationLoader, connection: BaseDatabaseWrapper) -> Iterator[Status]:
    """The moves that stand on this database."""
    ledger = Ledger(connection.alias)
    if connection.vendor != "postgresql" or not ledger.exists():
        return
    names = {move.lower() for move in ledger.runs.filter(phase__in=STANDING).values_list("move", flat=True)}
    for declared in find_moves(loader) if names else ():
        if str(declared).lower() in names and belongs(declared, connection):
            status = read_status(declared, connection)
            if status.run and status.run.phase in STANDING:
                yield status


def is_needed(status: Status) -> bool:
    """Whether a repair would change anything; reads the catalog alone."""
    if status.plan is None or status.run is None:
        return False
    return report.needs_repair(status.plan, open_session(status.plan), Record.of(status.run))


def run(status: Status, connection: BaseDatabaseWrapper) -> None:
    """Raises RehomeError; what can't be repaired at once stays as it is."""
    runner.repair(status.declared.move, status.declared.apps, connection)


def run_all(statuses: Iterable[Status], connection: BaseDatabaseWrapper) -> Iterator[tuple[Status, RehomeError | None]]:
    """Each that was repaired, or could not be, and why."""
    for status in filter(is_needed, statuses):
        try:
            run(status, connection)
        except RehomeError as error:
            yield status, error
        else:
            yield status, None
