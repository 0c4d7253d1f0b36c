"""What is rehearsed, stage by stage: forward, verify, writes through both names, back, verify, forward again."""

import contextlib
import io
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management import CommandError, call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from rehome.errors import Refused
from rehome.graph.discovery import DeclaredMove, find_moves
from rehome.graph.status import Status, belongs, read_status
from rehome.moves.steps import open_session
from rehome.ops.rehearsal import writing
from rehome.ops.rehearsal.recording import Recorder, Running
from rehome.plan.phases import standing
from rehome.plan.record import Record
from rehome.postgres.sql import SQL, Identifier, name
from rehome.terminal import observed
from rehome.verify import probe

INTERRUPTED = {128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
"""What a command exits with that a signal has ended."""
Say = Callable[[str], object]
Marks = dict[str, tuple[int, str]]
"""By the name of a table, its rows and a checksum of them."""


def planned(alias: str) -> list[str]:
    """The migrations that `migrate` would apply now, in order."""
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def moves_among(migrations: list[str], alias: str) -> list[DeclaredMove]:
    loader = MigrationLoader(connections[alias])
    found = (declared for declared in find_moves(loader) if declared.place in migrations)
    return [declared for declared in found if belongs(declared, connections[alias])]


class Rehearsal:
    """The stages on the database that `alias` leads to: a copy, which may be left in any state."""

    def __init__(self, alias: str, recorder: Recorder, say: Say, *, verbosity: int = 1) -> None:
        self.alias = alias
        self.recorder = recorder
        self.say = say
        self.verbosity = verbosity
        self.migrations = planned(alias)
        self.moves = moves_among(self.migrations, alias)
        self.marks: Marks = {}
        """What the old names showed when everything had been written."""

    def run(self) -> None:
        """A stage that fails ends it, but for a way back that there is none of."""
        for go in (self.forward, self.verify, self.write, self.back, self.compare, self.again):
            if any(stage.problem for stage in self.recorder.stages):
                return
            go()

    @contextlib.contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Running]:
        """What fails in it is its problem: whatever the project's own code raises."""
        self.say(f"{doing} ...")
        with self.recorder.stage(name) as running:
            try:
                yield running
            except Exception as error:  # noqa: BLE001  Code of the project's may raise anything.
                if isinstance(error, CommandError) and error.returncode in INTERRUPTED:
                    raise KeyboardInterrupt from None
                running.problem = describe(error)

    # ----- the stages

    def forward(self) -> None:
        with self.stage("forward", "Migrating") as running, observed(self.recorder):
            self.migrate()
            running.rows = sum(status.run.rows or 0 for status in self.statuses() if status.run)

    def verify(self) -> None:
        with self.stage("verify", "Verifying") as running:
            said = io.StringIO()
            try:
                call_command("verifymoves", database=self.alias, format="json", verbosity=0, stdout=said)
            finally:
                found = json.loads(said.getvalue() or "{}").get("moves", [])
                running.rows = sum(move["source_rows"] or 0 for move in found)

    def write(self) -> None:
        with self.stage("writes", "Writing through both names") as running:
            faults, done, left_out = [], 0, []
            for status in self.standing():
                assert status.plan  # noqa: S101
                assert status.run  # noqa: S101
                session = open_session(status.plan)
                views = standing(status.run).compared == "view"
                tried = probe.try_writes(status.plan, session, Record.of(status.run), views=views)
                faults += [f"{status}: {tried.failure}"] if tried.failure else []
                for written in writing.write_all(status.plan, session, status.run):
                    done += written.done
                    left_out += [] if written.done else [f"{written.kind} through {written.name}"]
                    faults += [f"{status}: {written.kind} through {written.name}: {written.problem}"] * bool(
                        written.problem
                    )
            running.rows = done
            running.problem = " ".join(faults)
            self.marks = self.mark()
            if left_out:
                running.note = f"No row was found that allows {', '.join(left_out)}."

    def back(self) -> None:
        one_way = [str(status) for status in self.statuses() if status.plan and not status.plan.reversible]
        with self.stage("back", "Moving back") as running, observed(self.recorder):
            if one_way:
                running.note = f"There is no way back of {', '.join(one_way)}."
                return
            for declared in reversed(self.moves):
                self.migrate(*declared.parent)

    def compare(self) -> None:
        if self.recorder.stages[-1].note:
            return
        with self.stage("verify back", "Comparing what came back") as running:
            after = self.mark()
            differences = [
                f"{table} had {rows:,} rows before the way back, and {after[table][0]:,} after it"
                if after[table][0] != rows
                else f"{table} has other values after the way back"
                for table, (rows, checksum) in self.marks.items()
                if after.get(table) != (rows, checksum)
            ]
            running.rows = sum(rows for rows, _ in after.values())
            running.problem = f"{'; '.join(differences)}." if differences else ""

    def again(self) -> None:
        if self.recorder.stages[-1].note:
            return
        with self.stage("forward again", "Migrating again") as running, observed(self.recorder):
            self.migrate()
            running.rows = sum(status.run.rows or 0 for status in self.statuses() if status.run)

    # ----- what they are made of

    def migrate(self, *target: str) -> None:
        said: Any = io.StringIO()
        call_command(
            "migrate", *target, database=self.alias, interactive=False, verbosity=self.verbosity, stdout=said,
            skip_checks=False, require_backup=0, confirm=connections[self.alias].settings_dict["NAME"],
        )  # fmt: skip

    def statuses(self) -> list[Status]:
        loader = MigrationLoader(connections[self.alias])
        keys = {declared.place for declared in self.moves}
        return [read_status(one, connections[self.alias]) for one in find_moves(loader) if one.place in keys]

    def standing(self) -> list[Status]:
        """Whose rows can be written to under both names."""
        return [one for one in self.statuses() if one.plan and one.run and one.verifiable and one.plan.reversible]

    def mark(self) -> Marks:
        """What the old names show."""
        found: Marks = {}
        for status in self.statuses():
            if status.plan is None:
                raise Refused(f"{status}: {status.problem}", "Nothing has been rehearsed further.")
            session = open_session(status.plan)
            for pair in status.plan.pairs:
                row = SQL(", ").join(Identifier("t", column.name) for column in pair.source.columns)
                question = SQL(
                    "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended("
                    'ROW({})::pg_catalog.text COLLATE "C", 0)), 0)::pg_catalog.text FROM {} AS t'
                ).format(row, name(pair.source))
                ((rows, checksum),) = session.rows(question)
                found[str(pair.source)] = rows, checksum
        return found


def describe(error: BaseException) -> str:
    """As a sentence; an error of rehome's or of Django's commands is one already."""
    if isinstance(error, KeyboardInterrupt):
        return "It was interrupted."
    said = " ".join(str(error).split()).rstrip(".")
    return f"{said}." if isinstance(error, CommandError) else f"{type(error).__name__}: {said}."
