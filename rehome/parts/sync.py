"""The triggers between two tables and the fence: install, inspect, remove."""

from typing import Literal

from rehome.parts import agreement, functions, triggers, writers
from rehome.parts.triggers import Trigger
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import asking, sql
from rehome.postgres.sql import Statement

State = Literal["installed", "outdated", "missing"]


def wanted(plan: Plan, *, copying: bool = False, granting: bool = False) -> list[Trigger]:
    """Every trigger that stands while both tables live: the sync, or where the move can't go back, a fence
    on the source, for writes that could not be carried both ways would be lost.

    With `copying`, those that stand before: the source's writes are carried, and no other session writes to the
    target. What is carried back while rows are being copied would overwrite newer values, so no trigger does.
    With `granting`, the target is about to have the source's grants.
    """
    if not (copying or plan.reversible):
        return [trigger for pair in plan.pairs for trigger in fences_of_source(pair, plan)]
    return [
        *(
            trigger
            for pair in plan.pairs
            for trigger in triggers.sync_triggers(
                pair,
                plan.search_path,
                writers.users(plan, pair, granting=granting),
                frozenset() if copying else agreement.ways(pair, plan),
                copying=copying,
            )
            if not copying or trigger.table == pair.source or trigger.each == "STATEMENT"
        ),
        *(gate_of_target(pair) for pair in plan.pairs if copying),
    ]


def leftover(plan: Plan) -> list[Trigger]:
    """Those that were wanted for triggers of the project's which are gone by now."""
    names = {trigger.name for trigger in wanted(plan)}
    return [
        Trigger(table, trigger.name, triggers.SYNC_EVENTS, "ROW", "", None)
        for pair in plan.pairs
        for table in (pair.source, pair.target)
        for trigger in table.triggers
        if trigger.name in triggers.agreeing(pair) - names
    ]


def is_carrying(plan: Plan) -> bool:
    """Whether every write since the copy began was carried, as far as the triggers tell."""
    return all(state_of(t) != "missing" for t in wanted(plan, copying=True) if not t.events.startswith("BEFORE"))


def install(plan: Plan, *, copying: bool = False, granting: bool = False) -> list[Statement]:
    return [s for trigger in wanted(plan, copying=copying, granting=granting) for s in trigger.create()]


def remove(plan: Plan, *, copying: bool = False) -> list[Statement]:
    gone = [*wanted(plan, copying=copying), *leftover(plan)]
    return [statement for trigger in gone for statement in trigger.drop()]


def drop_triggers(plan: Plan) -> list[Statement]:
    """Remove the triggers, and leave what was counted."""
    return [statement for trigger in (*wanted(plan), *leftover(plan)) for statement in trigger.drop_trigger()]


def require(plan: Plan) -> Statement:
    """An error where a wanted trigger is missing or disabled by now, before it is relied upon."""
    found = wanted(plan)
    body = sql.SQL(
        "BEGIN IF (SELECT count(*) FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND ({})) < {} THEN "
        "RAISE object_not_in_prerequisite_state USING MESSAGE = {}; END IF; END"
    ).format(
        sql.SQL(" OR ").join(
            sql.SQL("tgrelid = {} AND tgname = {}").format(sql.regclass(trigger.table), sql.Literal(trigger.name))
            for trigger in found
        ),
        sql.Literal(len(found)),
        sql.Literal(f"A trigger between {plan.main.source} and {plan.main.target} is missing."),
    )
    return sql.SQL("DO {}").format(sql.quoted(body.as_string()))


def fences_of_source(pair: TablePair, plan: Plan) -> list[Trigger]:
    message = f"{pair.source} is read-only: its rows moved to {pair.target}, and {plan.irreversible[0]}."
    return triggers.freeze(pair, message, f"Write to {pair.target}.")


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


def state(plan: Plan, *, copying: bool = False) -> State:
    """Whether every wanted trigger is there, enabled, and is what this version would write."""
    expected = wanted(plan, copying=copying)
    states = {state_of(trigger) for trigger in expected}
    if not {value.digest for trigger in expected for value in trigger.values} <= functions.standing(plan):
        states.add("outdated")
    return "missing" if "missing" in states else "outdated" if "outdated" in states else "installed"


def state_of(trigger: Trigger) -> State:
    found = next((t for t in trigger.table.triggers if t.name == trigger.name), None)
    if found is None or not found.enabled:
        return "missing"
    definer = trigger.users is None
    called = found.function_schema, found.function, found.body, found.type, found.owner, found.definer, found.settings
    settings = (f"search_path={triggers.SAFE_PATH}",) if definer else ()
    wanted = trigger.table.schema, trigger.name, trigger.body, trigger.type, trigger.table.owner, definer, settings
    return "installed" if called == wanted and found.whole == (not trigger.condition) else "outdated"


STAMPS = """
SELECT tgrelid::bigint, tgname, xmin::text FROM pg_trigger WHERE tgrelid = ANY(%s) AND NOT tgisinternal ORDER BY 1, 2
"""


def stamps(plan: Plan) -> list[tuple[int, str, str]]:
    """Equal at two moments if no trigger was created, dropped, disabled or enabled in between."""
    oids = [table.oid for pair in plan.pairs for table in (pair.source, pair.target)]
    return asking.query(plan.connection, STAMPS, [oids])
