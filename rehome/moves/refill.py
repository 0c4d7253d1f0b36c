"""Refill: one side of a live move gets again what the other has, after a migration that dropped it was unapplied."""

import dataclasses
from collections.abc import Iterator
from typing import Literal

from rehome.errors import MoveFailed
from rehome.models import MoveRun
from rehome.moves import both, steps
from rehome.moves.steps import Action, Do, Held, Now, Step, Whole
from rehome.moves.way import Way
from rehome.parts import grants, project_triggers, rows, sequences, sync
from rehome.plan.plan import Flow, Plan, TablePair
from rehome.plan.resolve import renew
from rehome.postgres import locks, sql
from rehome.postgres.session import Group
from rehome.postgres.sql import Statement
from rehome.postgres.tables import Table
from rehome.verify.comparison import compare


@dataclasses.dataclass(frozen=True)
class Lost:
    """What Django has made again, empty."""

    side: Literal["source", "target"]
    tables: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    """Of the model's own table."""


class Refill(Way):
    """Writes have been errors since, by the triggers that name what was dropped, so the other side has every row.

    Nothing is deleted, and no value is changed but those that were lost: where more than that differs, somebody has
    written behind the triggers, and nothing is done.
    """

    again = "`migrate` back once more"

    def __init__(self, plan: Plan, run: MoveRun, lost: Lost) -> None:
        super().__init__(plan, run)
        self.lost = lost

    def go(self) -> None:
        self.show("refilling", steps=2)
        self.take(self.steps())
        table = self.table_of(self.plan.main)
        if {one.grantee for one in self.plan.main.target.grants} - {table.owner} and not table.grants:
            self.progress.note(f"The rights that others had to {table} went with it. Grant them again.")

    def steps(self) -> Iterator[Step]:
        filled = ", ".join(str(self.table_of(pair)) for pair in self.plan.pairs)
        failed = f"{filled} is as Django has made it, and has not been filled."
        yield Held("Refill", f"fill {filled}", failed, self.refill)

    def table_of(self, pair: TablePair) -> Table:
        return pair.source if self.lost.side == "source" else pair.target

    def flow_of(self, pair: TablePair) -> Flow:
        return pair.backward if self.lost.side == "source" else pair.forward

    def refill(self) -> Iterator[Action]:
        yield Group(tuple(locks.lock(steps.tables_of(self.plan), "ACCESS EXCLUSIVE")))
        plan = renew(self.plan)
        yield from sync.drop_triggers(plan)
        silenced = [statement for pair in plan.pairs for statement in project_triggers.disable(self.table_of(pair))]
        yield from silenced
        for pair in plan.pairs:
            yield from self.fill(pair)
        # What is checked at the end of a transaction would forbid the ALTER TABLEs that follow.
        yield sql.check_now()
        yield Now("compare every row")
        yield Do(lambda: self.refuse_unequal(plan))
        for pair in plan.pairs:
            table = self.table_of(pair)
            states = project_triggers.states(project_triggers.of_project(table))
            yield from project_triggers.set_states(table, states, now={})
        yield from self.number_source(plan)
        yield from sequences.share(self.unshared(renew(plan)))
        yield from grants.carry(renew(plan))
        yield from both.repair(renew(plan), self.record)

    def fill(self, pair: TablePair) -> Iterator[Statement]:
        flow = self.flow_of(pair)
        lost = tuple(one for one in flow.carried if one.column.name in self.lost.columns)
        if self.table_of(pair).name in self.lost.tables:
            yield rows.insert_missing(flow)
        elif pair.source_model is self.plan.source_model and lost:
            yield rows.update_changed(pair, dataclasses.replace(flow, assignments=lost))

    def refuse_unequal(self, plan: Plan) -> None:
        found = compare(plan, self.session)
        if not found.equal:
            shown = "; ".join(map(str, found.differences)) or f"{found.orphans} orphaned foreign keys"
            raise MoveFailed(
                f"{plan}: the tables differ in more than was lost: {shown}. They are as Django has left them. Make "
                f"the rows equal, then create the triggers again with `manage.py migrate`."
            )

    def number_source(self, plan: Plan) -> Iterator[Statement]:
        """The sequence of both tables went with the target: the source has its own again, until they share one."""
        for pair in plan.pairs:
            kept = self.record.sequences.get(str(pair.target))
            if kept and kept.source.column not in pair.source.sequences:
                yield from sequences.revert_source(kept, pair.source, list(kept.source.sequence.grants))

    def unshared(self, plan: Plan) -> Plan:
        """The same plan with those pairs alone that number their rows apart, though the move let them share."""
        apart = (p for p in plan.pairs if str(p.target) in self.record.sequences and not sequences.draw_from_one(p))
        return dataclasses.replace(plan, pairs=tuple(apart))


class Renew(Way):
    """The triggers made again as they are. A session that ran one while a column had another type has compiled it so,
    and would get an error until it disconnects.
    """

    again = "`migrate`"

    def go(self) -> None:
        self.show("renewing the triggers", steps=1)
        self.take(self.steps())

    def steps(self) -> Iterator[Step]:
        yield Whole("Renew", "triggers", "The triggers are as they were.", self.renew)

    def renew(self) -> Iterator[Action]:
        """Where one is missing it is not made: which one it is tells which of two rows that differ is the newer one."""
        if sync.state(self.plan) != "missing":
            yield from both.lock_both(self.plan)
            yield from sync.install(self.plan)
