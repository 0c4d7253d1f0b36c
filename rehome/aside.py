"""The old tables of retired moves, set aside under names of rehome's while views stand in for them."""

import dataclasses
from typing import TYPE_CHECKING, Any

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome import catalog, sql
from rehome.catalog import Table
from rehome.errors import Refused
from rehome.ledger import Ledger
from rehome.models import MoveRun, Phase
from rehome.plan import Plan
from rehome.resolve import make_plan
from rehome.session import Statement
from rehome.sql import SQL, Identifier
from rehome.triggers import trigger_name

if TYPE_CHECKING:
    from rehome.move import Move

KEPT = "aside"
"""The key under which a run keeps where its old tables are; with nothing under it when they have been dropped."""


def to_keep(plan: Plan) -> dict[str, Any]:
    """By the name that a model has for its table, as JSON."""
    return {
        pair.source_model._meta.db_table: {
            "schema": pair.source.schema,
            "name": pair.source.name,
            "aside": trigger_name("aside", pair),
        }
        for pair in plan.pairs
    }


def resolve(move: "Move", apps: Apps, connection: BaseDatabaseWrapper) -> Plan:
    """Like `make_plan`; where a view of a retired move is gone, the table that it stood in for is the source."""
    run = Ledger(connection.alias).latest_named(str(move))
    if run is None or run.phase != Phase.RETIRED:
        return make_plan(move, apps, connection)
    tables = {
        model: renamed(table, record["name"])
        for model, record in run.kept[KEPT].items()
        if not find(connection, record["schema"], record["name"])
        and (table := find(connection, record["schema"], record["aside"]))
    }
    return make_plan(move, apps, connection, tables)


def plan_of(plan: Plan, run: MoveRun, *, own_names: bool) -> Plan:
    """The move between the old tables, under the names that they have now or under their own, and the targets."""
    tables = {}
    for model, record in run.kept[KEPT].items():
        table = find(plan.connection, record["schema"], record["aside"])
        if table is None:
            raise Refused(
                f"{record['schema']}.{record['aside']}, where the rows of {record['name']} were set aside, is gone.",
                "Restore it under that name from a backup; what was written since is filled in.",
            )
        tables[model] = renamed(table, record["name"]) if own_names else table
    return make_plan(plan.move, plan.apps, plan.connection, tables)


def is_source(plan: Plan, run: MoveRun) -> bool:
    """Whether `resolve` found the set-aside table, for want of the view."""
    tables = [find(plan.connection, record["schema"], record["aside"]) for record in run.kept[KEPT].values()]
    return plan.main.source.oid in {table.oid for table in tables if table}


def put_away(plan: Plan) -> list[Statement]:
    return [rename(pair.source, trigger_name("aside", pair)) for pair in plan.pairs]


def put_back(plan: Plan) -> list[Statement]:
    """`plan` has the tables under their own names."""
    return [rename(renamed(pair.source, trigger_name("aside", pair)), pair.source.name) for pair in plan.pairs]


def find(connection: BaseDatabaseWrapper, schema: str, name: str) -> Table | None:
    return catalog.read_table(connection, Identifier(schema, name).as_string())


def renamed(table: Table, name: str) -> Table:
    return dataclasses.replace(table, name=name)


def rename(table: Table, name: str) -> Statement:
    return SQL("ALTER TABLE {} RENAME TO {}").format(sql.name(table), Identifier(name))
