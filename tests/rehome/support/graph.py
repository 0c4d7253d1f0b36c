"""Migration graphs without files."""

from django.db.migrations import Migration
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation


def graph_of(**apps: list[list[Operation]]) -> MigrationLoader:
    """A loader of the apps given: each a list of migrations, 0001, 0002, ..., each a list of operations.

    The first of an app depends on the first of every app before it.
    """
    loader = MigrationLoader(None, load=False)
    loader.graph, loader.unmigrated_apps, loader.applied_migrations = MigrationGraph(), set(), {}
    firsts: list[tuple[str, str]] = []
    for app_label, listed in apps.items():
        parents = firsts.copy()
        for number, operations in enumerate(listed, start=1):
            migration = Migration(f"{number:04}", app_label)
            migration.operations = operations
            key = (app_label, migration.name)
            loader.graph.add_node(key, migration)
            for parent in parents:
                loader.graph.add_dependency(migration, key, parent)
            parents = [key]
        firsts.append((app_label, "0001"))
    return loader
