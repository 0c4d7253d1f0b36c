"""Draft: every file that a move needs, what they replace, and what else a person should know."""

import dataclasses
import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from django.apps import apps as installed
from django.apps.registry import Apps
from django.db.migrations import CreateModel, DeleteModel, Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from rehome.errors import Refused
from rehome.graph.discovery import Key, find_moves
from rehome.graph.drafting import clashes, companions, mentions, refusals, state_only, states
from rehome.graph.drafting.layout import text_of
from rehome.graph.drafting.loading import Loader, code_state
from rehome.graph.drafting.move import find_questions, move_text
from rehome.graph.drafting.pairs import (
    Pair,
    find_state,
    in_order,
    is_proxy,
    key_of,
    label_of,
    make_pair,
    moved_proxies,
    refuse_one_model,
)
from rehome.graph.drafting.replaced import Finder
from rehome.graph.drafting.stages import Kinds, Stages
from rehome.graph.drafting.writing import File
from rehome.graph.relations import bases_of, key_of_label, related, relations_of
from rehome.graph.row_locks import RowLock
from rehome.plan.historical import with_rows

Labels = Sequence[tuple[str, str]]
"""Of each source and its target, in any case."""


@dataclasses.dataclass(frozen=True)
class Options:
    name: str | None = None
    """Of the migrations that move rows, without their numbers."""
    state_only: bool = False


@dataclasses.dataclass(frozen=True)
class Draft:
    migrations: tuple[Migration, ...]
    files: tuple[File, ...]
    """One for each migration, in the order in which they run."""
    edited: tuple[File, ...]
    """Migrations that are there, with the text that they get."""
    replaced: tuple[Path, ...]
    assumed: tuple[str, ...]
    """What is not known of a database that can't be asked."""
    questions: tuple[str, ...]
    """What nobody but the author of the move can decide; until then it refuses to run."""
    advice: tuple[str, ...]
    """Each place because of which `in_place=True` is recommended."""
    notes: tuple[str, ...]
    """What else goes along or names the old model, each with what to do."""


def make_draft(labels: Labels, kinds: Kinds, options: Options = Options(), row_locks: Iterable[RowLock] = ()) -> Draft:  # noqa: B008
    """Reads the code and the migrations, and a database only to learn whether it has applied what is replaced.

    Raises Refused, and writes nothing in any case.
    """
    return Drafting(labels, kinds, options, list(row_locks)).draft()


class Drafting:
    def __init__(self, labels: Labels, kinds: Kinds, options: Options, row_locks: Sequence[RowLock]) -> None:
        self.kinds = kinds
        self.options = options
        self.row_locks = row_locks
        self.command = command_of(labels, options)
        self.code = code_state()
        whole = Loader()
        refusals.refuse_conflicts(whole)
        self.moved = {move.move.resolve_labels(): move.key for move in find_moves(whole)}
        named = [self.name_pair(*pair, whole) for pair in labels]
        refuse_twice(named)
        along = [self.as_named(proxy) for proxy in named_proxies(named, whole, self.code)]
        self.replaced = Finder(whole, self.code, [*named, *along]).find()
        self.loader = Loader(self.replaced.keys)
        self.before: ProjectState = self.loader.project_state()
        self.pairs = [self.find_pair(*pair) for pair in labels]
        known = {pair.source for pair in self.pairs}
        self.pairs += [p for p in moved_proxies(self.pairs, self.before, self.code) if p.source not in known]

    def name_pair(self, source: str, target: str, loader: MigrationLoader) -> Pair:
        """By what the code and the labels say alone, for the old model may be deleted in the migrations."""
        refuse_one_model(source, target)
        there = self.find_target(target, source, loader)
        app_label, _, name = source.partition(".")
        app_label = next(
            (c.label for c in installed.get_app_configs() if c.label.lower() == app_label.lower()), app_label
        )
        for app in (app_label, there.app_label):
            refusals.refuse_unmigrated(loader, app)
        here = ModelState(app_label, name, [])
        return make_pair(here, there, self.code, self.moved.get((key_of(here), key_of(there))))

    def find_target(self, label: str, source: str, loader: MigrationLoader) -> ModelState:
        found = find_state(label, self.code)
        if found is None:
            app_label = label.partition(".")[0]
            known = sorted(
                model.name for model in self.code.models.values() if model.app_label.lower() == app_label.lower()
            )
            raise Refused(
                f"{label!r} is no model of the code.",
                f"Put the class of {source!r} into {app_label!r} first"
                + (f", which has {', '.join(known)}." if known else ", and the app into INSTALLED_APPS."),
            )
        return found

    def find_pair(self, source: str, target: str) -> Pair:
        here, there = find_state(source, self.before), find_state(target, self.code)
        assert there is not None  # noqa: S101  It was found before.
        if here is None:
            if (moved_by := self.moved.get((key_of_label(source.lower()), key_of(there)))) is not None:
                place = ".".join(moved_by)
                raise Refused(f"{place} moves {source} to {target} already.", "Nothing is left to write.")
            raise Refused(*self.unknown(source))
        return make_pair(here, there, self.code, self.moved.get((key_of(here), key_of(there))))

    def unknown(self, label: str) -> tuple[str, str]:
        app_label = label.lower().partition(".")[0]
        if any(model._meta.label_lower == label.lower() for model in installed.get_models()):
            return f"No migration creates {label!r}.", f"Run `manage.py makemigrations {app_label}` first."
        known = sorted(model.name for model in self.before.models.values() if model.app_label.lower() == app_label)
        return (
            f"{label!r} is no model that the migrations know.",
            f"Those of {app_label!r} are: {', '.join(known)}." if known else "Write it as app_label.ModelName.",
        )

    def as_named(self, proxy: tuple[ModelState, ModelState]) -> Pair:
        return make_pair(*proxy, self.code)

    @functools.cached_property
    def apps_before(self) -> Apps:
        """A setting may name a model that no migration creates yet."""
        return states.with_user_model(self.before, self.code).apps

    # ----- refusals

    def check(self) -> None:
        """Whatever can be said before the stages are worked out."""
        for pair in self.pairs:
            if pair.proxy:
                self.refuse_proxy(pair)
            refusals.refuse_conditional(pair)
        if self.options.state_only:
            refusals.refuse_beside_user_model(self.pairs, self.before)
        else:
            refusals.refuse_user_model(self.pairs, self.command)
        if along := companions.gone_along(self.pairs, self.before, self.code):
            raise Refused(
                f"Other models have left their app as well: {', '.join(pair.partition(' ')[0] for pair in along)}.",
                f"Move them in the same call: `{self.command} {' '.join(along)}`.",
            )
        companions.refuse_untranslated(self.pairs, self.before, self.code)
        states.refuse_left_behind(self.code, self.pairs)
        states.refuse_other_links(self.before, self.code, {pair.source: pair.target_label for pair in self.pairs})
        if self.options.state_only:
            state_only.refuse_changes(self.pairs, self.before, self.apps_before, self.code)
        else:
            clashes.refuse_clashes(self.pairs, self.command)

    def refuse_proxy(self, pair: Pair) -> None:
        """One that is moved without the model whose rows it shows."""
        moved = {other.source for other in self.pairs if other.has_rows}
        model = self.before.models[pair.source]
        while is_proxy(model):
            model = self.before.models[bases_of(model)[0]]
        if key_of(model) not in moved:
            with_rows(self.apps_before.get_model(*pair.source))

    def needed(self, pair: Pair) -> list[Key]:
        """The migrations of moves that must come first, because a relation of the target leads to their target."""
        source, target = self.before.models[pair.source], self.code.models[pair.target]
        ends = {(other.source, other.target) for other in self.pairs}
        found = []
        for name, field in relations_of(target):
            if name not in source.fields:
                continue
            for before, after in zip(related(source.fields[name], source), related(field, target), strict=False):
                if before == after or (before, after) in ends:
                    continue
                if (before, after) not in self.moved:
                    raise Refused(*self.lacking(target, name, before, after))
                found.append(self.moved[before, after])
        return found

    def lacking(self, target: ModelState, field: str, before: Key, after: Key) -> tuple[str, str]:
        here, there = (state_label(key, self.before, self.code) for key in (before, after))
        return (
            f"{label_of(target)}.{field} points at {there}, but no migration moves {here} there.",
            f"Move both in one call: `{self.command} {here} {there}`.",
        )

    # ----- the draft

    def draft(self) -> Draft:
        self.check()
        ordered = in_order(self.pairs, self.code)
        needed = {} if self.options.state_only else {pair: self.needed(pair) for pair in ordered}
        stages = Stages(
            self.loader, self.code, self.pairs, ordered, self.kinds,
            extras=self.replaced.created, name=self.options.name, state_only=self.options.state_only,
        )  # fmt: skip
        moves = self.run(stages, needed)
        self.refuse_foreign(stages.loader)
        if not stages.written:
            raise Refused(*self.nothing_left())
        return self.finish(stages, moves)

    def run(self, stages: Stages, needed: dict[Pair, list[Key]]) -> dict[Pair, Migration]:
        aside = {} if self.options.state_only else clashes.names_aside(self.pairs, self.before, self.code)
        stages.create(aside)
        moves: dict[Pair, Migration] = {}
        if not self.options.state_only:
            clashes.refuse_tables(self.pairs, self.before, stages.state, self.command)
            moves = stages.move(needed)
            stages.relabel()
        stages.rebase()
        stages.repoint()
        stages.forget()
        return moves

    def refuse_foreign(self, loader: Loader) -> None:
        if found := refusals.unwritten(loader, self.code):
            renamed = (
                "If a model of these has moved under another name, add both to this command. "
                if any(isinstance(operation, DeleteModel) for _, operation in found)
                else ""
            )
            raise Refused(
                "The code has changes that are in no migration and do not belong to the move: "
                f"{'; '.join(states.said(*one) for one in found)}.",
                f"{renamed}Undo them, run `{self.command}`, and make them again afterwards with `manage.py "
                "makemigrations`.",
            )

    def nothing_left(self) -> tuple[str, str]:
        pair = self.pairs[0]
        place = ".".join(pair.moved_by) if pair.moved_by else "Another migration"
        return (
            f"{place} moves {pair} already.",
            "Change that migration if it has not run yet." if not pair.cut else "Nothing is left to write.",
        )

    def finish(self, stages: Stages, moves: dict[Pair, Migration]) -> Draft:
        for file in stages.edited:
            refusals.refuse_foreign_folder(self.pairs[0].source[0], file.path)
        pairs = {id(migration): pair for pair, migration in moves.items()}
        questions, advice, files = [], [], []
        before, after = self.apps_before, stages.states_created.apps
        for migration in stages.written:
            path = Path(MigrationWriter(migration).path)
            refusals.refuse_foreign_folder(migration.app_label, path)
            pair = pairs.get(id(migration))
            if pair is None:
                files.append(File(path, text_of(migration)))
                continue
            source, target = before.get_model(*pair.source), after.get_model(*pair.target)
            asked = list(find_questions(source, target))
            locks = [str(lock) for lock in self.row_locks if lock.concerns(source, target)]
            files.append(File(path, move_text(migration, pair, asked, locks)))
            questions += asked
            advice += locks
        return Draft(
            migrations=tuple(stages.written),
            files=tuple(files),
            edited=tuple(stages.edited),
            replaced=tuple(sorted(path_of(migration) for migration in self.replaced.migrations)),
            assumed=self.replaced.assumed,
            questions=tuple(questions),
            advice=tuple(dict.fromkeys(advice)),
            notes=tuple(self.notes(stages)),
        )

    def notes(self, stages: Stages) -> Iterator[str]:
        final = stages.loader.project_state()
        yield from stages.settings
        yield from companions.find(self.pairs, self.before, self.code)
        yield from companions.pointing([pair for pair in self.pairs if pair.has_rows], final)
        yield from companions.unmigrated(self.pairs, self.code, self.loader.unmigrated_apps)
        yield from mentions.find(self.pairs)


def command_of(labels: Labels, options: Options) -> str:
    """As it was typed, so that further labels can follow."""
    given = [*(["--state-only"] if options.state_only else []), *(["--name", options.name] if options.name else [])]
    return " ".join(["manage.py makemove", *given, *(label for pair in labels for label in pair)])


def refuse_twice(pairs: Sequence[Pair]) -> None:
    for one, other in ((a, b) for number, a in enumerate(pairs) for b in pairs[:number]):
        if {one.source, one.target} & {other.source, other.target}:
            raise Refused(f"{one} and {other} share a model.", "Name each model once.")


def named_proxies(
    pairs: Sequence[Pair], loader: MigrationLoader, code: ProjectState
) -> Iterator[tuple[ModelState, ModelState]]:
    """Proxies that went along, by every migration that has created one, for it may be deleted in later ones."""
    created = {
        (app_label, operation.name_lower): operation
        for (app_label, _), migration in loader.graph.nodes.items()
        for operation in (migration.operations if migration else ())
        if isinstance(operation, CreateModel) and operation.options.get("proxy")
    }
    for pair in pairs:
        family = {pair.source}
        while found := {key for key, operation in created.items() if family & bases(operation)} - family:
            family |= found
        for key in sorted(family - {pair.source}):
            there = code.models.get((pair.target[0], key[1]))
            if key not in code.models and there and is_proxy(there):
                yield ModelState(key[0], created[key].name, [], {"proxy": True}), there


def bases(created: CreateModel) -> set[Key]:
    return {key_of_label(base) for base in created.bases or () if isinstance(base, str)}


def state_label(key: Key, *known: ProjectState) -> str:
    return next((label_of(state.models[key]) for state in known if key in state.models), ".".join(key))


def path_of(migration: Migration) -> Path:
    return Path(inspect.getfile(type(migration)))
