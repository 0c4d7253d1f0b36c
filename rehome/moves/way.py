"""Way: one run of a move in one direction; what each way reads, records, and shows."""

import abc
import contextlib
from collections.abc import Iterable, Iterator
from typing import ClassVar

from django.db import DatabaseError, InterfaceError

from rehome.errors import MoveFailed, RehomeError
from rehome.models import MoveRun, Phase
from rehome.moves import resume, state, steps
from rehome.moves.steps import Action, Do, Step
from rehome.parts import grants, identity, stranded, sync
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.preflight import fates, notices
from rehome.terminal import Progress
from rehome.verify import outcomes, probe
from rehome.verify.probe import Trial

NOTHING = "Nothing has been moved."
NOTHING_BACK = "Nothing has been moved back."
TRYING_S = 0.5
"""How long writes are tried while others wait: roles whose turn has not come by then are left to `verifymoves`."""


class Way(abc.ABC):
    """The steps of one way, of which `sqlmove` prints `steps` and a command runs `go`."""

    again: ClassVar[str] = "the migration"
    """What to run again after a failure."""
    stays: ClassVar[str] = ""
    """What stays where a later step is undone."""

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
        self.untried: list[str] = []
        """The roles as which no write could be tried, and why."""
        self.faults: list[Trial] = []
        """The writes that would fail after the step that was undone."""
        self.refused: probe.Refused = frozenset()
        """What the old tables refuse by themselves, as far as they were asked."""

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
        # A new database, such as that of a test run.
        quiet = self.begun is None and state.has_no_rows(self.plan)
        self.progress = Progress(title, steps, done=done, quiet=quiet)
        for note in grants.find_gone(self.record, self.plan.connection):
            self.progress.note(note)

    def name(self, way: fates.Way, plan: Plan | None = None) -> None:
        """What is left behind, before it is."""
        for notice in notices.find(plan or self.plan, way):
            self.progress.note(notice)

    def take(self, way: Iterable[Step]) -> None:
        """Run steps in order. A failure says where the rows are, and what to run again."""
        for step in way:
            with steps.explained(self.plan, step.outcome, again=self.again):
                self.run_step(step)
            while self.untried:
                self.progress.note(self.untried.pop(0))

    def run_step(self, step: Step) -> None:
        """Once more, where the writes that it would make fail have failed before as well."""
        try:
            step.run(self.session, self.progress)
        except MoveFailed:
            self.refused = self.find_refused()
            if not self.refused:
                raise
            self.progress.note("Some of these writes fail as it is, so they are no reason: this step is run again.")
            step.run(self.session, self.progress)

    def find_refused(self) -> probe.Refused:
        """What the old tables themselves refuse, once the step that would have made them views is undone."""
        if not self.faults or self.refused:
            return frozenset()
        refused, counted = probe.find_refused(renew(self.plan), self.session, {fault.role for fault in self.faults})
        if self.begun:
            self.ledger.record_probe(self.begun, counted)
        return refused

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
                f"undone.{self.stays} Run the migration again, which compares again."
            )

    def try_writes(self, plan: Plan, record: Record, *, views: bool = False) -> None:
        """Try a write of each kind as each role, and undo it; raises MoveFailed for what rehome would make fail."""
        found = self.try_all(plan, record, views=views)
        if found.failure and not plan.reversible:
            with outcomes.undone(self.session):
                self.session.execute_all(sync.drop_triggers(plan))
                roles = {fault.role for fault in found.faults}
                self.refused, _ = probe.find_refused(renew(plan), self.session, roles)
            found = self.try_all(plan, record, views=views)
        self.faults = found.faults if views else []
        self.untried = [str(trial) for trial in found.untried if not trial.kind]
        if found.failure:
            raise MoveFailed(
                f"{plan}: these writes would fail from now on: {found.failure} This step is "
                f"undone.{self.stays} Correct what is named, or revoke a privilege that is not used; then run "
                f"{self.again} again."
            )

    def try_all(self, plan: Plan, record: Record, *, views: bool) -> probe.Probe:
        return probe.try_writes(renew(plan), self.session, record, views=views, within_s=TRYING_S, refused=self.refused)

    def to_keep_labels(self, labels: identity.Identity | None) -> Record:
        return identity.to_keep(labels, self.session, stays=self.plan.move.identity == "retire")

    def settle_labels(self, plan: Plan | None = None, *, stays: bool | None = None) -> Iterator[Action]:
        """Bring over what the other side's code has written under its own label; see `identity.settle`."""
        self.ledger.refresh(self.run)  # A try that was rolled back has changed the object alone.
        record, plan = Record.of(self.run), plan or self.plan
        if stays in {None, record.label_stays} and not stranded.is_pending(plan, self.session, record):
            return
        labels = identity.read_identity(plan, self.session)
        yield from identity.settle(labels, record, stays=stays)
        yield Do(lambda: self.keep_labels(labels, record, stays=stays))

    def keep_labels(self, labels: identity.Identity | None, record: Record, *, stays: bool | None) -> None:
        settled = identity.to_keep_settled(labels, self.session, record, stays=stays)
        self.record |= settled
        self.record = self.record.keeping(label_stays=settled.label_stays)
        self.advance(Phase(self.run.phase), self.record)
        identity.forget_cached()

    def advance(self, phase: Phase, record: Record | None = None, *, rows: int | None = None) -> None:
        if record is not None:
            self.record = record
        self.ledger.advance(self.run, phase, record=record, rows=rows)
