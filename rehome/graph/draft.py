"""Draft: the migration that a new move needs, worked out from the migration graph alone; reads no database."""

import dataclasses
import keyword
import textwrap
from collections.abc import Iterator
from typing import Any

from django.apps import apps as installed
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from rehome.errors import Refused
from rehome.graph.discovery import Key, find_moves
from rehome.plan.historical import concrete_fields, implicit_many_to_many, repointed, with_rows
from rehome.plan.plan import Model

WIDTH = 88
"""A line up to here stays whole; formatters of any common width leave it so."""


@dataclasses.dataclass(frozen=True)
class Draft:
    app_label: str
    name: str
    source: str
    target: str
    dependencies: tuple[Key, ...]
    questions: tuple[str, ...]
    """What nobody but the author of the move can decide; until then it refuses to run."""

    @property
    def migration(self) -> Migration:
        return Migration(self.name, self.app_label)

    def as_text(self) -> str:
        """The migration as Python, formatted."""
        variable = self.target.partition(".")[2].lower()
        if keyword.iskeyword(variable) or variable == "migrations":
            variable += "_"
        dependencies = [f'("{app_label}", "{name}")' for app_label, name in self.dependencies]
        return TEMPLATE.format(
            questions=as_comment(self.questions),
            move=whole_or_exploded(f"{variable} = Move(", [f'"{self.source}"', f'"{self.target}"'], ")"),
            dependencies=whole_or_exploded("    dependencies = [", dependencies, "]"),
            variable=variable,
        )


TEMPLATE = """\
from django.db import migrations

from rehome import Move

{questions}{move}


class Migration(migrations.Migration):
    atomic = False  # rehome opens its own transactions
{dependencies}
    operations = [migrations.RunPython({variable}.forwards, {variable}.backwards)]
"""


def as_comment(questions: tuple[str, ...]) -> str:
    """Bullets above the declaration, or nothing."""
    wrapper = textwrap.TextWrapper(
        WIDTH, initial_indent="# - ", subsequent_indent="#   ", break_long_words=False, break_on_hyphens=False
    )
    bullets = "".join(f"{wrapper.fill(question)}\n" for question in questions)
    return f"# Decide before this can run:\n{bullets}" if bullets else ""


def whole_or_exploded(begin: str, parts: list[str], end: str) -> str:
    line = f"{begin}{', '.join(parts)}{end}"
    if len(line) <= WIDTH:
        return line
    indent = " " * (len(begin) - len(begin.lstrip()))
    return "\n".join([begin, *(f"{indent}    {part}," for part in parts), f"{indent}{end}"])


def make_draft(source: str, target: str, loader: MigrationLoader, *, name: str | None = None) -> Draft:
    """Draft the move of `source` to `target`, which are model labels in any case.

    Raises Refused when the migrations don't know the models, or know the move already.
    """
    state = loader.project_state()
    source_model, target_model = find_model(source, state), find_model(target, state)
    if source_model is target_model:
        raise Refused(f"{source} and {target} are one model.", "Name the model of the other app as the target.")
    moves = {move.move.resolve_labels(): move.key for move in find_moves(loader)}
    pair = label_of(source_model), label_of(target_model)
    if pair in moves:
        raise Refused(
            f"{'.'.join(moves[pair])} moves {source_model._meta.label} to {target_model._meta.label} already.",
            "Change that migration if it has not run yet.",
        )
    app_label = target_model._meta.app_label
    (leaf,) = loader.graph.leaf_nodes(app_label)
    (source_leaf,) = loader.graph.leaf_nodes(source_model._meta.app_label)
    known = set(loader.graph.forwards_plan(leaf))
    needed = [key for key in needed_moves(source_model, target_model, moves) if key not in known]
    number = (MigrationAutodetector.parse_number(leaf[1]) or 0) + 1
    return Draft(
        app_label=app_label,
        name=f"{number:04}_{name or f'migrate_{target_model._meta.model_name}_data'}",
        source=source_model._meta.label,
        target=target_model._meta.label,
        dependencies=tuple(dict.fromkeys([leaf, *needed, source_leaf])),
        questions=tuple(find_questions(source_model, target_model)),
    )


def find_model(label: str, state: ProjectState) -> Model:
    """The model as the newest migration leaves it."""
    app_label, _, model = label.lower().partition(".")
    for known_app, known_model in state.models:
        if (known_app.lower(), known_model) == (app_label, model):
            return with_rows(state.apps.get_model(known_app, known_model))
    known = sorted(state.models[key].name for key in state.models if key[0].lower() == app_label)
    if any(m._meta.label_lower == label.lower() for m in installed.get_models()):
        raise Refused(f"No migration creates {label!r}.", f"Run `manage.py makemigrations {app_label}` first.")
    raise Refused(
        f"{label!r} is no model that the migrations know.",
        f"Those of {app_label!r} are: {', '.join(known)}." if known else "Write it as app_label.ModelName.",
    )


def label_of(model: Model) -> Key:
    return model._meta.app_label, str(model._meta.model_name)


def needed_moves(source: Model, target: Model, moves: dict[tuple[Key, Key], Key]) -> Iterator[Key]:
    """Migrations of the moves that must come first, because a relation of the target leads to their target."""
    theirs, ours = relations(source), relations(target)
    for field, before, after in repointed((theirs[name], ours[name]) for name in ours if name in theirs):
        if (before, after) == (source, target):
            continue
        if (label_of(before), label_of(after)) not in moves:
            raise Refused(
                f"{target._meta.label}.{field.name} points at {after._meta.label}, but no migration moves "
                f"{before._meta.label} there.",
                f"Run `manage.py makemove {before._meta.label} {after._meta.label}` first.",
            )
        yield moves[label_of(before), label_of(after)]


def relations(model: Model) -> dict[str, Any]:
    fields = [field for field in concrete_fields(model).values() if field.remote_field]
    return {field.name: field for field in [*fields, *implicit_many_to_many(model)]}


def find_questions(source: Model, target: Model) -> Iterator[str]:
    """Fields without a counterpart of the same name that the move can't fill or leave by itself."""
    theirs = {**concrete_fields(source), **relations(source)}
    ours = {**concrete_fields(target), **relations(target)}
    for name, field in theirs.items():
        if name not in ours and not getattr(field, "generated", False):
            yield (
                f"{source._meta.label}.{name} has no counterpart: "
                f'fields={{"...": "{name}"}} carries it, discard=["{name}"] loses it.'
            )
    for name, field in concrete_fields(target).items():
        fills_itself = field.null or field.has_default() or field.has_db_default() or field.generated
        if name not in theirs and not fills_itself:
            yield (
                f'{target._meta.label}.{name} may not be null and has no default: fields={{"{name}": ...}} fills it.'
            )
