"""Fields that a target was given by later migrations, which nothing carries back to the source."""

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import AddField, RemoveField, RenameField, RenameModel
from django.db.migrations.operations.base import Operation

from rehome import catalog, questions
from rehome.catalog import Column
from rehome.discovery import DeclaredMove, Key, flatten_state
from rehome.errors import Refused
from rehome.expressions import compile_expression
from rehome.plan import Model


def refuse_lost(declared: DeclaredMove, taken: set[Key], connection: BaseDatabaseWrapper) -> None:
    """Taking back the migration that added a field drops it with its values, before the move is asked."""
    for model, field, key in find(declared, taken):
        if values := find_values(model, field, connection):
            place, count, example = values
            app_label, before = find_parent(declared, key)
            raise Refused(
                f"{place} has values in {count:,} rows, such as {example}, which {declared.move.source} can't hold: "
                f"taking back {'.'.join(key)}, which added it, would drop them.",
                f"Empty it first, or run `manage.py migrate {app_label} {before}`, which drops it with its values.",
            )


def find(declared: DeclaredMove, taken: set[Key]) -> Iterator[tuple[Model, Any, Key]]:
    """(the target, a field of it, the migration that added it), as the newest applied migrations name them.

    `taken` are the applied migrations that are to be taken back.
    """
    _, (app_label, name) = declared.move.resolve_labels()
    added: dict[str, Key] = {}
    for key, operation in operations_after(declared, taken, app_label):
        name = follow(operation, name, added, key)
    loader = declared.loader
    state = loader.project_state([key for key in loader.applied_migrations if key in loader.graph.nodes])
    if added and (app_label, name) in state.models:
        model = state.apps.get_model(app_label, name)
        yield from ((model, model._meta.get_field(field), key) for field, key in added.items())


def operations_after(declared: DeclaredMove, taken: set[Key], app_label: str) -> Iterator[tuple[Key, Operation]]:
    """What the target's app has done since the move, in order: no migration is longer than one that depends on it."""
    graph = declared.loader.graph
    later = {key for key in taken if key[0] == app_label}.difference(graph.forwards_plan(declared.key))
    for key in sorted(later, key=lambda key: len(graph.forwards_plan(key))):
        for operation in graph.nodes[key].operations:
            yield from ((key, part) for part in flatten_state(operation))


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


def find_values(model: Model, field: Any, connection: BaseDatabaseWrapper) -> tuple[str, int, str] | None:
    """(where, in how many rows somebody wrote a value there, the key of one of them); None where nobody did."""
    holder = field.remote_field.through if field.many_to_many else model
    name = field.m2m_column_name() if field.many_to_many else field.column
    table = catalog.read_table(connection, connection.ops.quote_name(holder._meta.db_table))
    if table is None or field.generated or not table.has_column(name):
        return None
    column = table.column(name)
    key = [name] if field.many_to_many else [str(pk.column) for pk in model._meta.pk_fields]
    untouched = ["NULL"] if field.many_to_many else untouched_values(model, field, column, connection)
    ((count, example),) = catalog.query(connection, questions.count_values(table, key, column, untouched).as_string())
    place = str(table) if field.many_to_many else f"{table}.{name}"
    return (place, count, example) if count else None


def untouched_values(
    model: Model, field: "models.Field[Any, Any]", column: Column, connection: BaseDatabaseWrapper
) -> list[str]:
    """What a row has there when nobody wrote to it; one that came from the source has the table's own default."""
    values = [column.default or "NULL"]
    if field.has_default():
        default = models.Value(field.get_default(), output_field=field)
        values.append(compile_expression(default, model, connection, field.name).sql)
    return values


def find_parent(declared: DeclaredMove, key: Key) -> Key:
    """The migration of the same app before `key`; there is one, for it made the model."""
    parents: list[Key] = [parent.key for parent in declared.loader.graph.node_map[key].parents]
    return next(parent for parent in parents if parent[0] == key[0])
