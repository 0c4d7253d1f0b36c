"""Checks, before the first migration is unapplied, that each move among them can go back, and cancels moves."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Refused
from rehome.graph import additions
from rehome.graph.discovery import DeclaredMove, Key, find_moves
from rehome.models import Phase
from rehome.moves import runner, state
from rehome.plan import resolve
from rehome.plan.historical import is_allowed
from rehome.plan.ledger import Ledger
from rehome.plan.phases import standing
from rehome.plan.plan import Plan
from rehome.postgres import sql
from rehome.preflight import checks, retirement


def refuse_stuck(keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> list[additions.Addition]:
    """Raise Refused, with nothing changed, for what a move among the migrations `keys` would refuse, or could no
    longer refuse, once Django has unapplied those that came after it. Returns the fields that go with those.
    """
    if connection.vendor != "postgresql":
        return []
    taken = keys & loader.applied_migrations.keys()
    found = []
    for declared in reversed(list(find_moves(loader))):
        asked = declared.key in taken and declared.goes_back
        if asked and is_allowed(declared.move, declared.apps, connection):
            found += look(declared, taken, connection)
    return found


def look(declared: DeclaredMove, taken: set[Key], connection: BaseDatabaseWrapper) -> list[additions.Addition]:
    """Rows of other tables that point at the target are left out: they may go with the migrations in between."""
    ledger = Ledger(connection.alias)
    plan: Plan | None = None
    with contextlib.suppress(Refused):  # Where later migrations changed the tables, only the move itself can tell.
        plan = resolve.resolve(declared.move, declared.apps, connection)
    run = ledger.current(plan) if plan else ledger.latest_named(str(declared))
    if run and run.phase == Phase.BACK:
        return []
    if run and run.phase == Phase.RETIRED:
        retirement.refuse_dropped(run)
    if plan is not None:
        if not state.is_retired(plan, run):
            checks.check_live(plan, ledger)
        checks.check_nothing_lost(plan)
    found = list(additions.find(declared, taken))
    for addition in found:
        additions.refuse_lost(addition, connection)
    return found


class Guard:
    """Checks the added fields again when they are dropped: others may have written to them since.

    It wraps the statements of the connection. The first one of the transaction that drops a field comes after the lock
    that dropping takes anyway, so nothing is written between the look and the drop.
    """

    def __init__(self, found: Iterable[additions.Addition], connection: BaseDatabaseWrapper) -> None:
        self.found = list(found)
        self.connection = connection
        self.due: list[additions.Addition] = []

    def begin(self, migration: Migration) -> None:
        """Django is about to unapply `migration`."""
        self.due = [added for added in self.found if added.key == (migration.app_label, migration.name)]
        if not migration.atomic:
            self.refuse_lost(lock=False)

    def __call__(self, execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        if self.due and self.connection.in_atomic_block:
            self.refuse_lost(lock=True)
        return execute(statement, params, many, context)

    def refuse_lost(self, *, lock: bool) -> None:
        due, self.due = self.due, []  # The look runs statements, too.
        for added in due:
            table = additions.find_table(added, self.connection)
            if table and lock:
                with self.connection.cursor() as cursor:
                    cursor.execute(sql.lock([table], "ACCESS EXCLUSIVE").as_string())
            additions.refuse_lost(added, self.connection)


def unapplied(loader: MigrationLoader, app_label: str, name: str) -> set[Key]:
    """The migrations that `migrate app_label name` unapplies where they are applied; the rule is that of Django's
    MigrationExecutor.migration_plan. Raises KeyError, AmbiguityError for a name that means no migration or several.
    """
    if name == "zero":
        first = [key for key in loader.graph.root_nodes() if key[0] == app_label]
    else:
        target = loader.get_migration_by_prefix(app_label, name)
        node = loader.graph.node_map[target.app_label, target.name]
        first = [child.key for child in node.children if child.key[0] == app_label]
    return {key for root in first for key in loader.graph.backwards_plan(root)}


def cancel(keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> Iterator[DeclaredMove]:
    """The interrupted moves of migrations `keys`, each after it has been cancelled, the last one first."""
    ledger = Ledger(connection.alias)
    if connection.vendor != "postgresql" or not ledger.exists():
        return
    for declared in reversed(list(find_moves(loader))):
        run = ledger.latest_named(str(declared))
        unrecorded = declared.key in keys and declared.key not in loader.applied_migrations
        if unrecorded and run and standing(run).interrupted and runner.cancel(declared.move, declared.apps, connection):
            yield declared
