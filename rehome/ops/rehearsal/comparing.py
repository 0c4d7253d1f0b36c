"""The real `migrate`, compared with its rehearsal step by step while it runs; it leaves the same report."""

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import pre_migrate

from rehome.errors import RehomeError, one_line
from rehome.ops.backups.store import Store
from rehome.ops.rehearsal import facts, reports, steps
from rehome.ops.rehearsal.looks import Look, Onlooker
from rehome.ops.rehearsal.recording import Recorder, Running
from rehome.ops.rehearsal.report import MARGIN, Report, Stage, Step
from rehome.ops.rehearsal.reports import Kept
from rehome.ops.servers import Server
from rehome.plan.ledger import Ledger
from rehome.postgres import asking
from rehome.terminal import OBSERVER, SECONDS_BETWEEN_LINES, Observer, Progress, observed

EVERY_S = 0.5
LATE_S = 2.0
"""A step is not called slower before it is late by so much: short ones vary."""
SERVER = "SELECT (pg_catalog.pg_control_system()).system_identifier::text, pg_catalog.current_database()::text"
Say = Callable[[str], object]


@contextlib.contextmanager
def compared(connection: BaseDatabaseWrapper, say: Say) -> Iterator[None]:
    """Whatever is migrated until the block ends. Nothing is looked up or looked at before a move has rows to move."""
    if type(OBSERVER.get()) is not Observer or connection.vendor != "postgresql":  # It is rehearsed.
        yield
        return
    comparing = Comparing(connection, say)
    pre_migrate.connect(comparing.plan)
    try:
        with observed(comparing):
            yield
    except BaseException as error:
        comparing.problem = steps.describe(error)
        raise
    finally:
        pre_migrate.disconnect(comparing.plan)
        comparing.stop()


class Comparing(Recorder):
    """Records like a rehearsal, and says behind each step what it took then."""

    def __init__(self, connection: BaseDatabaseWrapper, say: Say) -> None:
        super().__init__(connection, Onlooker(connection, every_s=EVERY_S, looked=self.looked))
        self.say = say
        self.problem = ""
        self.forwards = True
        self.planned: list[str] = []
        self.asked = False
        """Whether there were rows to move, and it was asked what is kept of the database."""
        self.running: Running | None = None
        self.began_at = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self.store: Store | None = None
        self.rehearsal: Kept | None = None
        self.step: tuple[Progress, str] | None = None
        self.told: tuple[str, float] = ("", 0.0)
        """What was said last of a step that is late, and when."""
        self.moves: dict[str, None] = {}
        """Those that ran, in order."""
        self.opened = contextlib.ExitStack()

    def plan(self, plan: list[tuple[Any, bool]], **signal: Any) -> None:
        self.planned = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]

    # ----- before the first step that has rows

    def start(self) -> None:
        """What goes wrong here is no reason not to move."""
        self.asked = True
        try:
            self.store, self.rehearsal = self.find()
        except RehomeError:
            return  # No storage for backups: nothing was rehearsed, and there is no place for a report.
        except Exception as error:  # noqa: BLE001  A storage may raise anything.
            self.say(f"The rehearsals can't be read: {one_line(error)}.")
            return
        if self.store is None:
            return
        self.running = self.begin()
        if self.rehearsal:
            self.say(f"Comparing with the rehearsal of {self.rehearsal.report.began}.")
            if missing := [one for one in self.planned if one not in self.rehearsal.report.migrations]:
                self.say(f"Not rehearsed: {', '.join(missing)}.")
        self.opened.enter_context(self.onlooker)

    def find(self) -> tuple[Store | None, Kept | None]:
        """A database of which nothing is kept leaves no report either."""
        ((server, database),) = asking.query(self.connection, SERVER)
        store = Store.default()
        if not reports.is_known(store, server, database):
            return None, None
        found = reports.of(store, server, database, "rehearsal")
        worked = (one for one in found if one.report.ok and self.migration in one.report.migrations)
        return store, next(worked, None)

    def rehearsed(self, name: str) -> Step | None:
        if self.rehearsal is None:
            return None
        stage = self.rehearsal.report.stage("forward" if self.forwards else "back")
        return next((one for one in stage.steps if one.key == (self.migration, name)), None) if stage else None

    # ----- what is observed

    def migration_began(self, key: str, *, forwards: bool) -> None:
        self.forwards = forwards
        super().migration_began(key, forwards=forwards)

    def began(self, progress: Progress, name: str) -> str:
        if not (self.asked or progress.quiet):
            self.start()
        super().began(progress, name)
        self.step, self.told = (progress, name), ("", 0.0)
        self.moves.setdefault(progress.title.partition(": ")[0])
        before = self.rehearsed(name)
        return f" (rehearsed {before.seconds:.1f} s)" if before else ""

    def ended(self, progress: Progress, name: str, seconds: float) -> str:
        super().ended(progress, name, seconds)
        self.step = None
        before = self.rehearsed(name)
        if before:
            return f", rehearsed {before.seconds:.1f} s"
        return ", not rehearsed" if self.rehearsal else ""

    def looked(self, look: Look, onlooker: Onlooker) -> None:
        """In the thread of the onlooker: say of a step that is late whether it waits or works."""
        step = self.step
        if step is None or (before := self.rehearsed(step[1])) is None:
            return
        if look.at - self.step_began_at < max(before.seconds * MARGIN, before.seconds + LATE_S):
            return
        said = f"waits for {onlooker.blocking() or 'a lock'}" if look.waited else working(look)
        if said != self.told[0] or look.at - self.told[1] > SECONDS_BETWEEN_LINES:
            self.told = said, look.at
            step[0].remark(f"slower than rehearsed ({before.seconds:.1f} s): {said}")

    # ----- after the last step

    def stop(self) -> None:
        self.opened.close()
        if self.running is None or self.store is None:
            return
        self.running.problem = self.problem
        try:
            self.leave(self.store, self.running)
        except Exception as error:  # noqa: BLE001  What was moved is moved, and a storage may raise anything.
            self.say(f"The report could not be left: {one_line(error)}.")

    def leave(self, store: Store, running: Running) -> None:
        runs = {run.move: run for run in Ledger(self.connection.alias).all()}
        running.rows = sum(runs[move].rows or 0 for move in self.moves if move in runs)
        self.end("forward" if self.forwards else "back", running)
        written = Report(
            kind="move",
            began=self.began_at.isoformat(),
            source=facts.read(Server.of(self.connection), []),
            copy=None,
            origin="",
            migrations=tuple(self.planned),
            moves=tuple(self.moves),
            online=False,
            stages=tuple(self.stages),
        )
        if self.rehearsal and not self.problem:
            self.say(sum_up(self.stages[0], self.rehearsal.report))
        self.say(f"The report of this run lies beside the backups as {reports.save(store, written)}.")


def working(look: Look) -> str:
    return f"working ({look.doing})" if look.doing else "working"


def sum_up(stage: Stage, rehearsed: Report) -> str:
    before = rehearsed.stage(stage.name)
    if before is None:
        return ""
    return f"In all {stage.seconds:.1f} s, rehearsed {before.seconds:.1f} s."
