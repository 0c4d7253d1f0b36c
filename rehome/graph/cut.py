"""Old models that go while a model of the same name in another app has no rows: what `makemigrations` makes of a class
that was cut and pasted.
"""

from collections.abc import Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import truncate_name
from django.db.migrations import DeleteModel, Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import fields, models
from django.db.migrations.state import ModelState, ProjectState

from rehome.errors import Refused
from rehome.graph.discovery import flatten
from rehome.postgres import asking, catalog
from rehome.preflight import questions

OF_SCHEMA = {models.__name__, fields.__name__}
"""The modules of operations that write no rows."""


def refuse_dropped(plan: Sequence[Migration], connection: BaseDatabaseWrapper) -> None:
    """Raise Refused, before any migration is applied, where one of them would drop the rows of a class that was cut.

    Only where nothing beside them can have copied the rows: no operation that runs code or SQL for either app.
    """
    operations = [(one, part) for one in plan for operation in one.operations for part in flatten(operation)]
    deleted = [(one, part) for one, part in operations if isinstance(part, DeleteModel)]
    if not deleted:
        return
    loader = MigrationLoader(connection)
    before = loader.project_state([key for key in loader.applied_migrations if key in loader.graph.nodes])
    after = loader.project_state()
    writing = {one.app_label for one, part in operations if type(part).__module__ not in OF_SCHEMA}
    for migration, operation in deleted:
        old = before.models.get((migration.app_label, operation.name_lower))
        if old is None or old.app_label in writing or not (rows := count(old, connection)):
            continue
        for new in pasted(old, after):
            if new.app_label not in writing and not count(new, connection):
                raise Refused(
                    f"{migration.app_label}.{migration.name} drops {old.app_label}.{old.name} with {rows:,} "
                    f"{'row' if rows == 1 else 'rows'}, and {new.app_label}.{new.name}, which has the same fields, has "
                    "none: makemigrations takes a class that was cut for a deleted one.",
                    f"Run `manage.py makemove {old.app_label}.{old.name} {new.app_label}.{new.name}`, which writes "
                    "others instead. If the rows may go, delete them first. Nothing has been applied.",
                )


def pasted(old: ModelState, state: ProjectState) -> Iterator[ModelState]:
    """Models of other apps that have the name of `old` and most of its fields."""
    for new in state.models.values():
        same = len(new.fields.keys() & old.fields.keys())
        if new.name_lower == old.name_lower and new.app_label != old.app_label and 2 * same > len(old.fields):
            yield new


def count(model: ModelState, connection: BaseDatabaseWrapper) -> int:
    """The rows of its table; none where it is not there, or is not Django's. No model is made of the state, for what
    `makemigrations` leaves of other models may have no bases.
    """
    if model.options.get("proxy") or not model.options.get("managed", True):
        return 0
    named = truncate_name(f"{model.app_label}_{model.name_lower}", connection.ops.max_name_length())
    table = catalog.read_table(connection, connection.ops.quote_name(model.options.get("db_table") or named))
    if table is None or table.kind != "r":
        return 0
    return int(asking.value(connection, questions.count_rows(table).as_string()))
