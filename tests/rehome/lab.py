"""A laboratory for moves: models described as in migrations, their tables, and moves between them."""

from collections.abc import Callable
from typing import Any

from django.db import connections, models
from django.db.migrations import CreateModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState, StateApps

from rehome import Move
from rehome.ledger import Ledger
from rehome.plan import Plan, make_plan
from rehome.runner import open_session
from rehome.verify import Report, verify


class Lab:
    """Makes tables in one database, as migrations would, and drops them in the end."""

    def __init__(self, alias: str = "default") -> None:
        self.alias = alias
        self.state = ProjectState(real_apps={"auth", "contenttypes"})
        self.made: list[str] = []

    @property
    def connection(self) -> Any:
        return connections[self.alias]

    @property
    def apps(self) -> StateApps:
        return self.state.apps

    def apply(self, app_label: str, operation: Operation) -> None:
        """One operation of a migration, on the state and on the database."""
        before = self.state.clone()
        operation.state_forwards(app_label, self.state)
        with self.connection.schema_editor(atomic=True) as editor:
            operation.database_forwards(app_label, editor, before, self.state)

    def model(self, label: str, fields: dict[str, models.Field], **options: Any) -> type[models.Model]:
        """Create `app.Model` with its table. Without a primary key among the fields, it gets a BigAutoField `id`."""
        app_label, name = label.split(".")
        named = list(fields.items())
        if not any(getattr(field, "primary_key", False) for field in fields.values()):
            named.insert(0, ("id", models.BigAutoField(primary_key=True)))
        self.apply(app_label, CreateModel(name, named, options=options))
        return self.apps.get_model(label)

    def twins(
        self, fields: Callable[[str], dict[str, models.Field]], name: str = "Thing", **options: Any
    ) -> tuple[type[models.Model], type[models.Model]]:
        """`old.Thing` and `new.Thing`; `fields` is called with the app label, once for each."""
        for app_label in ("old", "new"):
            self.model(f"{app_label}.{name}", fields(app_label), **options)
        return self.get(f"old.{name}"), self.get(f"new.{name}")

    def get(self, label: str) -> type[models.Model]:
        """The model in the newest state. Fetch it again after `apply` or `model`: states are immutable."""
        return self.apps.get_model(label)

    def forward(self, move: Move) -> None:
        with self.connection.schema_editor(atomic=False) as editor:
            move.forwards(self.apps, editor)

    def back(self, move: Move) -> None:
        with self.connection.schema_editor(atomic=False) as editor:
            move.backwards(self.apps, editor)

    def plan(self, move: Move) -> Plan:
        return make_plan(move, self.apps, self.connection)

    def verify(self, move: Move) -> Report:
        plan = self.plan(move)
        run = Ledger(self.alias).current(plan)
        return verify(plan, open_session(plan), run.kept if run else {})

    def sql(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        """Run anything; the rows, where there are any."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def clean(self) -> None:
        """Drop every table that the lab's models have, every function and the record of rehome."""
        tables = {model._meta.db_table for model in self.apps.get_models(include_auto_created=True)}
        installed = {"auth", "contenttypes"}
        for model in self.apps.get_models(include_auto_created=True):
            if model._meta.app_label in installed:
                tables.discard(model._meta.db_table)
        quote = self.connection.ops.quote_name
        for table in sorted(tables):
            self.sql(f"DROP TABLE IF EXISTS {quote(table)} CASCADE")
        self.sql("DELETE FROM rehome_moverun WHERE move LIKE 'old.%%' OR move LIKE 'new.%%'", []) if Ledger(
            self.alias
        ).exists() else None
