"""Compares models with the tables of a database: Django makes the same tables beside them."""

import dataclasses
import re
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
        differences = sorted(find_differences(found, live, registry, server), key=turn)
        notes = tuple(find_notes(live, registry, server, {each.table for each in differences if each.kind == "engine"}))
    return Report(tuple(twin.label for twin in found), tuple(cured_once(differences)), notes)


def turn(difference: Difference) -> int:
    """When its SQL can be run. A column may need the primary key; what no model has may be in the way of another type;
    and foreign keys may need what any other statement makes.
    """
    is_key = difference.what.startswith("foreign key")
    if (difference.what, difference.kind) == ("primary key", "missing"):
        return 0
    if difference.kind == "unknown" and not difference.what.startswith("column"):
        return 1 if is_key else 2
    return 5 if is_key else 3 if difference.kind == "engine" else 4


def cured_once(differences: Iterable[Difference]) -> Iterator[Difference]:
    """Without the statements that an earlier difference has already: several columns may only change together."""
    told: dict[tuple[str, ...], Difference] = {}
    for one in differences:
        first = told.setdefault(one.sql, one) if one.sql else one
        yield one if first is one else dataclasses.replace(one, sql=(), cured_with=str(first))


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
    yield from (not_made(one, server) for one in unmade)
    lost = [each.twin for each in unmade if each.whole]
    pairs = [Pair(twin, server.read_twin(twin), live[twin.label], server) for twin in present if twin not in lost]
    server.known.expected = {pair.found.place: pair.expected for pair in pairs}
    server.known.staying = {pair.found.place: constraints.staying(pair) for pair in pairs}
    server.known.learn(server.foreign_keys())
    for pair in pairs:
        yield from compare_one(pair)


def compare_one(pair: Pair) -> Iterator[Difference]:
    found = pair.found
    if found.kind != "table" and pair.twin.model._meta.managed:
        yield pair.difference("table", "type", "table", found.kind, change="Meta.managed = False")
    if has_idle_engine(pair):
        sql = pair.server.remedies.engine(found, pair.expected.engine)
        yield pair.difference("table", "engine", pair.expected.engine, f"{found.engine}, without foreign keys", sql)
    yield from columns.find_differences(pair)
    if found.kind == "table":
        yield from constraints.find_differences(pair)
        if pair.expected.comment != found.comment:
            says, has = pair.expected.comment, found.comment
            sql, change = pair.server.remedies.comment(found, says), f"Meta.db_table_comment = {has!r}"
            yield pair.difference("table", "comment", says or None, has or None, sql, change)


def has_idle_engine(pair: Pair) -> bool:
    """Whether it accepts the foreign keys of the model and ignores them."""
    needs = any(part.kind == "foreign key" for part in pair.expected.parts)
    return needs and bool(pair.found.engine) and pair.found.engine != pair.expected.engine


def no_table(twin: twins.Twin, server: Server) -> Difference:
    name, quoted = twin.live_name, server.connection.ops.quote_name(twin.live_name)
    sql = making.collect(server.connection, lambda editor: making.create(editor, twin.model))
    change = suggestions.other_name(name, server.table_names(), "Meta", "db_table")
    return Difference(twin.label, quoted, "table", "missing", name, None, sql, change)


def not_made(unmade: making.Unmade, server: Server) -> Difference:
    """The server has no such type, collation or operator class, or no server could make the model's table."""
    twin, why = unmade.twin, f"can't be made in this database: {unmade.why}"
    change = suggestions.buildable(twin.model)
    if unmade.lacking or not change:
        change = server.installable
    return Difference(twin.label, twin.live_name, "table", "unsupported", unmade.what, why, change=change)


def find_notes(live: Live, registry: Apps, server: Server, idle: set[str]) -> Iterator[tuple[str, str]]:
    """The engine of the tables `idle` has been told."""
    models = registry.get_models(include_auto_created=True)
    named = [model._meta.db_table for model in models]
    known = {name.rpartition(".")[2].strip('"`') for name in named} | {re.sub('["`]', "", name) for name in named}
    for note in server.notes():
        yield f"database {server.connection.alias}", note
    for shape in live.values():
        if shape.place not in idle and (note := server.engine_note(shape)):
            yield shape.place, note
        yield from ((shape.place, note) for note in shape.notes)
        # Django deletes no rows of a table without a model before it deletes a row here.
        for table, key in shape.incoming:
            if table not in known:
                yield shape.place, f"Foreign key {key} of table {table}, which has no model, points here."
