"""The stages of a move: one run of Django's autodetector each, between two states, on the graph of those before."""

import dataclasses
import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from django.db.migrations import AlterField, CreateModel, DeleteModel, Migration, RunPython, SeparateDatabaseAndState
from django.db.migrations.exceptions import CircularDependencyError
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from rehome.errors import Refused
from rehome.graph import leaving
from rehome.graph.discovery import Key
from rehome.graph.drafting import adopting, states
from rehome.graph.drafting.loading import Loader, detect, leaf, next_number
from rehome.graph.drafting.pairs import Pair, proxies_of
from rehome.graph.drafting.refusals import user_model
from rehome.graph.drafting.writing import File
from rehome.graph.relations import has_parent_link, related, relations_of
from rehome.move import Move

Drafted = Any
"""A Migration; Django's stubs say that its operations and dependencies are those of its class."""


@dataclasses.dataclass(frozen=True)
class Kinds:
    """Rehome's own operations, which are above this package."""

    adopt: Callable[[CreateModel], Operation]
    names_aside: Callable[[str, list[str]], Operation]
    rebase: Callable[..., Operation]
    relabel: Callable[[str, str], Operation]
    repoint: Callable[[Operation], Operation]
    """Makes one of an AlterField that changes what a foreign key points at."""


class Stages:
    """Collects the migrations, each stage after those before."""

    def __init__(
        self,
        loader: Loader,
        code: ProjectState,
        pairs: Sequence[Pair],
        ordered: Sequence[Pair],
        kinds: Kinds,
        *,
        extras: Collection[Key] = (),
        name: str | None = None,
        state_only: bool = False,
    ) -> None:
        self.loader = loader
        self.code = code
        self.pairs = pairs
        self.ordered = ordered
        self.kinds = kinds
        self.extras = extras
        self.name = name
        self.state_only = state_only
        self.ends = {pair.source: pair.target_label for pair in pairs}
        self.state: ProjectState = loader.project_state()
        self.states_created = self.state
        """With the targets as they are when the rows come."""
        self.written: list[Migration] = []
        self.moves: list[Key] = [pair.moved_by for pair in pairs if pair.moved_by]
        """What rows have come with, and labels: every later stage depends on them."""
        self.edited: list[File] = []
        """Migrations that are there, with another text."""
        self.settings: list[str] = []
        """What a person has to know of AUTH_USER_MODEL, in sentences."""
        self.followed: list[Key] = []
        """What was rebased and re-pointed."""

    def add(self, migrations: Iterable[Migration]) -> list[Key]:
        added = list(migrations)
        self.written += added
        self.loader = self.loader.with_(added)
        return [(migration.app_label, migration.name) for migration in added]

    # ----- 1: the targets

    def create(self, names: dict[str, list[str]]) -> None:
        """Each target, and before it the old table lets go of `names`, by the label of its model."""
        if self.state_only and (user := user_model(self.pairs)):
            self.adopt(user)
        wanted = states.with_targets(self.state, self.code, self.pairs, self.ordered, self.extras)
        begun = {pair.target[0] for pair in self.pairs}
        created: list[Drafted] = detect(self.loader, self.state, wanted, begun)
        for migration in created:
            self.prepare(migration, names)
        added = self.add(created)
        if self.state_only:
            self.moves += [key for key in added if key[0] in begun]
        self.state = self.states_created = self.loader.project_state()

    def prepare(self, migration: Drafted, names: dict[str, list[str]]) -> None:
        made = {
            (migration.app_label, operation.name_lower)
            for operation in migration.operations
            if isinstance(operation, CreateModel)
        }
        pairs = [pair for pair in self.pairs if pair.target in made]
        if self.state_only:
            self.pin(migration, pairs)
        aside = [
            self.kinds.names_aside(p.source_label, names[p.source_label]) for p in pairs if p.source_label in names
        ]
        migration.operations = [*aside, *migration.operations]
        if aside or (self.state_only and pairs):
            self.depend(migration, *(self.leaf(pair.source[0]) for pair in pairs))

    def pin(self, migration: Drafted, pairs: list[Pair]) -> None:
        """The table is there: only what Django knows changes, and whom the content type belongs to."""
        if pairs:
            targets = {pair.target for pair in self.pairs}
            pinned = [part for part in migration.operations if (migration.app_label, changed_by(part)) in targets]
            others = [part for part in migration.operations if part not in pinned]
            relabelled = [self.kinds.relabel(pair.source_label, pair.target_label) for pair in pairs]
            migration.operations = [SeparateDatabaseAndState(state_operations=pinned), *others, *relabelled]

    def adopt(self, pair: Pair) -> None:
        """The user model is there before every migration that says settings.AUTH_USER_MODEL; its labels come at the
        end of all others.
        """
        wanted = states.with_user_model(self.state, self.code)
        found: list[Drafted] = detect(self.loader, self.state, wanted, {pair.target[0]})
        migration = adopting.first_of_all(found, pair, self.loader, self.kinds.adopt)
        try:
            self.add([migration])
        except CircularDependencyError as error:
            raise Refused(*adopting.circle(pair, migration)) from error
        self.state = self.loader.project_state()
        relabelling = self.migration(pair.target[0], f"relabel_{pair.target[1]}")
        relabelling.operations = [self.kinds.relabel(pair.source_label, pair.target_label)]
        self.depend(relabelling, self.leaf(pair.source[0]))
        self.moves += self.add([relabelling])
        self.edited = adopting.without_table(pair, self.loader)
        self.settings.append(adopting.told(pair, migration, wanted))

    # ----- 2: the rows, and the labels of what has none

    def move(self, needed: dict[Pair, list[Key]]) -> dict[Pair, Migration]:
        """A migration for each model that no migration moves; `needed` are the earlier moves that each must follow."""
        made: dict[Pair, Migration] = {}
        for pair in self.ordered:
            if pair.moved_by is None:
                migration = self.migration(pair.target[0], self.name or f"migrate_{pair.target[1]}_data")
                move = Move(pair.source_label, pair.target_label)
                migration.operations = [RunPython(move.forwards, move.backwards)]
                migration.atomic = False
                pointing = [self.leaf(app) for app in self.apps_pointing_at(pair.source)]
                self.depend(migration, *needed.get(pair, ()), *self.moves, self.leaf(pair.source[0]))
                self.depend_anew(migration, pointing)
                self.moves += self.add([migration])
                made[pair] = migration
        return made

    def relabel(self) -> None:
        """The proxies that went along."""
        for app_label in sorted({pair.target[0] for pair in self.pairs if pair.proxy}):
            pairs = [pair for pair in self.pairs if pair.proxy and pair.target[0] == app_label]
            name = pairs[0].target[1] if len(pairs) == 1 else "proxies"
            migration = self.migration(app_label, f"relabel_{name}")
            migration.operations = [self.kinds.relabel(pair.source_label, pair.target_label) for pair in pairs]
            self.depend(migration, *self.moves, *(self.leaf(pair.source[0]) for pair in pairs))
            self.moves += self.add([migration])

    # ----- 3: what inherits

    def rebase(self) -> None:
        wanted = states.with_bases(self.state, self.code, self.ends)
        rebased = states.rebased(self.state, self.code, self.ends)
        for app_label in sorted({key[0] for key in rebased}):
            keys = [key for key in rebased if key[0] == app_label]
            names = [key[1] for key in keys]
            migration = self.migration(app_label, f"rebase_{names[0] if len(names) == 1 else 'models'}")
            migration.operations = [self.rebase_of(key, wanted) for key in keys]
            migration.atomic = False
            self.depend(migration, *self.moves)
            self.depend_anew(migration, [self.leaf(app) for key in keys for app in self.apps_pointing_at(key)])
            self.followed += self.add([migration])
        self.state = self.loader.project_state()

    def rebase_of(self, key: Key, wanted: ProjectState) -> Operation:
        model = wanted.models[key]
        changed = self.state.models[key].fields
        links = [(n, f) for n, f in relations_of(model) if has_parent_link(f) and f is not changed[n]]
        return self.kinds.rebase(model.name, model.bases, *links)

    # ----- 4: what points at it

    def repoint(self) -> None:
        wanted = states.with_relations(self.state, self.code, self.ends)
        found: list[Drafted] = detect(self.loader, self.state, wanted)
        found += self.repoint_unmanaged(wanted, found)
        for migration in found:
            self.depend(migration, *self.moves, *(key for key in self.followed if key[0] == migration.app_label))
            if not self.state_only:
                altered = migration.operations
                migration.operations = list(map(self.kinds.repoint, altered))
                # An operation of rehome commits between its steps, so that nobody waits.
                migration.atomic = all(map(operator.is_, altered, migration.operations))
        self.followed += self.add(found)
        self.state = self.loader.project_state()

    def repoint_unmanaged(self, wanted: ProjectState, found: list[Migration]) -> list[Migration]:
        """Of models whose tables are not Django's, which the autodetector does not look at."""
        made: dict[str, Drafted] = {migration.app_label: migration for migration in found}
        extra: list[Drafted] = []
        for key, model in wanted.models.items():
            before = self.state.models[key].fields
            if model.options.get("managed", True):
                continue
            for name, field in relations_of(model):
                if field is not before[name] and related(field, model) != related(before[name], self.state.models[key]):
                    if key[0] not in made:
                        made[key[0]] = self.migration(key[0], f"alter_{key[1]}_{name}")
                        extra.append(made[key[0]])
                    made[key[0]].operations.append(AlterField(model.name.lower(), name, field))
        return extra

    # ----- 5: the end of the old class

    def forget(self) -> None:
        wanted = states.without_sources(self.state, self.pairs)
        found: list[Drafted] = detect(self.loader, self.state, wanted)
        renamed = {}
        for migration in found:
            before = migration.app_label, migration.name
            migration.operations = without_parts(migration.operations)
            migration.name = f"{migration.name[:4]}_{migration.suggest_name()[:100]}"
            renamed[before] = migration.app_label, migration.name
        for migration in found:
            migration.dependencies = [renamed.get(key, key) for key in migration.dependencies]
            migration.operations = [SeparateDatabaseAndState(state_operations=migration.operations)]
            forgotten = {pair.source for pair in self.pairs if pair.cut and pair.source[0] == migration.app_label}
            left = leaving.find_last(forgotten, self.loader).values()
            self.depend_anew(migration, [*self.followed[::-1], *self.moves[::-1], *left])
        self.add(found)

    # ----- migrations

    def migration(self, app_label: str, name: str) -> Drafted:
        migration: Drafted = Migration(f"{next_number(self.loader, app_label):04}_{name}", app_label)
        migration.operations = []
        migration.dependencies = []
        self.depend(migration, self.leaf(app_label))
        return migration

    def leaf(self, app_label: str) -> Key | None:
        return leaf(self.loader, app_label)

    def depend(self, migration: Drafted, *keys: Key | None) -> None:
        """Each once; what is not there yet has nothing to depend on."""
        for key in keys:
            if key and key not in migration.dependencies and key != (migration.app_label, migration.name):
                migration.dependencies.append(key)

    def depend_anew(self, migration: Drafted, keys: Iterable[Key | None]) -> None:
        """Those alone that no dependency stands behind yet."""
        graph = self.loader.graph
        for key in keys:
            behind = (before for known in migration.dependencies if known in graph.nodes
                      for before in graph.forwards_plan(known))  # fmt: skip
            if key not in behind:
                self.depend(migration, key)

    def apps_pointing_at(self, key: Key) -> list[str]:
        """Apps with a foreign key to a model or to a proxy of it, whose tables must be there before."""
        family = {key, *((proxy.app_label, proxy.name_lower) for proxy in proxies_of(key, self.state))}
        return sorted(
            {
                model.app_label
                for model in self.state.models.values()
                for _, field in relations_of(model)
                if family & set(related(field, model))
            }
        )


def without_parts(operations: Sequence[Operation]) -> list[Operation]:
    """Without what is taken off a model that is deleted with it: no table has to lose its columns first."""
    deleted = {operation.name_lower for operation in operations if isinstance(operation, DeleteModel)}
    return [part for part in operations if isinstance(part, DeleteModel) or changed_by(part) not in deleted]


def changed_by(operation: Operation) -> str:
    """The model that an operation creates or changes."""
    return str(getattr(operation, "model_name_lower", None) or getattr(operation, "name_lower", ""))
