"""Fields that later migrations added to a target, which are not carried to the source."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from django.apps.registry import Apps
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import AddField, RemoveField, RenameField, RenameModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove, Key, flatten
from rehome.plan.expressions import compile_expression
from rehome.plan.plan import Model
from rehome.postgres import asking, catalog
from rehome.postgres.tables import Column, Table
from rehome.preflight import questions


@dataclasses.dataclass(frozen=True)
class Addition:
    declared: DeclaredMove
    key: Key
    """The migration that added the field."""
    model: Model
    field: Any

    @property
    def holder(self) -> Model:
        """The model whose table has the values."""
        return self.field.remote_field.through if self.field.many_to_many else self.model

    @property
    def column(self) -> str:
        return str(self.field.m2m_column_name() if self.field.many_to_many else self.field.column)


def known_columns(declared: DeclaredMove) -> Callable[[Table], set[str]]:
    """Asks which columns of a table a model has in the newest migrations that are applied: they go with those."""

    @functools.cache
    def apps() -> Apps:
        return newest_state(declared).apps

    def known(table: Table) -> set[str]:
        found = [m for m in apps().get_models(include_auto_created=True) if m._meta.db_table == table.name]
        return {str(field.column) for model in found for field in model._meta.local_concrete_fields}

    return known


def newest_state(declared: DeclaredMove) -> ProjectState:
    loader = declared.loader
    state: ProjectState = loader.project_state([key for key in loader.applied_migrations if key in loader.graph.nodes])
    return state


def find(declared: DeclaredMove, taken: set[Key]) -> Iterator[Addition]:
    """Fields of the target, as the newest applied migrations name them; `taken` are those that will be unapplied."""
    _, (app_label, name) = declared.move.resolve_labels()
    added: dict[str, Key] = {}
    for key, operation in operations_after(declared, taken, app_label):
        name = follow(operation, name, added, key)
    state = newest_state(declared)
    if added and (app_label, name) in state.models:
        model = state.apps.get_model(app_label, name)
        yield from (Addition(declared, key, model, model._meta.get_field(field)) for field, key in added.items())


def refuse_lost(addition: Addition, connection: BaseDatabaseWrapper) -> None:
    """Unapplying the migration that added a field drops it with its values, before the move runs backwards."""
    if values := find_values(addition, connection):
        place, count, example = values
        source = addition.declared.move.source
        raise Refused(
            f"{place} has values in {count:,} rows, such as {example}, which {source} can't hold: "
            f"unapplying {'.'.join(addition.key)}, which added it, would drop them.",
            "Empty it first, or add --discard-data, which drops it with its values.",
        )


def find_table(addition: Addition, connection: BaseDatabaseWrapper) -> Table | None:
    """Where the values are; None where no table or no column is."""
    table = catalog.read_table(connection, connection.ops.quote_name(addition.holder._meta.db_table))
    return table if table and table.has_column(addition.column) else None


def operations_after(declared: DeclaredMove, taken: set[Key], app_label: str) -> Iterator[tuple[Key, Operation]]:
    """Of the target's app since the move, in order: no migration has a longer plan than one that depends on it."""
    graph = declared.loader.graph
    later = {key for key in taken if key[0] == app_label}.difference(graph.forwards_plan(declared.key))
    for key in sorted(later, key=lambda key: len(graph.forwards_plan(key))):
        for operation in graph.nodes[key].operations:
            yield from ((key, part) for part in flatten(operation, "state"))


def follow(operation: Operation, model: str, added: dict[str, Key], key: Key) -> str:
    """Keep `added` up to what one operation did to `model`; the model's name from then on."""
    match operation:
        case RenameModel(old_name_lower=old) if old == model:
            return operation.new_name_lower
        case AddField(model_name_lower=changed) if changed == model:
            added[operation.name] = key
        case RemoveField(model_name_lower=changed) if changed == model:
            added.pop(operation.name, None)
        case RenameField(model_name_lower=changed) if changed == model and operation.old_name in added:
            added[operation.new_name] = added.pop(operation.old_name)
    return model


def find_values(addition: Addition, connection: BaseDatabaseWrapper) -> tuple[str, int, str] | None:
    """(where, in how many rows somebody wrote a value there, the key of one of them); None where nobody did."""
    table, field = find_table(addition, connection), addition.field
    if table is None or field.generated:
        return None
    column = table.column(addition.column)
    place, key, untouched = str(table), [column.name], ["NULL"]
    if not field.many_to_many:
        place, key = f"{table}.{column.name}", [str(pk.column) for pk in addition.model._meta.pk_fields]
        untouched = untouched_values(addition, column, connection)
    query = questions.count_values(table, key, column, untouched)
    ((count, example),) = asking.query(connection, query.as_string())
    return (place, count, example) if count else None


def untouched_values(addition: Addition, column: Column, connection: BaseDatabaseWrapper) -> list[str]:
    """What a row has there when nobody wrote to it; one that came from the source has the table's own default."""
    values = [column.default or "NULL"]
    if addition.field.has_default():
        default = models.Value(addition.field.get_default(), output_field=addition.field)
        values.append(compile_expression(default, addition.model, connection, addition.field.name).sql)
    return values
