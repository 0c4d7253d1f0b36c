"""Rebase: a proxy or child of a model that moved gets the model of the other app as its base."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps.registry import Apps
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AlterModelOptions, CreateModel, DeleteModel, RunSQL, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation as DjangoOperation
from django.db.migrations.state import ProjectState

from rehome.graph.operations.base import Operation, is_run_by
from rehome.postgres import statements

Base = str | type
Link = tuple[str, Any]


class Rebase(Operation):
    """The model has the bases `bases` from here on, and a child the parent link `link`, its name and field.

    Both change at once, for no model could be made between the two. In the database the foreign key of the parent link
    leads to the table of the new base, and so do foreign keys of other models that lead to this one where it is a
    proxy: each is added NOT VALID and then validated, which blocks nobody where the migration has `atomic = False`.
    Backwards they lead to the old base's table again. Nothing of the database changes where both bases have one table.
    """

    # What the writer of migrations imports.
    __module__ = "rehome"

    def __init__(self, name: str, bases: Iterable[Base], link: Link | None = None) -> None:
        self.name = name
        self.bases = tuple(bases)
        self.link = link

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        link = {"link": self.link} if self.link else {}
        return type(self).__name__, [], {"name": self.name, "bases": self.bases, **link}

    def state_forwards(self, app_label: str, state: Any) -> None:
        key = app_label, self.name.lower()
        state.models[key].bases = self.bases
        if self.link:
            name, field = self.link
            state.models[key].fields[name] = field
        # Neither Django's relations nor its models can follow a model to other bases: both are made again when needed.
        state._relations = None
        state.__dict__.pop("apps", None)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if not is_run_by(connection):
            return
        from rehome.graph.operations.constraint import Ends, Repointing

        for field, origin in relations_through(to_state.apps.get_model(app_label, self.name), from_state.apps):
            ends = Ends(origin, field)
            if ends.differ and self.allow_migrate_model(connection.alias, field.model):
                Repointing([ends], schema_editor, str(field), nothing).run()

    database_backwards = database_forwards

    def as_plain(self, app_label: str, state: Any, connection: BaseDatabaseWrapper) -> list[DjangoOperation]:
        """The same as plain Django, which has no operation for bases: the state lets the model go and has it again, the
        table stays, and the constraints that follow from the bases are exchanged by name.
        """
        from rehome.graph.operations.constraint import Ends

        after = state.clone()
        self.state_forwards(app_label, after)
        model = after.models[app_label, self.name.lower()]
        own = {key: value for key, value in model.options.items() if key in AlterModelOptions.ALTER_OPTION_KEYS}
        there = [
            DeleteModel(model.name),
            CreateModel(model.name, list(model.fields.items()), dict(model.options), model.bases, list(model.managers)),
            # From here on, Django makes the models anew before a RunPython sees them.
            AlterModelOptions(model.name, own),
        ]
        before, models = state.clone().apps, after.apps
        ends = [
            (origin, field)
            for field, origin in relations_through(models.get_model(app_label, self.name), before)
            if Ends(origin, field).differ
        ]
        if not ends:
            return [SeparateDatabaseAndState(state_operations=there)]
        back = [(field, origin) for origin, field in ends]
        exchanged = RunSQL(exchange(ends, connection), exchange(back, connection))
        return [SeparateDatabaseAndState(database_operations=[exchanged], state_operations=there)]

    def references_model(self, name: str, app_label: str) -> bool:
        return True

    def describe(self) -> str:
        bases = ", ".join(base if isinstance(base, str) else base.__name__ for base in self.bases)
        return f"Let {self.name} inherit from {bases}"

    @property
    def migration_name_fragment(self) -> str:
        return f"rebase_{self.name.lower()}"


def relations_through(model: type[models.Model], before: Apps) -> Iterator[tuple[Any, Any]]:
    """Each foreign key whose constraint follows from the bases of `model`, and the same of `before`."""
    family = [model, *proxies_of(model)] if model._meta.proxy else [model]
    links = [link for link in model._meta.parents.values() if link is not None and link.model is model]
    others = [
        field
        for other in model._meta.apps.get_models(include_auto_created=True)
        for field in other._meta.local_fields
        if model._meta.proxy and field.remote_field and field.remote_field.model in family
    ]
    for field in [*links, *others]:
        if getattr(field, "db_constraint", False):
            yield field, before.get_model(field.model._meta.label)._meta.get_field(field.name)


def proxies_of(model: type[models.Model]) -> list[type[models.Model]]:
    """Those that inherit from it, near or far."""
    return [other for other in model._meta.apps.get_models() if other._meta.proxy and model in other.__mro__[1:]]


def nothing() -> None:
    """What Django changes of a foreign key besides where it leads."""


def exchange(ends: Iterable[tuple[Any, Any]], connection: BaseDatabaseWrapper) -> list[Any]:
    """For each pair of a field before and after, its constraint by the names that Django gives."""
    from rehome.graph.operations.constraint import SUFFIX

    editor: Any = connection.schema_editor(collect_sql=True)
    changes: list[Any] = []
    for before, after in ends:
        table = editor.quote_name(after.model._meta.db_table)
        names = dict.fromkeys(str(editor._fk_constraint_name(one.model, one, SUFFIX)) for one in (before, after))
        changes += [statements.drop_constraint(table, name) for name in names]
        changes.append(str(editor._create_fk_sql(after.model, after, SUFFIX)))
    return changes
