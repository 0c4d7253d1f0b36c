"""Triggers of the project's that change other rows of their table, beside what the other table keeps unique.

A trigger may free a value before its own row takes it, or give on one that its row has just left. The other table gets
these rows in another order: that of the events, or none, for such a trigger is disabled there.
"""

import re
from collections.abc import Iterator

from rehome.parts.defect import Defect
from rehome.parts.project_triggers import DISABLED, has_word, of_project, own_of_target, same_columns
from rehome.parts.triggers import trigger_name
from rehome.plan.plan import Plan, TablePair
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import DELETE, INSERT, UPDATE, Table, Trigger

COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
CHANGES = r"\b(?:UPDATE|DELETE\s+FROM)\s+(?:ONLY\s+)?"
ANY_TABLE = rf"\bEXECUTE\b.*{CHANGES}(?:%|'\s*\|\|).*\bTG_(?:TABLE_NAME|RELID|RELNAME)\b"
"""A statement that is put together with the name of whatever table the trigger is on."""


def find_defects(plan: Plan) -> Iterator[Defect]:
    """One for each trigger, and each unique index of the other table that a write would violate because of it."""
    for pair in plan.pairs if plan.reversible else ():
        if pair.source.kind == "r":
            yield from find_in(pair, plan)


def find_in(pair: TablePair, plan: Plan) -> Iterator[Defect]:
    here = same_columns(pair)
    there = {target: source for source, target in here.items()}
    for trigger in of_project(pair.source):
        if unique := next(violated(trigger, pair.source, pair.target, there), None):
            if trigger.settles:
                yield before(trigger, pair, unique)
            elif fires_before(trigger, trigger_name("forward", pair)):
                yield after(trigger, pair.source, pair.target, unique)
    for trigger in own_of_target(pair, plan):
        early = not trigger.settles and fires_before(trigger, trigger_name("backward", pair))
        if early and (unique := next(violated(trigger, pair.target, pair.source, here), None)):
            yield after(trigger, pair.target, pair.source, unique)


def violated(trigger: Trigger, table: Table, other: Table, names: dict[str, str]) -> Iterator[str]:
    """What the other table keeps unique at once of the columns that the trigger's function names, where it changes rows
    of its own table; `names` are those of the other's columns in this one.
    """
    fires = trigger.state != DISABLED and trigger.type & (INSERT | UPDATE | DELETE)
    if not (fires and changes_rows(table, trigger.body)):
        return
    unique = {c.name: c.definition for c in other.constraints if c.kind in "ux" and not c.deferrable}
    unique |= {index.name: index.definition.partition(" USING ")[2] for index in other.indexes if index.unique}
    for name, definition in unique.items():
        columns = [names.get(c.name, c.name) for c in other.columns if has_word(c.name, definition)]
        if any(has_word(column, trigger.body) for column in columns):
            yield name


def changes_rows(table: Table, body: str) -> bool:
    """Whether a function has a statement that updates or deletes rows of the table."""
    name = rf'(?:"?{re.escape(table.schema)}"?\s*\.\s*)?"?{re.escape(table.name)}"?(?![\w"])'
    patterns = rf"{CHANGES}{name}", ANY_TABLE
    text = COMMENT.sub(" ", body)
    return any(re.search(pattern, text, re.IGNORECASE | re.DOTALL) for pattern in patterns)


def fires_before(trigger: Trigger, carrying: str) -> bool:
    """Whether it is called before the trigger that carries the row: PostgreSQL sorts them by name."""
    return trigger.name.encode() < carrying.encode() and "INITIALLY DEFERRED" not in trigger.definition


def before(trigger: Trigger, pair: TablePair, unique: str) -> Defect:
    return Defect(
        f"The trigger {trigger.name!r} of {pair.source} changes other rows of it before a row is written, and is "
        f"disabled on {pair.target}, where {unique} would refuse a row that it makes room for.",
        f"Move in place; or drop {readable(pair.target.schema, unique)}, and create it again once the old table is "
        "retired.",
    )


def after(trigger: Trigger, table: Table, other: Table, unique: str) -> Defect:
    return Defect(
        f"The trigger {trigger.name!r} of {table} changes other rows of it before the row that it fires for is "
        f"carried, so {unique} of {other} would meet them in another order.",
        f"Run ALTER TRIGGER {readable(trigger.name)} ON {place(table)} RENAME TO {readable('z_' + trigger.name)}: "
        "PostgreSQL calls triggers in the order of their names.",
    )
