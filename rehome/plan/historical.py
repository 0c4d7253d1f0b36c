"""What a move reads of the models that its migration knows, and of their tables."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.apps.registry import Apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.state import ProjectState

from rehome.errors import Refused
from rehome.plan.declaration import Declaration
from rehome.plan.plan import Field, Model
from rehome.postgres import catalog, resolution, sql
from rehome.postgres.tables import Column, End, ForeignKey, Table

UNKNOWN = (
    "is no model that this migration knows.",
    "Write it as 'app_label.ModelName' and add a migration of that app to this migration's dependencies.",
)


def get_model(apps: Apps, label: str, unknown: tuple[str, str] = UNKNOWN) -> Model:
    """Raises Refused for a proxy and, with what `unknown` says and its hint, where there is no such model."""
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise Refused(f"{label!r} {unknown[0]}", unknown[1]) from error
    return with_rows(model)


def as_migrated(apps: Apps, *labels: str) -> Apps:
    """Models as their migrations have made them, whatever a setting such as AUTH_USER_MODEL says by now.

    One that it has swapped out would have no many-to-many tables.
    """
    if not any(get_model(apps, label)._meta.swapped for label in labels):
        return apps
    state = ProjectState.from_apps(apps)
    for label in labels:
        app_label, _, name = label.partition(".")
        state.models[app_label, name.lower()].options.pop("swappable", None)
    migrated: Apps = state.apps
    return migrated


def is_never_made(model: Model, connection: BaseDatabaseWrapper) -> bool:
    """Whether a new database has no table of it, as Django makes none, and this is one."""
    made = model._meta.managed and not model._meta.swapped
    return not made and resolution.find(connection, connection.ops.quote_name(model._meta.db_table)) is None


def with_rows(model: Model) -> Model:
    if model._meta.proxy and model._meta.concrete_model:
        raise Refused(
            f"{model._meta.label} is a proxy and has no rows of its own.",
            f"Move {model._meta.concrete_model._meta.label} instead.",
        )
    return model


def is_allowed(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> bool:
    """Whether the project's routers have the target on this database."""
    return router.allow_migrate_model(connection.alias, get_model(apps, move.target))


def get_table(connection: BaseDatabaseWrapper, model: Model) -> Table:
    table = catalog.read_table(connection, connection.ops.quote_name(model._meta.db_table))
    if table is None:
        raise Refused(
            f"{model._meta.label} has no table {model._meta.db_table!r} in database {connection.alias!r}.",
            f"Run the migration that creates it first, with `manage.py migrate {model._meta.app_label} NAME --database "
            f"{connection.alias}`.",
        )
    return table


def read_tables(connection: BaseDatabaseWrapper, models: Iterable[Model]) -> dict[str, Table]:
    """By the name that its model has for it, each table that there is."""
    names = [model._meta.db_table for model in models]
    found = catalog.read_tables(connection, map(connection.ops.quote_name, names))
    return {name: table for name, table in zip(names, found, strict=True) if table}


def get_column(table: Table, model: Model, field: Field) -> Column:
    if not table.has_column(column_of(field)):
        raise Refused(
            f"{table} has no column {field.column!r}, which {model._meta.label}.{field.name} names.",
            "The table differs from its migrations: add the column, or correct the migrations, first.",
        )
    return table.column(column_of(field))


def refuse_unknown(names: Iterable[str], known: Collection[str], model: Model, naming: str, hint: str) -> None:
    """Those of a declaration that are none of the model's `known` fields; `naming` says where, and `hint` comes before
    a list of these.
    """
    for name in names:
        if name not in known:
            raise Refused(
                f"{model._meta.label} has no field {name!r}, which {naming}.",
                f"{hint}: {', '.join(sorted(known))}.",
            )


def find_dropped(connection: BaseDatabaseWrapper, model: Model, table: Table) -> Iterator[ForeignKey]:
    """Foreign keys that Django made for `model` and that are no longer there."""
    field: Any
    for field in concrete_fields(model).values():
        column = str(field.column)
        if not getattr(field, "db_constraint", False) or any(key.columns == (column,) for key in table.foreign_keys):
            continue
        parent = resolution.find(connection, connection.ops.quote_name(field.remote_field.model._meta.db_table))
        if parent is None:
            continue
        end = End(*resolution.place_of(connection, parent), (str(field.target_field.column),))
        yield dataclasses.replace(sql.foreign_key(table, column, end), referenced_oid=parent)


def concrete_fields(model: Model) -> dict[str, Field]:
    """By name, the fields of the model's own table that have a column."""
    return {field.name: field for field in model._meta.local_concrete_fields if field.column is not None}


def column_of(field: Field) -> str:
    """Every field of `concrete_fields` has one."""
    return str(field.column)


def implicit_many_to_many(model: Model) -> list[Any]:
    fields = [(field, field.remote_field.through) for field in model._meta.local_many_to_many]
    return [field for field, through in fields if through and through._meta.auto_created]


def repointed(pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Model, Model]]:
    """Of pairs of relations (source's, target's), those that lead to different models: (target's, from, to)."""
    for source_field, target_field in pairs:
        source, target = source_field.remote_field.model, target_field.remote_field.model
        if source is not target:
            yield target_field, source, target
