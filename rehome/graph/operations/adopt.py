"""Adopt: the model that AUTH_USER_MODEL names went to another app, and has the table that it had there."""

from typing import TYPE_CHECKING

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import CreateModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from rehome.errors import Refused
from rehome.postgres import statements

if TYPE_CHECKING:
    from django.db.migrations.loader import MigrationLoader

    Key = tuple[str, str]


class Adopt(CreateModel):
    """CreateModel for the model of a setting such as AUTH_USER_MODEL, where another app's model had its table.

    Migrations that were applied long ago depend on the one with this operation, for they name what the setting names.
    So `migrate` records it on a database that has the table, before it looks at the history. On a new database it
    creates the table, which Django does not make for the old model there: the setting has swapped it out.

    Raises Refused backwards while the table has rows: they are those of the old model as well.
    """

    # What the writer of migrations imports.
    __module__ = "rehome"

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        refuse_rows(self, app_label, schema_editor.connection)
        super().database_backwards(app_label, schema_editor, from_state, to_state)

    def as_plain(self, app_label: str, state: ProjectState, connection: BaseDatabaseWrapper) -> list[Operation]:
        """The same as plain Django, for new databases: every other has recorded it."""
        return [CreateModel(self.name, self.fields, self.options, self.bases, self.managers)]

    @property
    def table(self) -> str:
        return str(self.options["db_table"])


def unrecorded(loader: "MigrationLoader", connection: BaseDatabaseWrapper) -> "list[Key]":
    """The migrations whose table this database has, and that others depend on which it has applied."""
    tables: set[str] | None = None
    found = []
    for key, operation in adopting(loader):
        children = {child.key for child in loader.graph.node_map[key].children}
        if key not in loader.applied_migrations and children & loader.applied_migrations.keys():
            tables = tables if tables is not None else set(connection.introspection.table_names())
            if operation.table in tables:
                found.append(key)
    return found


def refuse_unapplied(keys: "set[Key]", loader: "MigrationLoader", connection: BaseDatabaseWrapper) -> None:
    """Before anything is unapplied: raise Refused for rows that would be dropped."""
    for key, operation in adopting(loader):
        if key in keys & loader.applied_migrations.keys():
            refuse_rows(operation, key[0], connection)


def adopting(loader: "MigrationLoader") -> "list[tuple[Key, Adopt]]":
    return [
        ((key[0], key[1]), operation)
        for key, migration in loader.graph.nodes.items()
        for operation in (migration.operations if migration else ())
        if isinstance(operation, Adopt)
    ]


def refuse_rows(operation: Adopt, app_label: str, connection: BaseDatabaseWrapper) -> None:
    table = operation.table
    if table in connection.introspection.table_names() and statements.has_rows(table, connection):
        raise Refused(
            f"{table} has rows, and unapplying the migration that creates {app_label}.{operation.name} drops it.",
            "To go back to the old model, unapply the migrations after that one, and set AUTH_USER_MODEL and the "
            "classes to what they were.",
        )
