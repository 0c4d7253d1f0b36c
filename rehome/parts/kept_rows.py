"""Rows that a BEFORE trigger of one table keeps, and that the other has lost for a moment: what acts in that moment.

The table that was written to loses the row, or its key, before the trigger of the other has its word; then it gets the
row again. What the database itself has done to rows that pointed at it does not come back.
"""

import re
from collections.abc import Iterator

from rehome.parts.defect import Defect
from rehome.parts.project_triggers import DISABLED, of_project, own_of_target
from rehome.plan.plan import Plan, TablePair
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import DELETE, UPDATE, ForeignKey, Table, Trigger

RETURNED = re.compile(r"\breturn\s+([^;]+);", re.IGNORECASE)
BOTH = {"coalesce(new, old)", "coalesce(old, new)"}
GOES_ON = {DELETE: {"old", *BOTH}, UPDATE: {"new", *BOTH}}
"""By event: what a BEFORE trigger returns that leaves the row alone."""
WORDS = {DELETE: ("deleted", "ON DELETE"), UPDATE: ("given another key", "ON UPDATE")}


def find_defects(plan: Plan) -> Iterator[Defect]:
    """One for each trigger that may keep a row, and each foreign key that acts where the other table loses it."""
    for pair in plan.pairs if plan.reversible else ():
        if pair.source.kind == "r":
            yield from find_in(pair, plan)


def find_in(pair: TablePair, plan: Plan) -> Iterator[Defect]:
    sides = (of_project(pair.source), pair.source, pair.target), (own_of_target(pair, plan), pair.target, pair.source)
    for triggers, table, other in sides:
        for trigger in triggers:
            for event in (event for event in GOES_ON if may_keep(trigger, event)):
                for key in pointing(other):
                    if acts(key, event):
                        yield describe(trigger, table, other, key, event)


def may_keep(trigger: Trigger, event: int) -> bool:
    """Whether it may answer such a write with the row as it was; a function that can't be read may do anything."""
    if trigger.state == DISABLED or not (trigger.settles and trigger.type & event):
        return False
    returned = [" ".join(found.lower().split()) for found in RETURNED.findall(trigger.body)]
    for_each = GOES_ON[event] | ({"new", "old"} if "tg_op" in trigger.body.lower() else set())
    return not returned or any(value not in for_each for value in returned)


def pointing(table: Table) -> list[ForeignKey]:
    """Foreign keys that lead to the table, its own among them."""
    return [*table.incoming, *(key for key in table.foreign_keys if key.referenced_oid == table.oid)]


def acts(key: ForeignKey, event: int) -> bool:
    """Whether the database then deletes or changes rows of its table."""
    action = key.terms.on_delete if event == DELETE else key.terms.on_update
    return action not in {"NO ACTION", "RESTRICT"}


def describe(trigger: Trigger, table: Table, other: Table, key: ForeignKey, event: int) -> Defect:
    done, clause = WORDS[event]
    action = key.terms.on_delete if event == DELETE else key.terms.on_update
    return Defect(
        f"The trigger {trigger.name!r} of {table} may keep a row that is {done} through {other}. By then the foreign "
        f"key {key.name} of {key} has acted, which is {clause} {action}: the rows that it deletes or changes are lost.",
        f"Run ALTER TABLE {readable(key.schema, key.table)} DROP CONSTRAINT {readable(key.name)} and add it again "
        f"without {clause} {action} until the old table is retired; or run "
        f"DROP TRIGGER {readable(trigger.name)} ON {place(table)}; or move in place.",
    )
