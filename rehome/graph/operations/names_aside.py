"""NamesAside: a model that moves lets go of the names of indexes that its new table needs."""

from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunSQL
from django.db.migrations.operations.base import Operation as DjangoOperation
from django.db.migrations.state import ProjectState
from django.db.models import Model

from rehome.graph.operations.base import Operation, is_run_by, run


class NamesAside(Operation):
    """The indexes, unique and exclusion constraints `names` of the table of `model` are called otherwise from here on,
    and by their names again backwards.

    No model changes by it: it knows the constraints by these names as before. Blocks nobody who reads or writes rows.
    """

    # What the writer of migrations imports.
    __module__ = "rehome"

    def __init__(self, model: str, names: Iterable[str]) -> None:
        self.model = model
        self.names = list(names)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self.rename(schema_editor, to_state, back=False)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self.rename(schema_editor, to_state, back=True)

    def rename(self, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState, *, back: bool) -> None:
        from rehome.parts import index_names
        from rehome.postgres import catalog
        from rehome.postgres.session import Group

        connection = schema_editor.connection
        model: type[Model] = state.apps.get_model(self.model)
        if is_run_by(connection) and self.allow_migrate_model(connection.alias, model):
            table = catalog.read_table(connection, connection.ops.quote_name(model._meta.db_table))
            change = index_names.revert if back else index_names.put_aside
            found = change(table, self.names) if table else []
            run(connection, [Group(found)] if found else [])

    def as_plain(self, app_label: str, state: Any, connection: BaseDatabaseWrapper) -> list[DjangoOperation]:
        """The same as plain Django, for new databases."""
        from rehome.parts import index_names

        table = state.apps.get_model(self.model)._meta.db_table
        quoted = connection.ops.quote_name(table)
        own = quoted.strip('"').rpartition('"."')[2]
        named = [(name, index_names.aside(name, own)) for name in map(index_names.as_stored, self.names)]
        return [
            RunSQL(
                [index_names.rename_at(quoted, name, aside) for name, aside in named],
                [index_names.rename_at(quoted, aside, name) for name, aside in named],
            )
        ]

    def describe(self) -> str:
        return f"Let the new table have the names of indexes of {self.model}"

    @property
    def migration_name_fragment(self) -> str:
        return f"names_of_{self.model.rpartition('.')[2].lower()}_aside"
