"""Draft: every file that changes with the end of moves, and what else a person should know."""

import ast
import dataclasses
import functools
import inspect
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration, RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.migrations.writer import MigrationWriter

from rehome.errors import Refused
from rehome.graph import row_locks
from rehome.graph.comparable import comparable_state
from rehome.graph.discovery import DeclaredMove, Key, find_moves, flatten, in_order
from rehome.graph.drafting import refusals
from rehome.graph.drafting.loading import Loader, code_state, leaf, next_number
from rehome.graph.drafting.states import said
from rehome.graph.ending.found import find_named
from rehome.graph.ending.names import imports_of
from rehome.graph.ending.rewriting import Rewriting
from rehome.graph.ending.source import Source
from rehome.graph.ending.text import Written, ending_text
from rehome.graph.operations.relabel import Relabel
from rehome.graph.relations import bases_of, key_of_label, related, relations_of
from rehome.graph.tracking import pointed_at
from rehome.move import Move
from rehome.parts import ending, ending_labels
from rehome.plan.plan import Plan


@dataclasses.dataclass(frozen=True)
class Draft:
    files: tuple[Written, ...]
    """Those of the endings first: should a crash come between two files, the move is known by its ending."""
    notes: tuple[str, ...]


class Drafting:
    """`plans` are those of the moves that end now. Raises Refused; reads the files, and writes none."""

    def __init__(self, plans: Sequence[tuple[DeclaredMove, Plan]], connection: BaseDatabaseWrapper) -> None:
        self.plans = plans
        self.connection = connection
        self.loader = Loader()
        self.whole = MigrationLoader(None, ignore_no_migrations=True, replace_migrations=False)
        self.known = set(map(str.lower, find_named(self.loader)))
        ending_now = {str(declared).lower() for declared, _ in plans} | self.known
        declared = list(find_moves(self.whole))
        self.ended = [one.move for one in declared if str(one).lower() in ending_now]
        self.left = [one for one in declared if str(one).lower() not in ending_now]
        self.labels = {label for one in self.left for label in one.move.resolve_labels()}

    @property
    def last(self) -> bool:
        return not self.left

    def draft(self) -> Draft:
        refusals.refuse_conflicts(self.loader)
        self.refuse_changes()
        self.refuse_needed()
        files = [*self.endings(), *self.rewritten()]
        return Draft(tuple(files), tuple(self.notes(files)))

    def refuse_changes(self) -> None:
        """What is not in the migrations yet is no state that could stay the same."""
        if found := refusals.unwritten(self.loader, code_state()):
            raise Refused(
                f"The code has changes that are in no migration: {'; '.join(said(*one) for one in found)}.",
                "Run `manage.py makemigrations` first; where it would delete the old model, run `manage.py makemove` "
                "with both models, which keeps its table.",
            )

    def refuse_needed(self) -> None:
        """In a new database, a move that stays would not find what it rests on: a model that has moved before it, to
        which its own points, or the rows that an earlier move brings to its source's table.
        """
        for later in self.left:
            source, target = later.move.resolve_labels()
            model = self.state_before(later.key).models[source]
            ends = {end for _, field in relations_of(model) for end in related(field, model)} - {source}
            for move in self.ended:
                if move.resolve_labels()[0] in {*ends, target}:
                    raise Refused(
                        f"{move} can't end before {later}, which rests on it.",
                        f"Run `manage.py endmoves {later.move.target}` first, or `manage.py endmoves` for all at once.",
                    )

    # ----- the endings

    def endings(self) -> Iterator[Written]:
        before: list[Key] = []
        loader = self.loader
        for number, (declared, plan) in enumerate(self.plans):
            if str(declared).lower() in self.known:
                continue
            app_label = self.app_of(*declared.move.resolve_labels())
            name = f"{next_number(loader, app_label):04}_end_{declared.move.resolve_labels()[0][1]}"
            migration: Any = Migration(name, app_label)
            last = self.last and number == len(self.plans) - 1
            migration.operations = [RunSQL(ending.statement(plan, last=last))]
            migration.dependencies = list(self.dependencies(declared, app_label, loader, before))
            path = Path(MigrationWriter(migration).path)
            yield Written(path, ending_text(migration, str(declared)).encode(), new=True)
            loader = loader.with_([migration])
            before.append((app_label, name))
        yield from self.endings_of_labels(loader, before)

    def endings_of_labels(self, loader: Loader, before: Collection[Key]) -> Iterator[Written]:
        """Of models whose label has changed and whose rows have not moved, or not by themselves: a database may be
        behind, and old code has written since.
        """
        for key, operation in self.find_relabels():
            ends = [key_of_label(label.lower()) for label in (operation.source, operation.target)]
            app_label = self.app_of(*ends)
            name = f"{next_number(loader, app_label):04}_end_label_of_{ends[0][1]}"
            migration: Any = Migration(name, app_label)
            migration.operations = [RunSQL(ending_labels.statement(operation.source, operation.target), RunSQL.noop)]
            own = leaf(loader, app_label)
            migration.dependencies = list(dict.fromkeys([*([own] if own else []), key, *before]))
            path = Path(MigrationWriter(migration).path)
            yield Written(path, ending_text(migration).encode(), new=True)
            loader = loader.with_([migration])

    def find_relabels(self) -> Iterator[tuple[Key, Relabel]]:
        """Each that goes now, but for those whose old label is another model's by now."""
        state = self.loader.project_state()
        for migration in in_order(self.loader):
            key = migration.app_label, migration.name
            for operation in migration.operations:
                if not isinstance(operation, Relabel) or key_of_label(operation.source.lower()) in state.models:
                    continue
                if self.plain(migration.app_label, operation, self.state_before(key)) is not None:
                    yield key, operation

    def app_of(self, source: Key, target: Key) -> str:
        """The source's app, or the target's where the source is a package's."""
        try:
            refusals.refuse_unmigrated(self.loader, source[0])
            refusals.refuse_foreign_folder(source[0], Path(MigrationWriter(Migration("any", source[0])).path))
        except Refused:
            return target[0]
        return source[0]

    def dependencies(
        self, declared: DeclaredMove, app_label: str, loader: Loader, before: Collection[Key]
    ) -> Iterator[Key]:
        """Whatever leads foreign keys off the old table comes first, on a new database."""
        labels = declared.move.resolve_labels()
        apps = {app_label, *(label[0] for label in labels), *self.apps_of(set(labels))}
        own = [key for key in loader.graph.leaf_nodes() if key[0] == app_label]
        others = [key for key in loader.graph.leaf_nodes() if key[0] in apps - {app_label}]
        yield from own
        yield from (key for key in sorted(others) if key not in own)
        yield from (key for key in before if key not in own and key not in others)

    def apps_of(self, labels: set[Key]) -> set[str]:
        """Those with a foreign key, at any time, to one of these models or to what inherits from it."""
        found: set[str] = set()
        family = set(labels)
        operations = [
            (part, migration.app_label)
            for migration in self.loader.graph.nodes.values()
            for given in migration.operations
            for part in (*flatten(given), *flatten(given, "state"))
        ]
        grown = -1
        while grown != len(family):
            grown = len(family)
            for part, app_label in operations:
                bases = getattr(part, "bases", None) or ()
                if any(isinstance(base, str) and key_of_label(base) in family for base in bases):
                    family.add((app_label, str(part.name).lower()))  # type: ignore[attr-defined]
                    found.add(app_label)
        for part, app_label in operations:
            if any(end in family for _, end in pointed_at(part, app_label)):
                found.add(app_label)
        return {app for app in found if app not in self.loader.unmigrated_apps}

    # ----- what was written before

    def rewritten(self) -> Iterator[Written]:
        for key, migration in sorted(self.whole.disk_migrations.items()):
            path = Path(inspect.getfile(type(migration)))
            source = Source(path, path.read_bytes())
            if not imports_of(ast.parse(source.text), "rehome") and not depends_on_rehome(migration):
                continue
            before = self.state_before(key)
            plain = functools.partial(self.plain, migration.app_label)
            content = Rewriting(source, migration, before, self.is_ended, plain, last=self.last).rewritten()
            if content != source.content:
                refusals.refuse_foreign_folder(migration.app_label, path)
                self.prove(migration, before, Source(path, content))
                yield Written(path, content, new=False)

    def state_before(self, key: Key) -> ProjectState:
        state: ProjectState = self.whole.project_state(key, at_end=False)
        return state

    def is_ended(self, move: Move) -> bool:
        return any(move.resolve_labels() == one.resolve_labels() for one in self.ended)

    def plain(self, app_label: str, operation: Operation, state: ProjectState) -> list[Operation] | None:
        """None for an operation that stays."""
        make: Any = getattr(operation, "as_plain", None)
        if make is None or self.labels & set(self.named_by(operation, app_label, state)):
            return None
        made: list[Operation] = make(app_label, state, self.connection)
        return made

    def named_by(self, operation: Any, app_label: str, state: ProjectState) -> Iterator[Key]:
        """The models that an operation names, and those from which these inherit."""
        own = getattr(operation, "model_name", None) or getattr(operation, "name", None)
        labels = [getattr(operation, name, None) for name in ("model", "source", "target")]
        labels += [base for base in getattr(operation, "bases", ()) if isinstance(base, str)]
        keys = [key_of_label(label) for label in labels if label]
        field = getattr(operation, "field", None) or (getattr(operation, "link", None) or (None, None))[1]
        if own and (model := state.models.get((app_label, own.lower()))):
            keys += related(field, model) if field else []
        seen: set[Key] = set()
        while keys:
            key = keys.pop()
            if key not in seen:
                seen.add(key)
                yield key
                keys += bases_of(state.models[key]) if key in state.models else []

    def prove(self, migration: Migration, before: ProjectState, after: Source) -> None:
        """The file that would be written makes of the models what the one that is there makes of them."""
        module = ModuleType(type(migration).__module__)
        module.__file__ = str(after.path)
        module.__package__ = module.__name__.rpartition(".")[0]
        try:
            exec(compile(after.text, str(after.path), "exec"), module.__dict__)  # noqa: S102  It is the project's own.
            made = module.Migration(migration.name, migration.app_label)
        except Exception as error:
            raise Refused(
                f"{after.path} can't be rewritten by a command: {type(error).__name__}: {error}.",
                "Take what is rehome's out of it by hand, and run this command again.",
            ) from error
        states = [comparable_state(one.mutate_state(before, preserve=True)) for one in (migration, made)]
        if states[0] != states[1]:
            raise Refused(
                f"{after.path} would make other models than it makes now.",
                "Take what is rehome's out of it by hand, and run this command again.",
            )

    # ----- what else

    def notes(self, files: Sequence[Written]) -> Iterator[str]:
        """What still needs rehome, once no move does."""
        if not self.last:
            return
        changed = {file.path.resolve(): file for file in files}
        for root in row_locks.project_folders():
            for path in row_locks.files_in(root):
                file = changed.get(path.resolve())
                try:
                    tree = ast.parse(file.content if file else path.read_bytes())
                except (SyntaxError, ValueError):
                    continue
                for node in imports_of(tree, "rehome"):
                    place = f"{path.relative_to(root)}:{node.lineno}"
                    yield f"{place} still imports rehome: change it before you uninstall rehome."


def depends_on_rehome(migration: Migration) -> bool:
    return any(key[0] == "rehome" for key in (*migration.dependencies, *migration.run_before))
