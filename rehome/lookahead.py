"""Looks, before the first migration is taken back, whether each move among them can go back when its turn comes."""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome import additions, aside, preflight, retiring
from rehome.discovery import DeclaredMove, Key, find_moves
from rehome.errors import Refused
from rehome.historical import is_allowed
from rehome.ledger import Ledger
from rehome.models import Phase
from rehome.plan import Plan
from rehome.preflight import retirement


def refuse_stuck(keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> None:
    """Raise Refused, with nothing changed, for what a move among the migrations `keys` would refuse, or could no
    longer refuse, once Django has taken back those that came after it.
    """
    if connection.vendor != "postgresql":
        return
    taken = keys & loader.applied_migrations.keys()
    for declared in reversed(list(find_moves(loader))):
        asked = declared.key in taken and declared.goes_back
        if asked and is_allowed(declared.move, declared.apps, connection):
            look(declared, taken, connection)


def look(declared: DeclaredMove, taken: set[Key], connection: BaseDatabaseWrapper) -> None:
    """Rows of other tables that point at the target are left out: they may go with the migrations in between."""
    ledger = Ledger(connection.alias)
    plan = resolve(declared, connection)
    run = ledger.current(plan) if plan else ledger.latest_named(str(declared))
    if run is not None and run.phase == Phase.BACK:
        return
    if run is not None and run.phase == Phase.RETIRED:
        retirement.refuse_dropped(run)
    if plan is not None:
        if not retiring.stands(plan, run):
            preflight.check_live(plan, ledger)
        preflight.check_nothing_lost(plan)
    additions.refuse_lost(declared, taken, connection)


def resolve(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> Plan | None:
    """None where the tables have gone on from what the move knows, so that only its turn can tell."""
    try:
        return aside.resolve(declared.move, declared.apps, connection)
    except Refused:
        return None
