"""The triggers between two tables and the fence: install, inspect, remove."""

from typing import Literal

from rehome.parts import triggers
from rehome.parts.triggers import Trigger
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import catalog, sql
from rehome.postgres.sql import Statement
from rehome.postgres.tables import PREFIX, Table

State = Literal["installed", "outdated", "missing"]


def wanted(plan: Plan, *, copying: bool = False) -> list[Trigger]:
    """Every trigger that stands while both tables live: the sync, or where the move can't go back, a fence
    on the source, for writes that could not be carried both ways would be lost.

    With `copying`, those that stand before: the source's writes are carried, and no other session writes to the
    target. What is carried back while rows are being copied would overwrite newer values, so no trigger does.
    """
    if not (copying or plan.reversible):
        return [fence_of_source(pair, plan) for pair in plan.pairs]
    return [
        *(
            trigger
            for pair in plan.pairs
            for trigger in triggers.sync_triggers(pair, plan.search_path, copying=copying)
            if not copying or trigger.table is pair.source or trigger.each == "STATEMENT"
        ),
        *(gate_of_target(pair) for pair in plan.pairs if copying),
    ]


def is_carrying(plan: Plan) -> bool:
    """Whether every write since the copy began was carried, as far as the triggers tell."""
    return all(state_of(t) != "missing" for t in wanted(plan, copying=True) if not t.condition)


def install(plan: Plan, *, copying: bool = False) -> list[Statement]:
    return [statement for trigger in wanted(plan, copying=copying) for statement in trigger.create()]


def remove(plan: Plan, *, copying: bool = False) -> list[Statement]:
    return [statement for trigger in wanted(plan, copying=copying) for statement in trigger.drop()]


def drop_triggers(plan: Plan) -> list[Statement]:
    """Remove the triggers, and leave what was counted."""
    return [statement for trigger in wanted(plan) for statement in trigger.drop_trigger()]


def require(plan: Plan) -> Statement:
    """An error where a wanted trigger is missing or disabled by now, before it is relied upon."""
    names = [trigger.name for trigger in wanted(plan)]
    return sql.SQL(
        "DO $$ BEGIN IF (SELECT count(*) FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND tgname IN ({})) < {} THEN "
        "RAISE object_not_in_prerequisite_state USING MESSAGE = {}; END IF; END $$"
    ).format(
        sql.SQL(", ").join(map(sql.Literal, names)),
        sql.Literal(len(names)),
        sql.Literal(f"A trigger between {plan.main.source} and {plan.main.target} is missing."),
    )


def fence_of_source(pair: TablePair, plan: Plan) -> Trigger:
    message = f"{pair.source} is read-only: its rows moved to {pair.target}, and {plan.irreversible[0]}."
    return triggers.fence("frozen", pair.source, pair, message, f"Write to {pair.target}.")


def fence_of_target(pair: TablePair) -> Trigger:
    message = f"{pair.target} is not in use: its rows were moved back to {pair.source}."
    hint = f"Write to {pair.source}, or run the migration forwards again."
    return triggers.fence("fence", pair.target, pair, message, hint)


def gate_of_target(pair: TablePair) -> Trigger:
    message = f"{pair.target} is not in use yet: the rows of {pair.source} are being copied to it."
    hint = f"Write to {pair.source} until the migration has ended."
    return triggers.fence("fence", pair.target, pair, message, hint, gate=True)


def raise_fence(plan: Plan) -> list[Statement]:
    return [statement for pair in plan.pairs for statement in fence_of_target(pair).create()]


def lower_fence(plan: Plan) -> list[Statement]:
    """Idempotent: a target that never had a fence stays as it is."""
    return [statement for pair in plan.pairs for statement in fence_of_target(pair).drop()]


def state(plan: Plan) -> State:
    """Whether every wanted trigger is there, enabled, and is what this version would write."""
    states = {state_of(trigger) for trigger in wanted(plan)}
    return "missing" if "missing" in states else "outdated" if "outdated" in states else "installed"


def state_of(trigger: Trigger) -> State:
    found = next((t for t in trigger.table.triggers if t.name == trigger.name), None)
    if found is None or not found.enabled:
        return "missing"
    called = found.function_schema, found.function, found.body, found.type
    expected = trigger.table.schema, trigger.name, trigger.body, trigger.type
    return "installed" if called == expected and found.whole else "outdated"


STAMPS = """
SELECT tgrelid::bigint, tgname, xmin::text FROM pg_trigger WHERE tgrelid = ANY(%s) AND NOT tgisinternal ORDER BY 1, 2
"""


def stamps(plan: Plan) -> list[tuple[int, str, str]]:
    """Equal at two moments if no trigger was created, dropped, disabled or enabled in between."""
    oids = [table.oid for pair in plan.pairs for table in (pair.source, pair.target)]
    return catalog.query(plan.connection, STAMPS, [oids])


def of_user(table: Table) -> list[str]:
    """Triggers of the table that rehome did not make."""
    return [trigger.name for trigger in table.triggers if not trigger.name.startswith(PREFIX)]
