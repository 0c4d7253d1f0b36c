"""What the ways that copy have in common: the moment from which both tables live, its repair, and its proof."""

from rehome.errors import MoveFailed
from rehome.moves import steps
from rehome.parts import grants, identity, ledger_rights, made, next_keys, project_triggers, sequences, sync
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import locks
from rehome.postgres.sql import Statement
from rehome.preflight import names, rights, writers
from rehome.verify.comparison import Comparison


def switch(plan: Plan, labels: identity.Identity | None, record: Record) -> list[Statement]:
    """From here both tables live. Rows of the source that point at the names are corrected, and the target's by the
    triggers: where there is no way back, by those that carry one way, before the source is frozen.
    """
    named = identity.carry(labels, stays=plan.move.identity == "retire")
    if named and not plan.reversible:
        named = [*sync.install(plan, copying=True), *named, *sync.remove(plan, copying=True)]
    return [
        # Before any row is corrected, whose checks at the end of the transaction would forbid an ALTER TABLE.
        *project_triggers.carry(plan, record),
        *sequences.follow(plan),
        *([] if plan.reversible else named),
        *sync.install(plan, granting=True),
        *grants.carry(plan),
        *(named if plan.reversible else []),
    ]


def repair(plan: Plan, record: Record) -> list[Statement]:
    """What a live move lacks of its triggers, its sequences and the rights to them; rows that were written without them
    stay. Raises Refused where the triggers would lend rights.
    """
    session = steps.open_session(plan)
    whole = sync.state(plan) == "installed" and not made.find_defects(plan, made.of_live(plan))
    writers.refuse_unfit_owners(plan)
    names.refuse_adopted(plan, made.of_live(plan))
    rights.refuse_strangers_code(plan)
    if not whole:
        # Grants may have changed whose rights the triggers have.
        writers.refuse_lent_rights(plan)
    statements = [
        *([] if whole else sync.install(plan)),
        *project_triggers.repair(plan, record),
        *next_keys.repair(plan, session, record),
        *ledger_rights.repair(plan),
    ]
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
