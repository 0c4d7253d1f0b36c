"""Walk: follows migrations as Django would run them, on states of the models alone, with the trackers of some moves."""

from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration, RunPython, RunSQL, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from rehome.graph.discovery import flatten
from rehome.graph.rules import Finding
from rehome.graph.tracking import Course, How, Tracker, is_about


class Walk(Course):
    """Takes the trackers along; each begins at the migration of its move."""

    def __init__(self, loader: MigrationLoader, connection: BaseDatabaseWrapper, alias: str | None = None) -> None:
        super().__init__(loader, connection, alias)
        self.trackers: list[Tracker] = []

    def go(self, migrations: Iterable[Migration]) -> list[Finding]:
        """Follow the migrations; what each of them would break, in this order."""
        found = []
        for self.migration in migrations:
            for position, operation in enumerate(self.migration.operations):
                self.run(operation, self.state, "judged")
                for tracker in self.trackers:
                    declared = tracker.declared
                    if (self.migration.app_label, self.migration.name, position) == (*declared.key, declared.position):
                        tracker.begin(self)
            found += [finding for tracker in self.trackers for finding in tracker.judge(self)]
        return found

    def run(self, operation: Operation, state: ProjectState, how: How) -> None:
        match operation:
            case SeparateDatabaseAndState():
                self.run_separate(operation, state, how)
            case RunSQL():
                for tracker in self.trackers if how == "judged" else ():
                    tracker.read(operation.sql, self)
                self.run_state(operation.state_operations, state, unread=how == "judged")
            case _:
                self.run_plain(operation, state, how)

    def run_plain(self, operation: Operation, state: ProjectState, how: How) -> None:
        app_label = self.migration.app_label
        about = [one for one in self.trackers if is_about(operation, app_label, one.labels.values())]
        for tracker in self.trackers if how == "judged" else ():
            tracker.see(operation, app_label, state, self)
        seen = [(one, one.shapes(state, self) if one.begun else None, one.fields(state)) for one in about]
        operation.state_forwards(app_label, state)
        for tracker, then, fields in seen:
            if state is self.state:
                tracker.find_lost(fields, state, self)
            if then is not None:
                tracker.follow(operation, app_label, then, state, self, how)

    def run_separate(self, operation: SeparateDatabaseAndState, state: ProjectState, how: How) -> None:
        unread = False
        if operation.database_operations:
            labels = [dict(tracker.labels) for tracker in self.trackers]
            there = state.clone()
            for part in operation.database_operations:
                self.run(part, there, how)
            for tracker, before in zip(self.trackers, labels, strict=True):
                tracker.labels = before
            unread = how == "judged" and any(isinstance(part, RunSQL | RunPython) for part in flatten(operation))
        self.run_state(operation.state_operations, state, unread=unread)

    def run_state(self, operations: Iterable[Operation], state: ProjectState, *, unread: bool) -> None:
        """What the models become; with `unread`, the project's own SQL is taken to make it of the tables."""
        sources = [tracker.labels["source"] in state.models for tracker in self.trackers]
        for part in operations:
            self.run(part, state, "assumed" if unread else "state")
        for tracker, there in zip(self.trackers, sources, strict=True):
            if unread and there and tracker.labels["source"] not in state.models:
                tracker.end_by_hand(self)
