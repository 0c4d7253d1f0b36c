"""Gives up moves that were cut short, when their migrations are taken back."""

from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome import runner
from rehome.discovery import DeclaredMove, Key, find_moves
from rehome.ledger import Ledger
from rehome.resuming import HALF_DONE


def taken_back(loader: MigrationLoader, app_label: str, name: str) -> set[Key]:
    """The migrations that `migrate app_label name` unapplies where they are applied; the rule is that of Django's
    MigrationExecutor.migration_plan.

    Raises KeyError, AmbiguityError for a name that means no migration or several.
    """
    if name == "zero":
        first = [key for key in loader.graph.root_nodes() if key[0] == app_label]
    else:
        target = loader.get_migration_by_prefix(app_label, name)
        node = loader.graph.node_map[target.app_label, target.name]
        first = [child.key for child in node.children if child.key[0] == app_label]
    return {key for root in first for key in loader.graph.backwards_plan(root)}


def give_up(keys: set[Key], loader: MigrationLoader, connection: BaseDatabaseWrapper) -> Iterator[DeclaredMove]:
    """The moves of migrations `keys` that were cut short, each after it has been given up, the last one first."""
    ledger = Ledger(connection.alias)
    if connection.vendor != "postgresql" or not ledger.exists():
        return
    for declared in reversed(list(find_moves(loader))):
        run = ledger.latest_named(str(declared))
        cut_short = run is not None and run.phase in HALF_DONE
        unrecorded = declared.key in keys and declared.key not in loader.applied_migrations
        if cut_short and unrecorded and runner.give_up(declared.move, declared.apps, connection):
            yield declared
