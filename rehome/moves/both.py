"""What the ways that copy have in common: the moment from which both tables live, its repair, and its proof."""

from rehome.errors import MoveFailed
from rehome.moves import steps
from rehome.parts import grants, identity, sequences, sync, writes
from rehome.plan.plan import Plan
from rehome.postgres import locks
from rehome.postgres.sql import Statement
from rehome.verify.comparison import Comparison


def switch(plan: Plan, names: identity.Identity | None) -> list[Statement]:
    """From here both tables live. Rows of the source that point at the names are corrected, and the target's by the
    triggers: where there is no way back, by those that carry one way, before the source is frozen.
    """
    named = identity.carry(names)
    if named and not plan.reversible:
        named = [*sync.install(plan, copying=True), *named, *sync.remove(plan, copying=True)]
    return [
        *sequences.follow(plan),
        *([] if plan.reversible else named),
        *sync.install(plan),
        *writes.restart(plan),
        *grants.carry(plan),
        *(named if plan.reversible else []),
    ]


def repair(plan: Plan) -> list[Statement]:
    """What a live move lacks of its triggers and its sequences; rows that were written without them stay."""
    session = steps.open_session(plan)
    installed = sync.install(plan) if sync.state(plan) != "installed" else []
    statements = [*installed, *sequences.repair(plan, session)]
    return [*lock_both(plan), *statements] if statements else []


def lock_both(plan: Plan) -> list[Statement]:
    """Nobody else writes to either table; readers go on."""
    return locks.lock(steps.tables_of(plan), "SHARE ROW EXCLUSIVE")


def refuse_differences(plan: Plan, comparison: Comparison) -> None:
    if comparison.equal:
        return
    shown = "; ".join(map(str, comparison.differences)) or f"{comparison.orphans} orphaned foreign keys"
    raise MoveFailed(
        f"{plan}: the copy differs from the source ({comparison.missing} missing, {comparison.extra} extra, "
        f"{comparison.different} different, {comparison.orphans} orphans): {shown}. Everything is undone; "
        "a value that PostgreSQL changes on assignment needs an expression in fields={...}."
    )
