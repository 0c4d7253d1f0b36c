"""Move: the declaration in a migration that a model's rows go to another app's model, and how they go back."""

from types import ModuleType

from django.apps import apps as django_apps
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from rehome.errors import Refused
from rehome.plan.declaration import Declaration


class Move(Declaration):
    """The rows of `source` become the rows of `target`, with the same keys, in a migration's `RunPython`.

    `fields` names, per field of the target, the source's field or an expression over the source's fields;
    fields of the same name need no mention. `backwards` does the same the other way round and is needed for
    each source field that only an expression reads. `discard` lists the fields of either model whose values
    may be lost.

    The rows go in one transaction, for which writers of the source wait. With `online=True`, or where the setting
    or environment variable REHOME_ONLINE is 1 and `online` is not False, they go in batches while everybody writes.
    With `in_place=True` no row is copied: the table takes the target's name.

    Both callables open their own transactions, so the migration has `atomic = False`. Running one again after
    a crash resumes where it stopped, and after success changes nothing. They raise `rehome.errors.RehomeError`.
    """

    def forwards(self, apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        """Move the rows from the source to the target and keep both tables in sync from then on."""
        load_runner().forward(self, apps, schema_editor.connection)

    def backwards(self, apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        """Move the rows back with everything written since, and leave the target empty and fenced."""
        load_runner().backward(self, apps, schema_editor.connection)


def load_runner() -> ModuleType:
    """The ledger has a model, which can't be imported before the app registry has imported this module."""
    if not django_apps.is_installed("rehome"):
        raise Refused("'rehome' is not in INSTALLED_APPS.", "Add it, for the ledger of the moves is a model of it.")
    from rehome.moves import runner

    return runner
