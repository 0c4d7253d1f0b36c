"""Initial migrations that `migrate --fake-initial` would fake, and whether their tables are what they create."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from rehome.checkschema.comparing import SERVERS, compare, is_table_of
from rehome.checkschema.report import Difference
from rehome.errors import Refused
from rehome.graph.discovery import flatten
from rehome.plan.plan import Model


@dataclasses.dataclass(eq=False)
class Faked:
    """The initial migrations of one app, of which Django would run no statement."""

    app_label: str
    names: list[str] = dataclasses.field(default_factory=list)
    models: set[str] = dataclasses.field(default_factory=set)
    state: ProjectState = dataclasses.field(default_factory=ProjectState)
    """After the last of them."""

    def __str__(self) -> str:
        return ", ".join(f"{self.app_label}.{name}" for name in self.names)

    def add(self, migration: Migration, state: ProjectState) -> None:
        self.names.append(migration.name)
        operations = (part for operation in migration.operations for part in flatten(operation))
        self.models.update(filter(None, map(named, operations)))
        self.state = state


def named(operation: Any) -> str | None:
    """The model that an operation is about."""
    return getattr(operation, "model_name_lower", None) or getattr(operation, "name_lower", None)


def refuse_drift(plan: list[tuple[Migration, bool]], connection: BaseDatabaseWrapper) -> None:
    """Raise Refused, naming every difference, where a migration that would be faked is not what its tables are.

    `plan` is Django's own. Nothing is written. Databases that can't be compared are left to Django.
    """
    if connection.vendor not in SERVERS:
        return
    drift = {faked: found for faked in find_faked(plan, connection) if (found := find_drift(faked, connection))}
    if drift:
        listed = "".join(f"\n  {line(difference)}" for found in drift.values() for difference in found)
        commands = (f"`manage.py checkschema {faked.app_label} --database {connection.alias}`" for faked in drift)
        raise Refused(
            f"{', '.join(map(str, drift))} can't be faked: the tables are not what these migrations create:{listed}\n",
            f"Nothing has been applied. For the remedies, run {', '.join(commands)}.",
        )


def line(difference: Difference) -> str:
    return f"{difference}: {difference.expected or '-'} in the model, {difference.found or '-'} in the database"


def find_faked(plan: list[tuple[Migration, bool]], connection: BaseDatabaseWrapper) -> Iterator[Faked]:
    """By the rule of Django, which is asked for each migration; an app's later migrations really run."""
    executor: Any = MigrationExecutor(connection)
    state = executor._create_project_state(with_applied_migrations=True)
    found: dict[str, Faked] = {}
    begun = set()
    for migration, _ in plan:
        is_faked, after = executor.detect_soft_applied(state, migration)
        if is_faked and migration.app_label not in begun:
            found.setdefault(migration.app_label, Faked(migration.app_label)).add(migration, after)
        elif not is_faked:
            begun.add(migration.app_label)
            after = migration.mutate_state(state)
        state = after
    yield from found.values()


def find_drift(faked: Faked, connection: BaseDatabaseWrapper) -> tuple[Difference, ...]:
    apps, label = faked.state.apps, faked.app_label
    models = [apps.get_model(label, name) for name in sorted(faked.models) if (label, name) in faked.state.models]
    made: list[Model] = [
        model
        for model in models
        if is_table_of(model)
        and model._meta.managed
        and router.allow_migrate(connection.alias, label, model_name=model._meta.model_name)
    ]
    return compare(made, faked.state, apps, connection).differences
