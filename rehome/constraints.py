"""A foreign key with actions of the database, for tables that were there before Django."""

from typing import Any, Literal

from django.db import models
from django.db.backends.ddl_references import Statement, Table

Action = Literal["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]
CREATE = "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s %(definition)s"


class DatabaseForeignKey(models.BaseConstraint):
    """Goes into `Meta.constraints` beside a ForeignKey that has `db_constraint=False`.

    Django before 6.1 can't say `ON DELETE CASCADE`, and no Django can say `ON UPDATE`. Where another application relies
    on such an action, this constraint declares it, with a name for migrations.
    """

    def __init__(
        self,
        *,
        field: str,
        name: str,
        on_delete: Action = "NO ACTION",
        on_update: Action = "NO ACTION",
        # As Django's own foreign keys; None for one that is checked at once.
        deferrable: models.Deferrable | None = models.Deferrable.DEFERRED,
    ) -> None:
        super().__init__(name=name)
        self.field = field
        self.on_delete = on_delete
        self.on_update = on_update
        self.deferrable = deferrable

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        """Not within CREATE TABLE: the other table may come later."""
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))
        return None

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        quote = schema_editor.quote_name
        field = model._meta.get_field(self.field)
        target, actions = field.target_field, (("DELETE", self.on_delete), ("UPDATE", self.on_update))
        said = "".join(f" ON {event} {action}" for event, action in actions if action != "NO ACTION")
        return Statement(
            CREATE,
            table=Table(model._meta.db_table, quote),
            name=quote(self.name),
            definition=f"FOREIGN KEY ({quote(field.column)}) REFERENCES {quote(target.model._meta.db_table)} "
            f"({quote(target.column)}){said}{self.timing(schema_editor)}",
        )

    def timing(self, schema_editor: Any) -> str:
        deferred = schema_editor.connection.features.supports_deferrable_unique_constraints
        return str(schema_editor._deferrable_constraint_sql(self.deferrable) or "") if deferred else ""

    def remove_sql(self, model: Any, schema_editor: Any) -> Any:
        template = schema_editor.sql_delete_fk
        if self.deferrable is None and schema_editor.connection.vendor == "postgresql":
            template = schema_editor.sql_delete_constraint  # Django's own for foreign keys sets it IMMEDIATE first.
        return schema_editor._delete_constraint_sql(template, model, self.name)

    def validate(self, *args: Any, **options: Any) -> None:
        """The ForeignKey validates its values."""

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        said = {"on_delete": self.on_delete, "on_update": self.on_update, "deferrable": self.deferrable}
        plain = {"on_delete": "NO ACTION", "on_update": "NO ACTION", "deferrable": models.Deferrable.DEFERRED}
        return path, args, {**kwargs, "field": self.field, **{k: v for k, v in said.items() if v != plain[k]}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatabaseForeignKey) and self.deconstruct() == other.deconstruct()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__}: {self.name} of {self.field}>"
