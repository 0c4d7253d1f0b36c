"""Compares models with the tables of a database, by letting Django make the same tables beside them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.state import ProjectState

from rehome.errors import Refused
from rehome.plan import Model
from rehome.schema import columns, making, parts, suggestions, twins
from rehome.schema.making import Unmade
from rehome.schema.mysql import MySQL
from rehome.schema.pair import Pair, Remedies
from rehome.schema.postgres import PostgreSQL
from rehome.schema.report import Difference, Report
from rehome.schema.shape import Shape
from rehome.schema.twins import Twin


class Server(Protocol):
    """One kind of server: how it makes temporary tables and what it says of tables."""

    makes_foreign_keys: bool
    """Whether a temporary table can have any."""
    connection: BaseDatabaseWrapper
    """On which the temporary tables are made."""

    @property
    def remedies(self) -> Remedies: ...

    def workshop(self) -> AbstractContextManager[object]: ...

    def attempt(self) -> AbstractContextManager[object]: ...

    def table_options(self, twin: Twin) -> str:
        """What a twin's table gets that no model says, because the live one has it."""

    def stand_for(self, name: str, live_name: str) -> None: ...

    def read(self, name: str) -> Shape | None: ...

    def read_twin(self, twin: Twin) -> Shape: ...

    def table_names(self) -> list[str]: ...

    def notes(self) -> list[str]:
        """On the database as a whole."""

    def simplified(self, definition: str) -> str: ...


SERVERS: dict[str, Callable[[BaseDatabaseWrapper], Server]] = {"postgresql": PostgreSQL, "mysql": MySQL}


def models_of(app_label: str, alias: str) -> list[Model]:
    """What an app has in database `alias`: unmanaged models too, which no router's allow_migrate is asked about."""
    return [
        model
        for model in global_apps.get_app_config(app_label).get_models()
        if is_table_of(model) and (not model._meta.managed or router.allow_migrate_model(alias, model))
    ]


def is_table_of(model: Model) -> bool:
    """Whether it has a table of its own."""
    return not (model._meta.proxy or model._meta.swapped)


def compare_app(app_label: str, connection: BaseDatabaseWrapper) -> Report:
    models = models_of(app_label, connection.alias)
    return compare(models, ProjectState.from_apps(global_apps), global_apps, connection)


def compare(models: Iterable[Model], state: ProjectState, registry: Apps, connection: BaseDatabaseWrapper) -> Report:
    """`state` describes the models and all that they point at; `registry` has them as classes.

    Writes nothing that stays, and takes no lock that any writer of the tables could wait for.
    """
    if connection.vendor not in SERVERS:
        raise Refused(
            f"Database {connection.alias!r} is {connection.vendor}, whose tables can't be compared with models.",
            "Run it on PostgreSQL, MySQL or MariaDB.",
        )
    server = SERVERS[connection.vendor](connection)
    connection = server.connection
    found, twin_apps = twins.make_twins(models, state, registry)
    with server.workshop():
        live = {twin.model._meta.label: shape for twin in found if (shape := server.read(twin.live_name))}
        present = [twin for twin in found if twin.model._meta.label in live]
        unmade = list(
            making.make_tables(
                present, connection, server.attempt, server.table_options, with_foreign_keys=server.makes_foreign_keys
            )
        )
        stand_for_live_tables(server, present, registry)
        differences = [
            *(no_table(twin, server, connection) for twin in found if twin not in present),
            *(not_made(each) for each in unmade),
            *(
                difference
                for twin in present
                if not any(each.whole and each.twin is twin for each in unmade)
                for difference in compare_one(twin, server, live, connection)
            ),
        ]
        notes = [(f"database {connection.alias}", note) for note in server.notes()]
    notes += [(shape.place, note) for shape in live.values() for note in (*shape.notes, *strangers(shape, registry))]
    differences.sort(key=lambda difference: difference.what.startswith("foreign key"))
    return Report(tuple(twin.model._meta.label for twin in found), tuple(differences), tuple(notes))


def stand_for_live_tables(server: Server, present: list[Twin], registry: Apps) -> None:
    """A foreign key of a twin leads to another temporary table, in the place of a live one."""
    for target in {field.target_field.model for field in twins.foreign_keys(present)}:
        server.stand_for(target._meta.db_table, registry.get_model(target._meta.label)._meta.db_table)


def compare_one(
    twin: Twin, server: Server, live: dict[str, Shape], connection: BaseDatabaseWrapper
) -> Iterator[Difference]:
    found = live[twin.model._meta.label]
    pair = Pair(twin, server.read_twin(twin), found, server.remedies, connection)
    if found.kind != "table" and twin.model._meta.managed:
        yield pair.difference("table", "type", "table", found.kind, change="Meta.managed = False")
    yield from columns.find_differences(pair)
    if found.kind == "table":
        yield from parts.find_differences(pair, server.simplified)
        if pair.expected.comment != found.comment:
            yield comment_differs(pair)


def strangers(shape: Shape, registry: Apps) -> Iterator[str]:
    """Nobody deletes their rows first when a row here is deleted."""
    known = {
        model._meta.db_table.rpartition(".")[2].strip('"`') for model in registry.get_models(include_auto_created=True)
    }
    for table, key in shape.incoming:
        if table not in known:
            yield f"Foreign key {key} of table {table}, which no model is of, points here."


def comment_differs(pair: Pair) -> Difference:
    says, has = pair.expected.comment, pair.found.comment
    sql = pair.remedies.comment(pair.found, says)
    return pair.difference("table", "comment", says or None, has or None, sql, f"Meta.db_table_comment = {has!r}")


def no_table(twin: Twin, server: Server, connection: BaseDatabaseWrapper) -> Difference:
    model = twin.model
    name = model._meta.db_table
    return Difference(
        model._meta.label,
        connection.ops.quote_name(name),
        "table",
        "missing",
        name,
        None,
        making.collect(connection, lambda editor: making.create(editor, Twin(model, model))),
        suggestions.other_name(name, server.table_names(), "Meta", "db_table"),
    )


def not_made(unmade: Unmade) -> Difference:
    """The server has no such type, collation or operator class."""
    model = unmade.twin.model
    why = f"can't be made in this database: {unmade.why}"
    return Difference(model._meta.label, model._meta.db_table, "table", "unsupported", unmade.what, why)
