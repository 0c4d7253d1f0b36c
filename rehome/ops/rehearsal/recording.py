"""Recorder: what each step of the migrations of one connection takes, while it is observed."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.ops.rehearsal import looks
from rehome.ops.rehearsal.looks import Onlooker
from rehome.ops.rehearsal.report import Stage, Step
from rehome.postgres import asking
from rehome.terminal import Observer, Progress

WHOLE = "everything"
"""The name of the one step of a migration that has no move."""
UNSEEN = "Locks and waits were not seen to the end: {}."


@dataclasses.dataclass
class Running:
    """The stage that is being recorded."""

    began: float
    size: int
    """Of the database, when it began."""
    log: int
    rows: int | None = None
    problem: str = ""
    note: str = ""


class Recorder(Observer):
    """Makes a Stage of whatever runs between `begin` and `end`."""

    def __init__(self, connection: BaseDatabaseWrapper, onlooker: Onlooker) -> None:
        self.connection = connection
        self.onlooker = onlooker
        self.stages: list[Stage] = []
        self.steps: list[Step] = []
        """Of the stage that runs."""
        self.migration = ""
        self.migration_began_at = self.step_began_at = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Running]:
        """Keeps the stage, also where it has failed."""
        running = self.begin()
        try:
            yield running
        finally:
            self.end(name, running)

    def begin(self) -> Running:
        return Running(time.monotonic(), self.ask(looks.SIZE), self.ask(looks.LOG))

    def end(self, name: str, running: Running) -> None:
        until = time.monotonic()
        seen = looks.between(self.onlooker.looks, running.began, until)
        unseen = UNSEEN.format(self.onlooker.problem) if self.onlooker.problem else ""
        stage = Stage(
            name,
            seconds=round(until - running.began, 2),
            problem=running.problem,
            note=running.note or unseen,
            rows=running.rows,
            disk=max(looks.growth(seen, running.size), self.ask(looks.SIZE) - running.size, 0),
            wal=max(self.ask(looks.LOG) - running.log, 0),
            waited=looks.waited(seen),
            locks=looks.locks(seen),
            steps=tuple(self.steps),
        )
        self.stages.append(stage)
        self.steps = []

    def ask(self, question: str) -> int:
        """0 of a connection that was lost."""
        return int(asking.value(self.connection, question)) if self.connection.is_usable() else 0

    # ----- what is observed

    def began(self, progress: Progress, name: str) -> str:
        self.step_began_at = time.monotonic()
        return ""

    def ended(self, progress: Progress, name: str, seconds: float) -> str:
        self.keep(name, self.step_began_at)
        return ""

    def migration_began(self, key: str, *, forwards: bool) -> None:
        self.migration, self.migration_began_at = key, time.monotonic()

    def migration_ended(self) -> None:
        if all(step.migration != self.migration for step in self.steps):
            self.keep(WHOLE, self.migration_began_at)
        self.migration = ""

    def keep(self, name: str, began: float) -> None:
        until = time.monotonic()
        seen = looks.between(self.onlooker.looks, began, until)
        step = Step(self.migration, name, round(until - began, 2), looks.waited_in_all(seen), looks.locks(seen))
        self.steps.append(step)
