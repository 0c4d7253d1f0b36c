"""Refusals of an ending: a move that still needs its old name, and whatever still uses it."""

from collections.abc import Iterator

from rehome.errors import Refused
from rehome.models import MoveRun, Phase
from rehome.plan import resolve
from rehome.plan.phases import INTERRUPTED, LIVE, describe
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres import asking
from rehome.postgres.sql import readable
from rehome.preflight import leftovers
from rehome.preflight.fates import Fate, Way
from rehome.preflight.notices import FUNCTIONS, naming

FROZEN = "Drop the old table, {source}, after a backup: nobody can write to it, and nothing is carried any more."


def refuse_phase(name: str, target: str, run: MoveRun | None, alias: str) -> None:
    """Only where the old name is a view, or gone, can it end."""
    phase = Phase(run.phase) if run and run.phase in Phase.values else None
    if phase in {Phase.RETIRED, Phase.IN_PLACE, Phase.ENDED}:
        return
    if phase == Phase.FROZEN:
        cure = FROZEN.format(source=run.source_table if run else "")
    elif phase in LIVE:
        cure = f"Run `manage.py retiremoves {target}` first."
    elif phase in INTERRUPTED:
        cure = f"Run `manage.py migrate`, which resumes it, and then `manage.py retiremoves {target}`."
    else:
        cure = f"Run `manage.py migrate` and `manage.py retiremoves {target}` first."
    raise Refused(f"{name} can't end: {describe(run)} on database {alias!r}, neither retired nor in place.", cure)


def check(plan: Plan, run: MoveRun) -> None:
    """Nothing of the database uses an old name or what is set aside; raises Refused with all that does."""
    found = [use for pair in plan.pairs if pair.source.kind == "v" for use in find_uses(pair, plan)]
    record = Record.of(run)
    if run.phase == Phase.RETIRED and record.aside:
        old = resolve.plan_of(plan, record, own_names=False)
        leftovers.refuse(Way.DROP, old, views=[pair.source for pair in plan.pairs])
    if found:
        raise Refused(
            f"{plan} can't end: {'; '.join(found)}.",
            f"Drop them, or let them use {plan.main.target}, on every database.",
        )


def find_uses(pair: TablePair, plan: Plan) -> Iterator[str]:
    view = pair.source
    tied = leftovers.read(plan)
    for tie in leftovers.find(Way.UNRETIRE, Fate.REFUSED, pair, tied):
        yield f"{tie.name} uses {view}" if tie.name else f"{tie.kind} of {view}"
    for function in asking.column(plan.connection, FUNCTIONS, naming(view)):
        yield f"function {function} names {view}"


def find_users(plan: Plan) -> Iterator[str]:
    """Roles that may use an old name: whether they do, no catalog tells."""
    for pair in plan.pairs:
        roles = sorted({one.grantee for one in pair.source.grants if one.grantee != pair.source.owner})
        if roles and pair.source.kind == "v":
            listed = ", ".join(readable(role) if role else "PUBLIC" for role in roles)
            yield f"{listed} may use {pair.source}, which goes: let them use {pair.target}, as they may."
