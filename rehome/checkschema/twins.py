"""Models and their twins: the same models over temporary tables that Django itself makes, empty, for comparison."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db.migrations.state import ModelState, ProjectState

from rehome.constraints import DatabaseForeignKey
from rehome.plan.plan import Model

NAME = "rehome_twin"


@dataclasses.dataclass(frozen=True)
class Twin:
    model: Model
    """As the project has it, over the live table."""
    twin: Model
    """The same over a temporary table."""

    @property
    def label(self) -> str:
        return self.model._meta.label

    @property
    def live_name(self) -> str:
        return self.model._meta.db_table

    @property
    def name(self) -> str:
        return self.twin._meta.db_table

    @property
    def named_parts(self) -> set[str]:
        """Indexes and constraints that later migrations look up by their names."""
        return {part.name for part in (*self.model._meta.indexes, *self.model._meta.constraints)}


def make_twins(models: Iterable[Model], state: ProjectState) -> list[Twin]:
    """Of `models` and of their implicit many-to-many tables; `state` describes them and all that they point at."""
    twins = describe_twins(state).apps
    return list({twin.label: twin for model in models for twin in with_through_tables(model, twins)}.values())


def with_through_tables(model: Model, twins: Apps) -> Iterator[Twin]:
    twin: Any = twins.get_model(model._meta.label)
    yield Twin(model, twin)
    for field in model._meta.local_many_to_many:
        through: Any = field.remote_field.through
        if through._meta.auto_created:
            yield Twin(through, twin._meta.get_field(field.name).remote_field.through)


def describe_twins(state: ProjectState) -> ProjectState:
    """Every model over a table with a short name of its own, and managed, since Django makes no index otherwise."""
    described = {key: model.clone() for key, model in {**describe_unmigrated(state), **state.models}.items()}
    for number, model in enumerate(described.values()):
        kept = {key: value for key, value in model.options.items() if key not in {"managed", "db_tablespace"}}
        model.options = {**kept, "db_table": f"{NAME}_{number}"}
        model.fields = {
            name: over_own_table(field, f"{NAME}_{number}_{position}")
            for position, (name, field) in enumerate(model.fields.items())
        }
    return ProjectState(described)


def describe_unmigrated(state: ProjectState) -> dict[tuple[str, str], ModelState]:
    """The models of apps without migrations, which a state made by migrations lacks."""
    models = [model for label in state.real_apps for model in global_apps.get_app_config(label).get_models()]
    described = [ModelState.from_model(model, exclude_rels=True) for model in models]
    return {(model.app_label, model.name_lower): model for model in described}


def over_own_table(field: Any, name: str) -> Any:
    if field.many_to_many and field.remote_field.through is None:
        field = field.clone()
        field.db_table = name
    return field


def foreign_keys(twins: Iterable[Twin]) -> Iterator[Any]:
    """The fields that have a foreign key in the database."""
    for twin in twins:
        constrained = {key.field for key in twin.twin._meta.constraints if isinstance(key, DatabaseForeignKey)}
        for field in twin.twin._meta.local_fields:
            if getattr(field, "db_constraint", False) or field.name in constrained:
                yield field
