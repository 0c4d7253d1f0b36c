"""The migration graph as it will be: without files that are replaced, and with migrations that no file has yet."""

import copy
from collections.abc import Collection, Iterable, Iterator
from typing import Any, cast

from django.apps import apps
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db.migrations import AddField, AlterField, Migration, RemoveField, swappable_dependency
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ProjectState
from django.db.models.options import Options

from rehome.graph.discovery import Key


class Loader(MigrationLoader):
    """Reads no database."""

    def __init__(self, without: Collection[Key] = (), added: Iterable[Migration] = ()) -> None:
        self.without = frozenset(without)
        self.added = list(added)
        super().__init__(None, ignore_no_migrations=True)

    def load_disk(self) -> None:
        super().load_disk()
        for key in self.without:
            del self.disk_migrations[key]
        for migration in self.added:
            self.disk_migrations[migration.app_label, migration.name] = as_loaded(migration)

    def with_(self, migrations: Iterable[Migration]) -> "Loader":
        return Loader(self.without, [*self.added, *migrations])


def as_loaded(migration: Migration) -> Migration:
    """With what its file says for a model that a setting names."""
    loaded: Any = copy.copy(migration)
    loaded.dependencies = [
        swappable_dependency(getattr(settings, name)) if app_label == "__setting__" else (app_label, name)
        for app_label, name in migration.dependencies
    ]
    return cast(Migration, loaded)


class Questioner(MigrationQuestioner):
    """Lets nothing be renamed, and only the apps of the move have a first migration."""

    def ask_initial(self, app_label: str) -> bool:
        return app_label in self.specified_apps


def detect(
    loader: MigrationLoader, before: ProjectState, after: ProjectState, apps_begun: Collection[str] = ()
) -> list[Migration]:
    """What the autodetector writes between two states, named and numbered; `apps_begun` may have their first."""
    return named(loader, *without_options_of_packages(before, after), apps_begun)


def named(
    loader: MigrationLoader, before: ProjectState, after: ProjectState, apps_begun: Collection[str]
) -> list[Migration]:
    questioner = Questioner(specified_apps=set(apps_begun))
    detector = autodetector()(before.clone(), after.clone(), questioner)
    changes = detector.changes(loader.graph)
    found: list[Any] = [migration for _, migrations in sorted(changes.items()) for migration in migrations]
    for migration in found:
        # Django has them in no order.
        migration.dependencies.sort(key=lambda key: (key[0] != migration.app_label, key))
        migration.operations = list(with_rows_kept(migration.operations))
    return found


def autodetector() -> type[MigrationAutodetector]:
    """That of the project's `makemigrations`, which packages such as django-pgtrigger extend."""
    command: Any = get_commands()["makemigrations"]
    if isinstance(command, str):
        command = load_command_class(command, "makemigrations")
    return cast(type[MigrationAutodetector], command.autodetector)


def without_options_of_packages(before: ProjectState, after: ProjectState) -> tuple[ProjectState, ProjectState]:
    """Copies, in which models that are in both have Django's options alone, and not the triggers of django-pgtrigger: a
    package compares what migrations say with what the code says, and here either state may be of migrations.
    """
    known: Options[Any] = Options(None)
    states = before.clone(), after.clone()
    for key in before.models.keys() & after.models.keys():
        for state in states:
            model = state.models[key]
            model.options = {name: value for name, value in model.options.items() if hasattr(known, name)}
    return states


def with_rows_kept(operations: Collection[Operation]) -> Iterator[Operation]:
    """Django 6.1 removes a many-to-many field that leads to another model, with its rows, and adds it anew. AlterField
    leads the rows there.
    """
    removed = {(one.model_name_lower, one.name_lower) for one in operations if isinstance(one, RemoveField)}
    added = {
        (one.model_name_lower, one.name_lower): one
        for one in operations
        if isinstance(one, AddField) and one.field.many_to_many
    }
    for one in operations:
        if not isinstance(one, AddField | RemoveField) or (one.model_name_lower, one.name_lower) not in removed & {
            *added
        }:
            yield one
        elif isinstance(one, AddField):
            yield AlterField(one.model_name, one.name, one.field)


def compare(loader: MigrationLoader, before: ProjectState, after: ProjectState) -> Iterator[tuple[str, Operation]]:
    """Each operation that the autodetector would write, with its app; in all apps that have migrations."""
    for migration in named(loader, before, after, loader.migrated_apps):
        yield from ((migration.app_label, operation) for operation in migration.operations)


def code_state() -> ProjectState:
    return ProjectState.from_apps(apps)


def leaf(loader: MigrationLoader, app_label: str) -> Key | None:
    """The last migration of an app; there is one at most, for several are refused."""
    return next(iter(loader.graph.leaf_nodes(app_label)), None)


def next_number(loader: MigrationLoader, app_label: str) -> int:
    last = leaf(loader, app_label)
    return (MigrationAutodetector.parse_number(last[1]) or 0) + 1 if last else 1
