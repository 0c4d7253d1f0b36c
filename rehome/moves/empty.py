"""The quick way where no table has a row, as in every new database: what stands afterwards is made at once.

What is there for rows alone is left out: their checks, the copy, the comparison, indexes and foreign keys that wait for
them, batches, VACUUM, and the progress of a run.
"""

from collections.abc import Iterator

from rehome.models import MoveRun, Phase
from rehome.moves import both, state, steps
from rehome.moves.steps import Action, Do, Step, Whole
from rehome.moves.way import NOTHING, Way
from rehome.parts import foreign_keys, grants, identity, project_triggers, sequences, sync, writes
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import locks
from rehome.postgres.session import Group
from rehome.preflight import checks


class Filled(Exception):  # noqa: N818  It is no error: another way takes over.
    """A row was written before the tables were locked; nothing has been changed."""


class Empty(Way):
    """The one step of a move between tables without rows: one short transaction, or a part of the open one."""

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        super().__init__(plan, run)
        self.record = foreign_keys.to_keep_of(plan) | sequences.to_keep(plan) | project_triggers.to_keep(plan)

    def go(self) -> None:
        """Raises Filled where there are rows by now."""
        checks.check_definitions(self.plan, self.ledger)
        self.take(self.steps())
        identity.forget_cached()

    def steps(self) -> Iterator[Step]:
        yield Whole("Move", "", NOTHING, self.switch)

    def switch(self) -> Iterator[Action]:
        plan = self.plan
        yield from locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE")
        yield Do(self.refuse_rows)
        yield from sync.lower_fence(plan)
        yield from project_triggers.put_away(plan)
        yield from sequences.share(plan)
        names = identity.read_known(plan, self.session)
        yield Group(tuple(both.switch(plan, names, self.record)))
        if may_differ(plan):
            yield Do(lambda: self.try_writes(plan, self.record))
        yield from writes.restart(plan)
        yield Do(lambda: self.record_live(names))

    def refuse_rows(self) -> None:
        if not state.has_no_rows(self.plan):
            raise Filled

    def record_live(self, names: identity.Identity | None) -> None:
        kept = grants.to_keep(self.plan) | self.to_keep_labels(names)
        self.begun = self.ledger.begin(self.plan, self.record)
        self.record = Record.of(self.run)
        self.advance(Phase.MOVED, project_triggers.to_keep_live(self.plan, self.record) | kept, rows=0)
        self.advance(state.settled(self.plan))


def may_differ(plan: Plan) -> bool:
    """Whether a write may fail for what only this database has: others' rights, and code that writes set off."""
    tables = steps.tables_of(plan)
    return any(table.grants or project_triggers.of_project(table) for table in tables)
