"""CutOff: a live move whose old table somebody has dropped ends there, and its target is a table like any other."""

from collections.abc import Iterator

from rehome.errors import Refused
from rehome.models import MoveRun, Phase
from rehome.moves.steps import Action, Do, Held, Step
from rehome.moves.way import Way
from rehome.parts import project_triggers, sync, writes
from rehome.plan.phases import describe
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import locks
from rehome.postgres.session import Group


class CutOff(Way):
    """`plan` is one `without_source`."""

    again = "the command"

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        super().__init__(plan, run)
        if run is None or run.phase not in {Phase.MOVED, Phase.LIVE}:
            raise Refused(
                f"{plan} is not live on database {plan.connection.alias!r}: {describe(run)}.",
                "Nothing is left of it here.",
            )

    def go(self) -> None:
        self.show("ending, because the old table is gone", steps=1)
        self.take(self.steps())

    def steps(self) -> Iterator[Step]:
        yield Held("End", "drop what carried writes to the old table", "Nothing has been dropped.", self.end)

    def end(self) -> Iterator[Action]:
        targets = [pair.target for pair in self.plan.pairs]
        yield Group(tuple(locks.lock(targets, "SHARE ROW EXCLUSIVE")))
        yield from sync.drop_triggers(self.plan)
        yield from writes.forget(self.plan)
        for table in targets:
            before = self.record.triggers.get(str(table), {})
            yield from project_triggers.set_states(table, before, project_triggers.states(table.triggers))
        yield Do(self.record_end)

    def record_end(self) -> None:
        """Nothing of the old table is left."""
        if self.run.phase == Phase.MOVED:
            self.advance(Phase.LIVE)
        self.advance(Phase.ENDED, Record.of(self.run).keeping(foreign_keys=None))
