"""The views that stand in for the tables of a retired move: made, looked at, made again, dropped."""

import dataclasses
import re
from collections.abc import Iterator

from rehome.parts import views
from rehome.parts.old_names import in_short
from rehome.parts.triggers import trigger_name
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record, View
from rehome.postgres import catalog
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import Table

WRITABLE = 8 | 16 | 4
"""Bits of pg_relation_is_updatable for INSERT, DELETE and UPDATE."""

STANDING = """
SELECT pg_get_viewdef(c.oid), pg_relation_is_updatable(c.oid, true) FROM pg_class c WHERE c.oid = to_regclass(%s)
"""


def create(plan: Plan) -> list[Statement]:
    return [statement for pair in plan.pairs for statement in views.create(pair, plan.search_path)]


def drop(plan: Plan) -> list[Statement]:
    return [
        statement
        for pair in plan.pairs
        for statement in (
            *([SQL("DROP VIEW {}").format(place(pair))] if pair.source.kind == "v" else []),
            SQL("DROP FUNCTION IF EXISTS {}()").format(Identifier(pair.source.schema, trigger_name("view", pair))),
        )
    ]


def place(pair: TablePair) -> Statement:
    return Identifier(pair.source.schema, pair.source.name)


def to_keep(plan: Plan) -> dict[str, View]:
    """By the source's name: how its view was made, and what PostgreSQL says of it by now."""
    return {
        str(pair.source): View(
            statements=tuple(statement.as_string() for statement in views.create(pair, plan.search_path)),
            definition=in_short(read_definition(pair, plan)),
            triggers={trigger.name: trigger.body for trigger in views.wanted(pair, plan.search_path)},
        )
        for pair in plan.pairs
    }


def read_again(plan: Plan, record: Record) -> Record:
    """With what PostgreSQL says of the views after `mend`: another version of it may use other words."""
    return record.keeping(
        views={
            str(pair.source): dataclasses.replace(
                record.views[str(pair.source)], definition=in_short(read_definition(pair, plan))
            )
            for pair in plan.pairs
        }
    )


def read_definition(pair: TablePair, plan: Plan) -> str:
    ((definition, _),) = catalog.query(plan.connection, STANDING, [place(pair).as_string()])
    return str(definition)


def is_kept(definition: str, made: View) -> bool:
    """Version 0.1 kept the text without quotes, and without the name of the row."""
    text = re.sub(r"\s+", " ", definition.replace('"', "")).strip(" ;")
    return made.definition in (in_short(definition), re.sub(r"\bnew(_\d+)?\b\.?", "", text))


def find_defects(plan: Plan, record: Record) -> list[str]:
    """One sentence for each view that is not what the retirement made."""
    return [defect for pair in plan.pairs for defect in find_in(pair, plan, record.views[str(pair.source)])]


def find_in(pair: TablePair, plan: Plan, made: View) -> Iterator[str]:
    if pair.source.kind != "v":
        yield f"{pair.source}, a view of {pair.target} since it was retired, is gone."
        return
    ((definition, writable),) = catalog.query(plan.connection, STANDING, [place(pair).as_string()])
    if not is_kept(definition, made):
        yield f"{pair.source} is not the view of {pair.target} that the retirement made."
    elif (
        writable & WRITABLE != WRITABLE
        or pair.source.rules
        or made.triggers != {trigger.name: trigger.body for trigger in pair.source.triggers if trigger.enabled}
    ):
        yield f"{pair.source} does not carry every write to {pair.target}."


def mend(plan: Plan, record: Record) -> list[Statement]:
    """Make the views again of which one is not what it was; nothing where all are."""
    if not find_defects(plan, record):
        return []
    made = [SQL(text) for pair in plan.pairs for text in record.views[str(pair.source)].statements]
    return [*drop(plan), *made]


def keep_sequences(view: Table, table: Table) -> Iterator[Statement]:
    """What numbers the rows that come through the view must not go with the table that owns it."""
    for column, sequence in table.sequences.items():
        default = view.column(column).default or ""
        if f"{sequence.name}'" in default or f'{sequence.name}"' in default:
            yield SQL("ALTER SEQUENCE {} OWNED BY {}").format(
                Identifier(sequence.schema, sequence.name), Identifier(view.schema, view.name, column)
            )
