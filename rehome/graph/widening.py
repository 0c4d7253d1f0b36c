"""Columns that a migration after the move widens: on the way there and back they are as wide as the rows need.

Django would make such a column of the target narrow again before the move goes back, and widen it only after the move
has come again, while the source holds the long values all the time.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import AlterField, Migration, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove
from rehome.graph.shapes import Label, read_shape
from rehome.plan import resolve
from rehome.postgres import sql
from rehome.postgres.sql import Statement
from rehome.postgres.widths import accepts


def widen_target(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> None:
    """Before the move runs: its target, which has no rows yet, takes at once what a later migration lets it take.

    Only where the source's column is wider already, so that the values of its rows fit. Whatever else is wrong, the
    move itself says.
    """
    with contextlib.suppress(Refused), connection.cursor() as cursor:
        for statement in statements(declared, connection):
            cursor.execute(statement.as_string())


def statements(declared: DeclaredMove, connection: BaseDatabaseWrapper) -> Iterator[Statement]:
    plan = resolve.resolve(declared.move, declared.apps, connection)
    _, label = declared.move.resolve_labels()
    newest = read_shape(declared.loader.project_state(), label, connection)
    if newest is None or declared.move.in_place or {plan.main.source.kind, plan.main.target.kind} != {"r"}:
        return
    types = {column.name: column.type for column in newest.columns.values()}
    for source, target in plan.main.plain_columns:
        later = types.get(target.name, "")
        if all(accepts(later, one.type) for one in (source, target)) and not accepts(target.type, source.type):
            yield sql.alter_column(sql.name(plan.main.target), target.name, "TYPE {}", sql.type_name(later))


def leave_wide(migration: Migration, moves: Iterable[DeclaredMove], connection: BaseDatabaseWrapper) -> None:
    """Before Django unapplies `migration`, and the `moves` after it: leave the columns alone that it would narrow.

    Their rows may not fit any more, and go with the move back; the empty table takes the same rows when they come
    again.
    """
    loaders = {declared.move.resolve_labels()[1]: declared.loader for declared in moves}
    migration.operations = [  # type: ignore[misc]  # An instance has its own.
        SeparateDatabaseAndState(state_operations=[operation])
        if (loader := loaders.get(altered(operation, migration))) and narrows(operation, migration, loader, connection)
        else operation
        for operation in migration.operations
    ]


def altered(operation: Operation, migration: Migration) -> Label:
    """The model whose field an operation alters."""
    return (migration.app_label, operation.model_name_lower) if isinstance(operation, AlterField) else ("", "")


def narrows(operation: Any, migration: Migration, loader: MigrationLoader, connection: BaseDatabaseWrapper) -> bool:
    """Whether the column holds less once the operation is unapplied."""
    key, label = (migration.app_label, migration.name), altered(operation, migration)
    states = [loader.project_state(key, at_end=at_end) for at_end in (False, True)]
    before, after = (
        shape.columns.get(operation.name) if shape else None
        for shape in (read_shape(state, label, connection) for state in states)
    )
    return bool(before and after and accepts(after.type, before.type) and not accepts(before.type, after.type))
