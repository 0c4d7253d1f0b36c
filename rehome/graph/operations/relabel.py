"""Relabel: content type and permissions of a model follow it to another app where its rows stay in their table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation as DjangoOperation
from django.db.migrations.state import ProjectState

from rehome.graph.operations.base import Operation, is_run_by

if TYPE_CHECKING:
    from django.db.migrations.loader import MigrationLoader


class Relabel(Operation):
    """The content type of `source` and its permissions become those of `target`, and whatever points at them follows;
    backwards likewise. Both models are known to the migration.
    """

    # What the writer of migrations imports.
    __module__ = "rehome"

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self.relabel(schema_editor, to_state, back=False)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self.relabel(schema_editor, from_state, back=True)

    def settle(self, connection: BaseDatabaseWrapper, state: ProjectState) -> bool:
        """What old code has written under its label since is brought over; whether there was any."""
        from rehome.parts import relabel
        from rehome.parts.content_types import Label
        from rehome.postgres.session import Session

        target = state.apps.get_model(self.target)
        if not is_run_by(connection) or not router.allow_migrate_model(connection.alias, target._meta.concrete_model):
            return False
        app_label, _, name = self.source.partition(".")
        return relabel.settle(Label(app_label, name.lower(), name.lower()), Label.of(target), Session(connection))

    def relabel(self, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState, *, back: bool) -> None:
        connection = schema_editor.connection
        source, target = state.apps.get_model(self.source), state.apps.get_model(self.target)
        # A proxy itself is in no database.
        if is_run_by(connection) and router.allow_migrate_model(connection.alias, target._meta.concrete_model):
            from rehome.parts import relabel
            from rehome.parts.content_types import Label
            from rehome.postgres.session import Session

            change = relabel.backward if back else relabel.forward
            change(Label.of(source), Label.of(target), Session(connection))

    def as_plain(self, app_label: str, state: Any, connection: BaseDatabaseWrapper) -> list[DjangoOperation]:
        """Nothing: a new database gets its content types after its migrations."""
        return []

    def describe(self) -> str:
        return f"Give the content type and the permissions of {self.source} to {self.target}"

    @property
    def migration_name_fragment(self) -> str:
        return f"relabel_{self.target.rpartition('.')[2].lower()}"


def settle(loader: "MigrationLoader", connection: BaseDatabaseWrapper) -> Iterator[Relabel]:
    """Each that this database has applied, and that has left something to bring over. Where there is a model of the old
    label again, what names that is its own.
    """
    found = [
        operation
        for key, migration in loader.graph.nodes.items()
        for operation in (migration.operations if migration and key in loader.applied_migrations else ())
        if isinstance(operation, Relabel)
    ]
    state = loader.project_state() if found else None
    for operation in found:
        app_label, _, name = operation.source.partition(".")
        if state and (app_label, name.lower()) not in state.models and operation.settle(connection, state):
            yield operation
