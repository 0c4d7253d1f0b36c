"""Resolves a Move against historical models and the catalog into a Plan, without a write."""

import dataclasses
from collections.abc import Iterable, Mapping

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Refused
from rehome.models import MoveRun, Phase
from rehome.plan import edits
from rehome.plan.declaration import Declaration
from rehome.plan.fields import FieldMapping
from rehome.plan.historical import (
    as_migrated,
    column_of,
    concrete_fields,
    get_model,
    get_table,
    implicit_many_to_many,
)
from rehome.plan.ledger import Ledger
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.plan.record import Record, SetAside
from rehome.postgres import catalog, resolution
from rehome.postgres.sql import Identifier
from rehome.postgres.tables import Column, Table


def make_plan(
    move: Declaration, apps: Apps, connection: BaseDatabaseWrapper, sources: Mapping[str, Table] | None = None
) -> Plan:
    """Resolve `move` against the models of `apps` and the tables of `connection`, or for the source's models
    against `sources`, by the name that a model has for its table.

    Raises Refused for what the declaration itself gets wrong: models, fields, columns without a counterpart.
    """
    apps = as_migrated(apps, move.source, move.target)
    source, target = get_model(apps, move.source), get_model(apps, move.target)
    mapping = FieldMapping(move, source, target, connection, {**find_lost_views(move, connection), **(sources or {})})
    pairs = [mapping.table_pair()]
    pairs += [mapping.many_to_many_pair(*fields) for fields in mapping.many_to_many()]
    return Plan(
        move=move,
        apps=apps,
        connection=connection,
        source_model=source,
        target_model=target,
        pairs=tuple(pairs),
        references=tuple(mapping.references()),
        irreversible=tuple(mapping.irreversible()),
        search_path=find_schemas(connection, pairs, has_expressions=mapping.has_expressions),
    )


def find_lost_views(move: Declaration, connection: BaseDatabaseWrapper) -> dict[str, Table]:
    """By the name of its table, each source of a move in place whose view somebody has dropped."""
    run = Ledger(connection.alias).latest_named(str(move))
    if run is None or run.phase != Phase.IN_PLACE:
        return {}
    found = {}
    in_place = Record.of(run).in_place
    for renaming in [pair.renaming for pair in in_place.pairs] if in_place else []:
        old, new = renaming.table
        target = find(connection, renaming.schema, new)
        if target and find(connection, renaming.schema, old) is None:
            names = {there: here for here, there in renaming.columns.items()}
            columns = [dataclasses.replace(c, name=names[c.name]) for c in target.columns if c.name in names]
            found[old] = as_view(target, old, columns)
    return found


def without_source(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> Plan | None:
    """A plan that has something in the place of the source's tables, where the model's own is gone: it says the names
    of all that was made for them. None where that table is there.
    """
    source, target = get_model(apps, move.source), get_table(connection, get_model(apps, move.target))
    if catalog.read_table(connection, connection.ops.quote_name(source._meta.db_table)):
        return None
    gone = {}
    for model in [source, *(field.remote_field.through for field in implicit_many_to_many(source))]:
        columns = [replaced(target.columns[0], column_of(field)) for field in concrete_fields(model).values()]
        gone[model._meta.db_table] = as_view(target, model._meta.db_table, columns)
    return make_plan(move, apps, connection, gone)


def replaced(column: Column, name: str) -> Column:
    return dataclasses.replace(column, name=name, default=None, identity="", generated="")


def as_view(table: Table, name: str, columns: Iterable[Column]) -> Table:
    return dataclasses.replace(
        table, oid=GONE, name=name, kind="v", columns=tuple(columns), constraints=(), foreign_keys=(),
        incoming=(), indexes=(), triggers=(), grants=(), sequences={},
    )  # fmt: skip


def renew(plan: Plan) -> Plan:
    """The same move, resolved against the tables as they are by now."""
    return make_plan(plan.move, plan.apps, plan.connection)


def find_schemas(connection: BaseDatabaseWrapper, pairs: list[TablePair], *, has_expressions: bool) -> tuple[str, ...]:
    """Schemas other than pg_catalog whose types, operators and functions the two tables use."""
    schemas = {column.type_schema for pair in pairs for table in (pair.source, pair.target) for column in table.columns}
    if has_expressions:
        schemas |= resolution.extension_schemas(connection)
    return tuple(sorted(schemas - {"pg_catalog"}))


def resolve(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> Plan:
    """Like `make_plan`, of a move that stands as it was when it ran; where a view of a retired move is gone, the table
    that it stood in for is the source. Raises Refused also where it was edited, and can't go on as it was.
    """
    run = Ledger(connection.alias).latest_named(str(move))
    move = edits.as_it_ran(move, run)
    if run is None or run.phase != Phase.RETIRED:
        return make_plan(move, apps, connection)
    tables = {
        model: renamed(table, old.name)
        for model, old in set_aside(run).items()
        if not find(connection, old.schema, old.name) and (table := find(connection, old.schema, old.aside))
    }
    return make_plan(move, apps, connection, tables)


def plan_of(plan: Plan, record: Record, *, own_names: bool) -> Plan:
    """The move between the old tables, under the names that they have now or under their own, and the targets."""
    tables = {}
    for model, old in (record.aside or {}).items():
        table = find(plan.connection, old.schema, old.aside)
        if table is None:
            raise Refused(
                f"{old.schema}.{old.aside}, where the rows of {old.name} were set aside, is gone.",
                "Restore it under that name from a backup; what was written since is filled in.",
            )
        tables[model] = renamed(table, old.name) if own_names else table
    return make_plan(plan.move, plan.apps, plan.connection, tables)


def is_source(plan: Plan, run: MoveRun) -> bool:
    """Whether `resolve` found the set-aside table, for want of the view."""
    tables = [find(plan.connection, old.schema, old.aside) for old in set_aside(run).values()]
    return plan.main.source.oid in {table.oid for table in tables if table}


def set_aside(run: MoveRun) -> dict[str, SetAside]:
    return Record.of(run).aside or {}


def find(connection: BaseDatabaseWrapper, schema: str, name: str) -> Table | None:
    return catalog.read_table(connection, Identifier(schema, name).as_string())


def renamed(table: Table, name: str) -> Table:
    return dataclasses.replace(table, name=name)
