"""The old tables of retired moves, set aside under names of rehome's while views stand in for them."""

from rehome.parts.triggers import trigger_name
from rehome.plan import resolve
from rehome.plan.plan import Plan
from rehome.plan.record import SetAside
from rehome.postgres import sql
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import Table


def to_keep(plan: Plan) -> dict[str, SetAside]:
    """By the name that a model has for its table."""
    return {
        pair.source_model._meta.db_table: SetAside(pair.source.schema, pair.source.name, trigger_name("aside", pair))
        for pair in plan.pairs
    }


def put_away(plan: Plan) -> list[Statement]:
    return [rename(pair.source, trigger_name("aside", pair)) for pair in plan.pairs]


def revert(plan: Plan) -> list[Statement]:
    """`plan` has the tables under their own names."""
    return [rename(resolve.renamed(pair.source, trigger_name("aside", pair)), pair.source.name) for pair in plan.pairs]


def rename(table: Table, name: str) -> Statement:
    return SQL("ALTER TABLE {} RENAME TO {}").format(sql.name(table), Identifier(name))
