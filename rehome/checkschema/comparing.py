"""Compares models with the tables of a database: Django makes the same tables beside them."""

from collections.abc import Callable, Iterable, Iterator

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.state import ProjectState

from rehome.checkschema import columns, constraints, making, suggestions, twins
from rehome.checkschema.mysql.server import MySQL
from rehome.checkschema.pair import Pair
from rehome.checkschema.postgres.server import PostgreSQL
from rehome.checkschema.report import Difference, Report
from rehome.checkschema.server import Server
from rehome.checkschema.shape import Shape
from rehome.errors import Refused
from rehome.plan.plan import Model

SERVERS: dict[str, Callable[[BaseDatabaseWrapper], Server]] = {"postgresql": PostgreSQL, "mysql": MySQL}

Live = dict[str, Shape]
"""By the model's label, the tables that are there."""


def models_of(app_label: str, alias: str) -> list[Model]:
    """The app's models that have a table in database `alias`. Only for managed ones, routers are asked."""
    return [
        model
        for model in global_apps.get_app_config(app_label).get_models()
        if is_table_of(model) and (not model._meta.managed or router.allow_migrate_model(alias, model))
    ]


def is_table_of(model: Model) -> bool:
    """Whether it has a table of its own."""
    return not (model._meta.proxy or model._meta.swapped)


def compare_app(app_label: str, connection: BaseDatabaseWrapper) -> Report:
    return compare(models_of(app_label, connection.alias), ProjectState.from_apps(global_apps), global_apps, connection)


def compare(models: Iterable[Model], state: ProjectState, registry: Apps, connection: BaseDatabaseWrapper) -> Report:
    """`state` describes the models and all that they refer to; `registry` has them as classes.

    Everything written is rolled back, and no writer of the tables ever waits for it.
    """
    server = open_server(connection)
    found = twins.make_twins(models, state)
    with server.temporary_tables():
        live = {twin.label: shape for twin in found if (shape := server.read(twin.live_name))}
        differences = list(find_differences(found, live, registry, server))
        # Foreign keys come last: they may need what another statement makes.
        differences.sort(key=lambda difference: difference.what.startswith("foreign key"))
        notes = tuple(find_notes(live, registry, server))
    return Report(tuple(twin.label for twin in found), tuple(differences), notes)


def open_server(connection: BaseDatabaseWrapper) -> Server:
    if connection.vendor not in SERVERS:
        raise Refused(
            f"Database {connection.alias!r} is {connection.vendor}, whose tables can't be compared with models.",
            "Run it on PostgreSQL, MySQL or MariaDB.",
        )
    return SERVERS[connection.vendor](connection)


def find_differences(found: list[twins.Twin], live: Live, registry: Apps, server: Server) -> Iterator[Difference]:
    present = [twin for twin in found if twin.label in live]
    unmade = list(making.make_tables(present, server))
    # A foreign key of a twin refers to another temporary table instead of a live one.
    for target in {field.target_field.model for field in twins.foreign_keys(present)}:
        server.stand_for(target._meta.db_table, registry.get_model(target._meta.label)._meta.db_table)
    yield from (no_table(twin, server) for twin in found if twin not in present)
    yield from map(not_made, unmade)
    lost = [each.twin for each in unmade if each.whole]
    for twin in present:
        if twin not in lost:
            yield from compare_one(Pair(twin, server.read_twin(twin), live[twin.label], server))


def compare_one(pair: Pair) -> Iterator[Difference]:
    found = pair.found
    if found.kind != "table" and pair.twin.model._meta.managed:
        yield pair.difference("table", "type", "table", found.kind, change="Meta.managed = False")
    yield from columns.find_differences(pair)
    if found.kind == "table":
        yield from constraints.find_differences(pair)
        if pair.expected.comment != found.comment:
            says, has = pair.expected.comment, found.comment
            sql, change = pair.server.remedies.comment(found, says), f"Meta.db_table_comment = {has!r}"
            yield pair.difference("table", "comment", says or None, has or None, sql, change)


def no_table(twin: twins.Twin, server: Server) -> Difference:
    name, quoted = twin.live_name, server.connection.ops.quote_name(twin.live_name)
    sql = making.collect(server.connection, lambda editor: making.create(editor, twin.model))
    change = suggestions.other_name(name, server.table_names(), "Meta", "db_table")
    return Difference(twin.label, quoted, "table", "missing", name, None, sql, change)


def not_made(unmade: making.Unmade) -> Difference:
    """The server has no such type, collation or operator class."""
    twin, why = unmade.twin, f"can't be made in this database: {unmade.why}"
    change = "what this server has, or install its extension there (CREATE EXTENSION)"
    return Difference(twin.label, twin.live_name, "table", "unsupported", unmade.what, why, change=change)


def find_notes(live: Live, registry: Apps, server: Server) -> Iterator[tuple[str, str]]:
    models = registry.get_models(include_auto_created=True)
    known = {model._meta.db_table.rpartition(".")[2].strip('"`') for model in models}
    for note in server.notes():
        yield f"database {server.connection.alias}", note
    for shape in live.values():
        yield from ((shape.place, note) for note in shape.notes)
        # Django deletes no rows of a table without a model before it deletes a row here.
        for table, key in shape.incoming:
            if table not in known:
                yield shape.place, f"Foreign key {key} of table {table}, which has no model, points here."
