"""Repoint: a foreign key leads to the model that has moved, and nobody waits while its rows are looked at."""

import functools
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AlterField, RenameField
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from rehome.graph.operations.base import is_run_by


class Repoint(AlterField):
    """AlterField for a foreign key, a one-to-one or a many-to-many field whose model has moved to another app.

    On PostgreSQL, one short transaction exchanges the constraint for one that is enforced from then on, and another,
    which keeps nobody waiting, looks at the rows that are there. The migration has `atomic = False`; in a transaction
    only a table without rows is taken. Running it again after a crash goes on. On other databases it is AlterField.

    Raises Refused before anything is changed, LockNotObtained after a transaction is undone.
    """

    # What the writer of migrations imports.
    __module__ = "rehome"

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if not is_run_by(schema_editor.connection):
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        from rehome.graph.operations.constraint import Repointing, find_ends

        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        before = from_state.apps.get_model(app_label, self.model_name)
        ends = find_ends(before._meta.get_field(self.name), model._meta.get_field(self.name))
        alter = functools.partial(super().database_forwards, app_label, schema_editor, from_state, to_state)
        if ends:
            Repointing(ends, schema_editor, f"{app_label}.{self.model_name}.{self.name}", alter).run()
        else:
            alter()

    def as_plain(self, app_label: str, state: ProjectState, connection: BaseDatabaseWrapper) -> list[Operation]:
        """The same as plain Django."""
        return [AlterField(self.model_name, self.name, self.field, self.preserve_default)]

    def describe(self) -> str:
        return f"Re-point field {self.name} on {self.model_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"repoint_{self.model_name_lower}_{self.name_lower}"

    def reduce(self, operation: Operation, app_label: str) -> Any:
        """A later change of the same field is this one's, and its name too: the constraint is exchanged once."""
        match operation:
            case AlterField() if self.is_same_field_operation(operation):
                return [type(self)(self.model_name, self.name, operation.field, operation.preserve_default)]
            case RenameField() if self.is_same_field_operation(operation) and self.field.db_column is None:
                renamed = type(self)(self.model_name, operation.new_name, self.field, self.preserve_default)
                return [operation, renamed]
        return super().reduce(operation, app_label)
