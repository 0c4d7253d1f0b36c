"""A workshop for imports: models of an older database and of this one, their tables, and imports between them."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from django.db import connections, models
from django.db.migrations import CreateModel

from rehome import Import
from rehome.importing import running
from rehome.importing.merging import ImportReport
from rehome.importing.running import Options
from tests.rehome.support.lab import Lab

OLDER = "older"


@contextmanager
def connect(alias: str, **settings: Any) -> Iterator[None]:
    """Another database alias for as long as the block runs; what is not said is as in the default one."""
    connections.settings[alias] = {**deepcopy(connections["default"].settings_dict), **settings}
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


class Workshop(Lab):
    """A lab for the target's models, which makes those of the source in another database."""

    def __init__(self, source: str, alias: str = "default") -> None:
        super().__init__(alias)
        self.source = source

    def older(self, label: str, fields: dict[str, models.Field], **options: Any) -> type[models.Model]:
        """Create a source's model with its table. Without a primary key, it gets an AutoField `id`."""
        app_label, name = label.split(".")
        named = list(fields.items())
        if not any(getattr(field, "primary_key", False) for field in fields.values()):
            named.insert(0, ("id", models.AutoField(primary_key=True)))
        operation = CreateModel(name, named, options=options)
        before = self.state.clone()
        operation.state_forwards(app_label, self.state)
        with connections[self.source].schema_editor() as editor:
            operation.database_forwards(app_label, editor, before, self.state)
        return self.apps.get_model(label)

    def old(self, label: str) -> Any:
        """The rows of a source's model."""
        return self.get(label)._base_manager.using(self.source)

    def new(self, label: str) -> Any:
        """The rows of a target's model."""
        return self.get(label)._base_manager.using(self.alias)

    def run(self, *imports: Import, **options: Any) -> list[ImportReport]:
        return running.run(imports, Options(**options), source=self.source, apps=self.apps)

    def query(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        """`sql`, at the source."""
        with connections[self.source].cursor() as cursor:
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def clean(self) -> None:
        for kind, name in sorted(self.find_objects() - self.before, reverse=True):
            self.sql(f"DROP {kind} IF EXISTS {name} CASCADE")
        self.sql("DELETE FROM django_content_type WHERE app_label IN ('old', 'new', 'crm')")
