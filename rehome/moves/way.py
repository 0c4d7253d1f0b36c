"""Way: one run of a move in one direction; what each way reads, records, and shows."""

import abc
import contextlib
from collections.abc import Iterable, Iterator
from typing import ClassVar

from django.db import DatabaseError, InterfaceError

from rehome.errors import MoveFailed, RehomeError
from rehome.models import MoveRun, Phase
from rehome.moves import resume, steps
from rehome.moves.steps import Step
from rehome.parts import sync
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.terminal import Progress

NOTHING = "Nothing has been moved."
NOTHING_BACK = "Nothing has been moved back."


class Way(abc.ABC):
    """The steps of one way, of which `sqlmove` prints `steps` and a command runs `go`."""

    again: ClassVar[str] = "the migration"
    """What to run again after a failure."""

    def __init__(self, plan: Plan, run: MoveRun | None) -> None:
        self.plan = plan
        self.begun = run
        self.record = Record.of(run) if run else Record()
        """What the run keeps so far."""
        self.ledger = Ledger(plan.connection.alias)
        self.session = steps.open_session(plan)
        self.progress = Progress(str(plan), steps=0)
        self.stamps: object = None
        """Of the triggers, as they were when the rows were compared."""

    @property
    def run(self) -> MoveRun:
        assert self.begun is not None  # noqa: S101  A way that reads its run has begun.
        return self.begun

    @abc.abstractmethod
    def steps(self) -> Iterator[Step]:
        """Every step from where the run stands."""

    @abc.abstractmethod
    def go(self) -> None:
        """Refuse what must be refused, then run the steps. Raises RehomeError."""

    def show(self, doing: str, *, steps: int, done: int = 0, note: str = "") -> None:
        title = f"{self.plan}: {doing}, database {self.plan.connection.alias!r}{note}"
        self.progress = Progress(title, steps, done=done)

    def take(self, way: Iterable[Step]) -> None:
        """Run steps in order. A failure says where the rows are, and what to run again."""
        for step in way:
            with steps.explained(self.plan, step.outcome, again=self.again):
                step.run(self.session, self.progress)

    def begin(self, first: Iterable[Step]) -> None:
        """Record the run and run its first steps. After a failure, undo them if that can be done at once; else the next
        run begins so.
        """
        with steps.explained(self.plan, NOTHING), self.session.transaction():
            self.begun = self.ledger.begin(self.plan, self.record)
        self.record = Record.of(self.run)
        alone = self.plan.connection.connection
        try:
            self.take(first)
        except BaseException:
            # On a new connection nothing would keep another run away, and a lock may not be granted now.
            if self.plan.connection.connection is alone:
                with contextlib.suppress(DatabaseError, InterfaceError, RehomeError):
                    resume.cancel(self.plan, self.run)
            raise

    def refuse_changed_triggers(self, plan: Plan) -> None:
        """Rows that were equal beside these triggers may differ by now."""
        if sync.stamps(plan) != self.stamps:
            raise MoveFailed(
                f"{plan}: a trigger was changed after the comparison began, so the tables may differ. This step is "
                "undone. Run the migration again, which compares again."
            )

    def advance(self, phase: Phase, record: Record | None = None, *, rows: int | None = None) -> None:
        if record is not None:
            self.record = record
        self.ledger.advance(self.run, phase, record=record, rows=rows)
