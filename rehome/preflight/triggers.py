"""Refusals of triggers of the project's that can't fire once for each write, or can't be created on the target."""

from rehome.errors import Refused
from rehome.parts import kept_rows, project_triggers, unique_order
from rehome.parts.project_triggers import DISABLED
from rehome.plan.plan import Plan, TablePair
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import Table, Trigger


def refuse_triggers(pair: TablePair, plan: Plan) -> None:
    fire = [(trigger, pair.source) for trigger in project_triggers.of_project(pair.source)]
    fire += [(trigger, pair.target) for trigger in project_triggers.own_of_target(pair, plan)]
    for trigger, table in fire:
        if trigger.state != DISABLED:
            refuse_statement_level(trigger, table)
            refuse_referring(trigger, table)
    refuse_without_counterpart(pair, plan)


def refuse_effects(plan: Plan) -> None:
    """On other rows, which the other table would not have, or would meet in another order."""
    for found in (*kept_rows.find_defects(plan), *unique_order.find_defects(plan)):
        raise Refused(found.text, found.cure)


def refuse_statement_level(trigger: Trigger, table: Table) -> None:
    """What is written to the other table is carried row by row, and each row is a statement of its own."""
    if trigger.is_of_statement:
        raise Refused(
            f"The trigger {trigger.name!r} of {table} fires once for a statement, and writes are carried to the other "
            "table row by row: it would fire once for each row.",
            "Let it see each row once, with REFERENCING NEW TABLE or OLD TABLE; or move in place; or run "
            f"{drop(trigger, table)} first.",
        )


def refuse_referring(trigger: Trigger, table: Table) -> None:
    if trigger.refers:
        raise Refused(
            f"The trigger {trigger.name!r} of {table} is a constraint between two tables, and may look at the other "
            "one before the write is carried.",
            f"Run {drop(trigger, table)} first, and create it again once the move is retired.",
        )


def refuse_without_counterpart(pair: TablePair, plan: Plan) -> None:
    for trigger in project_triggers.lacking(pair, plan):
        if reason := project_triggers.why_not(trigger, pair):
            raise Refused(
                f"The trigger {trigger.name!r} of {pair.source} can't be created on {pair.target}: {reason}.",
                f"Create a trigger {trigger.name!r} on {pair.target} yourself, which the move keeps disabled until the "
                f"old table is retired; or list it in discard_triggers=[{trigger.name!r}] to lose it then.",
            )


def drop(trigger: Trigger, table: Table) -> str:
    return f"DROP TRIGGER {readable(trigger.name)} ON {place(table)}"
