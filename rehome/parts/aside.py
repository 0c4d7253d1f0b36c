"""The old tables of retired moves, set aside under names of rehome's while views stand in for them.

Nobody but its owner has a right to a table that is set aside: what is revoked on the view meanwhile must not be left
there.
"""

from collections.abc import Iterable, Iterator, Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.parts import grants
from rehome.parts.defect import Defect
from rehome.parts.triggers import trigger_name
from rehome.plan import resolve
from rehome.plan.plan import Plan
from rehome.plan.record import Record, SetAside
from rehome.postgres import resolution, sql
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import Grant, Table


def to_keep(plan: Plan) -> dict[str, SetAside]:
    """By the name that a model has for its table."""
    return {
        pair.source_model._meta.db_table: SetAside(pair.source.schema, pair.source.name, trigger_name("aside", pair))
        for pair in plan.pairs
    }


def put_away(plan: Plan) -> list[Statement]:
    return [rename(pair.source, trigger_name("aside", pair)) for pair in plan.pairs]


def close(plan: Plan) -> list[Statement]:
    """Once the views have the rights of the tables that they replace."""
    tables = [resolve.renamed(pair.source, trigger_name("aside", pair)) for pair in plan.pairs]
    return [statement for table in tables for statement in grants.exactly("TABLE", sql.name(table))]


def revert(plan: Plan, rights: Mapping[str, Iterable[Grant]]) -> list[Statement]:
    """`plan` has the tables under their own names, and `rights` what others may do with each from now on."""
    return [
        statement
        for pair in plan.pairs
        for statement in [
            rename(resolve.renamed(pair.source, trigger_name("aside", pair)), pair.source.name),
            *grants.exactly("TABLE", sql.name(pair.source), rights[str(pair.source)]),
        ]
    ]


def rename(table: Table, name: str) -> Statement:
    return SQL("ALTER TABLE {} RENAME TO {}").format(sql.name(table), Identifier(name))


def places(record: Record) -> list[Identifier]:
    """The tables that are set aside, under the names that they have meanwhile."""
    return [Identifier(old.schema, old.aside) for old in (record.aside or {}).values()]


def find_defects(record: Record, connection: BaseDatabaseWrapper) -> Iterator[Defect]:
    for old in (record.aside or {}).values():
        if not resolution.exists(connection, Identifier(old.schema, old.aside).as_string()):
            yield Defect(
                f"The table {old.schema}.{old.aside}, where the rows of {old.name} were set aside, is gone: the move "
                "can't be unretired.",
                "Restore it under that name from a backup; what was written since is filled in.",
            )
