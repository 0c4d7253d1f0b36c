"""Tracker: the two tables of one move along a walk through migrations, and what is found there."""

import dataclasses
from collections.abc import Collection, Iterator
from typing import Any, Literal

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import (
    AddField,
    AlterField,
    CreateModel,
    Migration,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation

from rehome.graph.discovery import DeclaredMove, Key, find_moves, in_order
from rehome.graph.judging import Judge, Pairing, Said, Tracked, label_of
from rehome.graph.leaving import find_last
from rehome.graph.relations import bases_of, related, relations_of
from rehome.graph.rules import (
    CHANGED,
    EARLY,
    EARLY_AND_NEEDED,
    END,
    GONE,
    LEFT,
    OTHER,
    RULES,
    Change,
    Finding,
    Rule,
    Side,
)
from rehome.graph.shapes import Label, Shape, read_shape, renamed
from rehome.models import Phase
from rehome.postgres.statements import drops, text_of

How = Literal["judged", "assumed", "state"]
"""Whether Django runs an operation on the database, or SQL of the project's does what it says, or nobody does."""

MINE = "rehome_"
"""SQL that names what rehome has made sees to it."""
OTHER_CODE: dict[Side, str] = {"source": "new code", "target": "old code"}
"""Who writes to the other table."""


class Course:
    """Where a walk has come, and what a tracker needs to know of it.

    With `alias`, operations that the project's routers keep from that database leave the tables as they are.
    """

    migration: Migration
    """The one that is followed."""

    def __init__(self, loader: MigrationLoader, connection: BaseDatabaseWrapper, alias: str | None = None) -> None:
        self.connection = connection
        self.alias = alias
        self.state = ProjectState(real_apps=set(loader.unmigrated_apps))
        self.moved = {declared.move.resolve_labels() for declared in find_moves(loader)}
        """The models of each move: its rows are in both tables, so a foreign key may point at either."""

    def touches(self, label: Label) -> bool:
        return self.alias is None or router.allow_migrate(self.alias, label[0], model_name=label[1])


class Tracker:
    """`phase` is the one that the move has, or will have had since its migration."""

    def __init__(self, declared: DeclaredMove, phase: Phase) -> None:
        self.declared = declared
        self.phase = phase
        source, target = declared.move.resolve_labels()
        self.labels: dict[Side, Label] = {"source": source, "target": target}
        self.pairing: Pairing | None = None
        self.tables: dict[Side, Tracked] = {}
        self.before: dict[Side, Tracked] = {}
        self.begun = False
        self.ended: Key | None = None
        """The migration that ends the move."""
        self.forgotten: Key | None = None
        """The one after which the source's model is not there any more."""
        self.found: list[Finding] = []

    def begin(self, course: Course) -> None:
        """The tables are what the move's migration finds."""
        source, target = self.shapes(course.state, course)
        self.begun = True
        if source and target:
            pairing = Pairing.of(self.declared.move, source, target)
            # Nothing is carried between the tables of a move without a way back, so nothing can break.
            if pairing.is_reversible(self.declared.move):
                self.pairing = pairing
                self.tables = {"source": Tracked(source), "target": Tracked(target)}
        self.settle()

    def settle(self) -> None:
        """What the tables are by now is what the next migration is judged by."""
        self.before = {side: tracked.copy() for side, tracked in self.tables.items()}
        self.found = []

    def shapes(self, state: ProjectState, course: Course) -> list[Shape | None]:
        return [read_shape(state, label, course.connection) for label in self.labels.values()]

    # ----- one operation

    def see(self, operation: Any, app_label: str, state: ProjectState, course: Course) -> None:
        """Before Django runs an operation: what it points at a table that has not got the rows yet."""
        for column, end in pointed_at(operation, app_label) if not self.ended else ():
            named = {"column": column, "table": written(app_label, operation, state)}
            if (
                end == self.labels["target"]
                and self.is_early(course)
                and brings_rows(operation, state, course.migration)
            ):
                self.add_early(course, named)
            if end == self.labels["source"] and self.forgotten and end not in state.models:
                self.add_left(course, app_label, named["table"], column)

    def follow(
        self, operation: Operation, app_label: str, then: list[Shape | None], state: ProjectState, course: Course,
        how: How,
    ) -> None:  # fmt: skip
        """After an operation that may be about the tables, which were `then` as the models say."""
        labels = dict(self.labels)
        self.labels = {side: renamed(operation, app_label, label) for side, label in labels.items()}
        for (side, label), was, now in zip(labels.items(), then, self.shapes(state, course), strict=True):
            if side not in self.tables:
                continue
            rename = None
            if isinstance(operation, RenameField) and (app_label, operation.model_name_lower) == label:
                rename = operation.old_name, operation.new_name
            if how == "state" or was is None or not was.managed or not course.touches(label):
                was = now = None
            elif how == "assumed" and now is None:  # What becomes of the table, its SQL says.
                was = None
            followed = [self.tables[side]] if how == "judged" else [self.tables[side], self.before[side]]
            for tracked in followed:
                tracked.follow(was, now, rename)

    def read(self, statements: Any, course: Course) -> None:
        """SQL of the project's: whether it drops one of the tables, or ends the move."""
        text = text_of(statements)
        for side, tracked in self.tables.items():
            if tracked.shape and drops(text, tracked.shape.table):
                if side == "source" and (MINE in text or self.phase not in {Phase.MOVED, Phase.LIVE}):
                    self.end(course)
                else:
                    tracked.shape = None

    def end_by_hand(self, course: Course) -> None:
        """The model is gone along with SQL that does not drop its table plainly: whoever wrote that ends the move."""
        if self.tables and self.tables["source"].shape:
            self.end(course)

    def end(self, course: Course) -> None:
        if self.begun and self.ended is None:
            self.ended = course.migration.app_label, course.migration.name

    # ----- one migration

    def judge(self, course: Course) -> list[Finding]:
        """What the migration that has just been followed breaks."""
        if self.pairing and self.ended is None:
            for side in self.tables:
                self.judge_side(side, self.pairing, course)
        if self.forgotten == (course.migration.app_label, course.migration.name):
            self.find_left(course)
        found = {str(one): one for one in self.found} if self.ended is None else {}
        self.settle()
        return list(found.values())

    def judge_side(self, side: Side, pairing: Pairing, course: Course) -> None:
        before, other = self.before[side].shape, self.tables[OTHER[side]].shape
        if before is None:
            return
        judge = Judge(side, before, self.tables[side].shape, other, pairing, course.moved)
        for change, said in judge.changes():
            rule = next((r for r in RULES.get((change, side), ()) if self.phase in r.phases), None)
            if rule and not (change is Change.DEFINITION and self.found):
                there = other or (pairing.source if side == "target" else pairing.target)
                words = self.words_of(side, before, there)
                gone = change in {Change.COLUMN_WIDENED, Change.LOOSER} and self.labels[OTHER[side]] not in (
                    course.state.models
                )
                subject = said.get("column") or said.get("what") or said.get("table") or ""
                self.add(rule, course, {**words, **said}, cure=END if gone else None)
                self.found[-1] = dataclasses.replace(self.found[-1], change=change, side=side, subject=subject)

    def words_of(self, side: Side, shape: Shape, other: Shape) -> Said:
        return {
            "table": shape.table,
            "name": shape.name,
            "other_model": label_of(other),
            "other_app": other.label[0],
            "other_table": other.table,
            "other_code": OTHER_CODE[side],
        }

    def add(self, rule: Rule, course: Course, said: Said, *, cure: str | None = None) -> None:
        key = course.migration.app_label, course.migration.name
        move = self.declared.move
        dependency = f'("{self.declared.key[0]}", "{self.declared.key[1]}")'
        words = {
            "place": ".".join(key),
            "app": key[0],
            "move": str(move),
            "source": move.source,
            "target": move.target,
            "move_place": self.declared.place,
            "dependency": dependency,
            "back": " ".join(self.declared.parent),
            "also": "" if self.depends(key) else f", and add {dependency} to the dependencies",
            **said,
        }
        cured = (rule.cure if cure is None else cure).format(**words)
        self.found.append(Finding(rule.id, key, self.declared, rule.problem.format(**words), cured))

    def is_early(self, course: Course) -> bool:
        """Whether the migration may be applied before that of the move; in a plan the order is known."""
        if course.alias is not None:
            return not self.begun
        return not self.depends((course.migration.app_label, course.migration.name))

    def depends(self, key: Key) -> bool:
        """Whether a migration comes after that of the move on every database."""
        return self.declared.key in self.declared.loader.graph.forwards_plan(key)

    def fields(self, state: ProjectState) -> frozenset[str] | None:
        """Of the source's model; None where there is none."""
        model = state.models.get(self.labels["source"])
        return frozenset(model.fields) if model else None

    def find_lost(self, were: frozenset[str] | None, state: ProjectState, course: Course) -> None:
        """After an operation that may be about the source: whether a new database would have it before the move, which
        can't know that.
        """
        now, graph = self.fields(state), self.declared.loader.graph
        key = course.migration.app_label, course.migration.name
        if were is not None and now is None:
            self.forgotten = key
        if were is None or were == now or key in graph.forwards_plan(self.declared.key) or not self.is_early(course):
            return
        if course.alias is not None:
            if now is None:
                self.add(GONE, course, {})
        elif precedes(key, self.declared):
            self.add(GONE if now is None else CHANGED, course, {})

    def find_left(self, course: Course) -> None:
        """What leads to the source after the migration that removes it; sources of other moves are removed as well."""
        source, moved = self.labels["source"], {source for source, _ in course.moved}
        for key, model in course.state.models.items():
            if key not in moved:
                names = [name for name, field in relations_of(model) if source in related(field, model)]
                for name in (*names, *([""] if source in bases_of(model) else [])):
                    self.add_left(course, key[0], f"{key[0]}.{model.name}", name)

    def add_left(self, course: Course, app_label: str, model: str, field: str) -> None:
        leaving = find_last([self.labels["source"]], self.declared.loader).get(app_label)
        if leaving and self.forgotten and leaving not in self.declared.loader.graph.forwards_plan(self.forgotten):
            said = {
                "place": ".".join(self.forgotten),
                "pointing": f"{model}.{field}" if field else model,
                "leaving": '("{}", "{}")'.format(*leaving),
            }
            self.add(LEFT, course, said)

    def add_early(self, course: Course, said: Said) -> None:
        graph = self.declared.loader.graph
        needed = (course.migration.app_label, course.migration.name) in graph.forwards_plan(self.declared.key)
        self.add(EARLY, course, said, cure=EARLY_AND_NEEDED if needed else None)


# ----- operations


def is_about(operation: Any, app_label: str, labels: Collection[Label]) -> bool:
    """Whether one of the models may be another one after it, as far as the name that it has for a model tells."""
    match operation:
        case SeparateDatabaseAndState():
            parts = [*operation.database_operations, *operation.state_operations]
            return any(is_about(part, app_label, labels) for part in parts)
        case RunPython():
            return False
        case RenameModel() | RunSQL():
            return True
    for name in ("model_name_lower", "name_lower"):
        if hasattr(operation, name):
            return (app_label, getattr(operation, name)) in labels
    return True


def named_model(operation: Any) -> str:
    return str(getattr(operation, "model_name", "") or getattr(operation, "name", ""))


def precedes(key: Key, declared: DeclaredMove) -> bool:
    """Whether a new database has the migration before that of the move."""
    for migration in in_order(declared.loader):
        if (migration.app_label, migration.name) in {key, declared.key}:
            return (migration.app_label, migration.name) == key
    return False


def written(app_label: str, operation: Any, state: ProjectState) -> str:
    """The operation's model as its class is written."""
    model = state.models.get((app_label, named_model(operation).lower()))
    return f"{app_label}.{model.name if model else named_model(operation)}"


def pointed_at(operation: Any, app_label: str) -> Iterator[tuple[str, Label]]:
    """Each relation that an operation makes: the field's name and the model that it points at."""
    match operation:
        case AddField() | AlterField():
            fields = [(operation.name, operation.field)]
        case CreateModel():
            fields = list(operation.fields)
        case _:
            fields = []
    for name, field in fields:
        if field.remote_field and field.remote_field.model:
            yield name, resolve_relation(field.remote_field.model, app_label, named_model(operation).lower())


def brings_rows(operation: Any, state: ProjectState, migration: Migration) -> bool:
    """Whether rows that are there already point at what a field points at from now on."""
    app_label = migration.app_label
    made = {part.name_lower for part in migration.operations if isinstance(part, CreateModel)}
    if isinstance(operation, CreateModel) or operation.model_name_lower in made:
        return False
    field = operation.field
    if isinstance(operation, AddField):
        return not field.many_to_many and not field.null
    model = state.models.get((app_label, operation.model_name_lower))
    before = model.fields.get(operation.name) if model else None
    if before is None or not (before.remote_field and before.remote_field.model):
        return True
    ends = [resolve_relation(one.remote_field.model, app_label, operation.model_name_lower) for one in (before, field)]
    return ends[0] != ends[1]
