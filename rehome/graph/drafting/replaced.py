"""What `makemigrations` wrote of a class that was cut: it drops every row, so its files are replaced.

It takes the old class for deleted and the new one for another: RemoveField, DeleteModel, CreateModel, AlterField.
"""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations import (
    AddField,
    AlterField,
    AlterIndexTogether,
    AlterModelManagers,
    AlterModelOptions,
    AlterOrderWithRespectTo,
    AlterUniqueTogether,
    CreateModel,
    DeleteModel,
    Migration,
    RemoveField,
)
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.models import IndexOperation
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation

from rehome.errors import Refused, one_line
from rehome.graph.discovery import Key
from rehome.graph.drafting.pairs import Pair
from rehome.graph.drafting.stages import changed_by
from rehome.graph.drafting.states import said

OF_THE_OLD = (AlterIndexTogether, AlterOrderWithRespectTo, AlterUniqueTogether, IndexOperation, RemoveField)
"""What the autodetector takes off a model before it deletes it. An IndexOperation is of an index, a constraint, or what
packages have like them, such as the triggers of django-pgtrigger.
"""
OF_THE_NEW = (
    AddField, AlterIndexTogether, AlterModelManagers, AlterModelOptions, AlterOrderWithRespectTo, AlterUniqueTogether,
    IndexOperation,
)  # fmt: skip
"""What it adds to one that it has created."""


@dataclasses.dataclass(frozen=True)
class Replaced:
    migrations: tuple[Migration, ...] = ()
    created: frozenset[Key] = frozenset()
    """Models that these create and that belong to no move: the first stage creates them instead."""
    assumed: tuple[str, ...] = ()
    """Why it is not known of a database whether it has applied them."""

    @property
    def keys(self) -> frozenset[Key]:
        return frozenset((migration.app_label, migration.name) for migration in self.migrations)


class Finder:
    """Finds them by what they do."""

    def __init__(self, loader: MigrationLoader, code: ProjectState, pairs: Sequence[Pair]) -> None:
        self.loader = loader
        self.code = code
        deleted = {
            (migration.app_label, operation.name_lower)
            for migration in self.migrations()
            for operation in migration.operations
            if isinstance(operation, DeleteModel)
        }
        self.gone = {pair.source: pair.target for pair in pairs if pair.cut and pair.source in deleted}
        self.targets = {pair.target for pair in pairs}
        self.awaited = {pair.target for pair in pairs if pair.moved_by is None}
        """What nothing may point at before the rows have come."""
        self.new = {pair.target for pair in pairs if pair.moved_by is None and pair.cut}

    def migrations(self) -> Iterable[Migration]:
        nodes: dict[Key, Migration | None] = self.loader.graph.nodes
        return (migration for migration in nodes.values() if migration is not None)

    def find(self) -> Replaced:
        started = [m for m in self.migrations() if any(self.belongs(operation, m) for operation in m.operations)]
        if not started:
            return Replaced()
        applied, assumed = find_applied()
        started = [m for m in started if not self.stays(m, applied)]
        if not started:
            return Replaced()
        started += self.following(started, applied)
        keys = {(m.app_label, m.name) for m in started}
        if done := [key for key in sorted(keys) if key in applied]:
            raise Refused(*refusal(done, applied[done[0]], self.loader))
        created = self.created_beside(started)
        for migration in started:
            self.refuse_others(migration, created)
        self.refuse_later(keys)
        return Replaced(tuple(started), frozenset(created), tuple(assumed))

    def belongs(self, operation: Operation, migration: Migration) -> bool:
        app_label = migration.app_label
        match operation:
            case CreateModel(name_lower=name):
                return (app_label, name) in self.new
            case DeleteModel(name_lower=name):
                return (app_label, name) in self.gone
            case AlterField(model_name_lower=model, field=field) if leads_to(self.awaited, field, app_label, model):
                return (app_label, model) in self.code.models
            case AddField(model_name_lower=model) if (app_label, model) in self.new:
                return True
            case RemoveField(model_name_lower=model, name=name) if (app_label, model) in self.gone:
                there = name in self.code.models[self.gone[app_label, model]].fields
                return there and not self.is_added_again(operation, migration)
        return False

    def is_added_again(self, removed: RemoveField, migration: Migration) -> bool:
        key = migration.app_label, migration.name
        return any(
            isinstance(operation, AddField) and operation.is_same_field_operation(removed)
            for later in self.migrations()
            if later.app_label == migration.app_label
            and key in self.loader.graph.forwards_plan((later.app_label, later.name))
            for operation in later.operations
        )

    def stays(self, migration: Migration, applied: Mapping[Key, str]) -> bool:
        """One that is applied and takes nothing off an old model has done no harm."""
        return (migration.app_label, migration.name) in applied and not self.is_harmful(migration)

    def is_harmful(self, migration: Migration) -> bool:
        return any(
            self.belongs(operation, migration) and isinstance(operation, RemoveField | DeleteModel)
            for operation in migration.operations
        )

    def what_it_does(self, migration: Migration) -> str:
        if self.is_harmful(migration):
            return "would drop every row of the model that moves"
        return "has a part in the move that has to be written otherwise"

    def following(self, started: Sequence[Migration], applied: Mapping[Key, str]) -> list[Migration]:
        """Those that depend on one of `started` and only lead to the new models."""
        created = self.created_beside(started)
        keys = {(m.app_label, m.name) for m in started}
        later = {key for one in keys for key in self.loader.graph.backwards_plan(one)} - keys - applied.keys()
        found = [self.loader.graph.nodes[key] for key in sorted(later)]
        return [m for m in found if all(self.goes_along(operation, m, created) for operation in m.operations)]

    # ----- what else is in them

    def created_beside(self, started: Sequence[Migration]) -> set[Key]:
        return {
            (migration.app_label, operation.name_lower)
            for migration in started
            for operation in migration.operations
            if isinstance(operation, CreateModel)
        } - self.new

    def refuse_others(self, migration: Migration, created: set[Key]) -> None:
        others = [
            said(migration.app_label, operation)
            for operation in migration.operations
            if not self.belongs(operation, migration) and not self.goes_along(operation, migration, created)
        ]
        if others:
            place = f"{migration.app_label}.{migration.name}"
            raise Refused(
                f"{place} {self.what_it_does(migration)}, and does something else besides: {'; '.join(others)}.",
                f"Delete its file, undo that change in the code, and run this command again; then make the change and "
                f"run `manage.py makemigrations {migration.app_label}`.",
            )

    def goes_along(self, operation: Operation, migration: Migration, created: set[Key]) -> bool:
        """Part of the end of an old model, or of the beginning of a new one."""
        key = migration.app_label, changed_by(operation)
        if isinstance(operation, CreateModel):
            return key in created
        if isinstance(operation, AlterField):
            return leads_to(self.targets, operation.field, *key)
        old = isinstance(operation, OF_THE_OLD) and key in self.gone
        return old or (isinstance(operation, OF_THE_NEW) and key in created | self.new)

    def refuse_later(self, keys: set[Key]) -> None:
        """What depends on one that is replaced would have nothing to depend on."""
        for key in sorted(keys):
            for later in self.loader.graph.backwards_plan(key):
                if later not in keys:
                    raise Refused(
                        f"{'.'.join(later)} comes after {'.'.join(key)}, which "
                        f"{self.what_it_does(self.loader.graph.nodes[key])} and has to be replaced.",
                        f"Delete the file of {'.'.join(later)}, run this command again, and then `manage.py "
                        f"makemigrations {later[0]}`.",
                    )


def leads_to(models: Collection[Key], field: object, app_label: str, model: str) -> bool:
    remote = getattr(field, "remote_field", None)
    ends = (getattr(remote, "model", None), getattr(remote, "through", None))
    return any(resolve_relation(end, app_label, model) in models for end in ends if end)


def find_applied() -> tuple[dict[Key, str], list[str]]:
    """(the database that has applied it, by migration; one sentence for each database that can't be asked)."""
    applied: dict[Key, str] = {}
    assumed = []
    for alias in connections:
        connection = connections[alias]
        if connection.vendor == "unknown" or connection.settings_dict["ENGINE"].endswith(".dummy"):
            continue
        try:
            for key in MigrationRecorder(connection).applied_migrations():
                applied.setdefault(key, alias)
        except (DatabaseError, InterfaceError) as error:
            assumed.append(
                f"Database {alias!r} can't be asked ({one_line(error)}): it is assumed that it has not applied them."
            )
    return applied, assumed


def refusal(done: Sequence[Key], alias: str, loader: MigrationLoader) -> tuple[str, str]:
    places = ", ".join(".".join(key) for key in done)
    commands = " and ".join(f"`manage.py migrate {key[0]} {before(key, loader)}`" for key in firsts(done))
    return (
        f"Database {alias!r} has applied what makemigrations wrote of the class that was cut: {places}. It drops "
        "every row of the old table.",
        f"Where these rows count, restore a backup from before. Where they don't, as in development, run {commands}. "
        "Then run this command again.",
    )


def firsts(keys: Iterable[Key]) -> Iterator[Key]:
    """The first of each app."""
    seen = set()
    for key in sorted(keys):
        if key[0] not in seen:
            seen.add(key[0])
            yield key


def before(key: Key, loader: MigrationLoader) -> str:
    parents = [parent.key for parent in loader.graph.node_map[key].parents if parent.key[0] == key[0]]
    return parents[0][1] if parents else "zero"
