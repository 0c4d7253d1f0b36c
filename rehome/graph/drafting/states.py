"""The states that the models go through, from those of the migrations to those of the code."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from rehome.errors import Refused
from rehome.graph.comparable import comparable
from rehome.graph.discovery import Key
from rehome.graph.drafting.pairs import Pair, key_of, label_of
from rehome.graph.relations import (
    Ends,
    bases_led_to,
    bases_of,
    has_parent_link,
    key_of_label,
    led_to,
    related,
    relations_of,
)


def with_targets(
    before: ProjectState, code: ProjectState, pairs: Sequence[Pair], ordered: Sequence[Pair], extras: Collection[Key]
) -> ProjectState:
    """The targets are there. What one points at that moves after it is the old model still: its rows come later."""
    state = renewed(before)
    for pair in pairs:
        if pair.target not in state.models:
            add(state, begin(code.models[pair.target].clone(), pair, ordered))
        if not pair.cut:
            for name, field in edited_in_python_alone(before.models[pair.source], code.models[pair.source]):
                state.models[pair.source].fields[name] = field
    for key in extras:
        add(state, code.models[key].clone())
    return state


def with_user_model(state: ProjectState, code: ProjectState) -> ProjectState:
    """With the model that AUTH_USER_MODEL names, as it is in the code where the migrations do not have it yet."""
    key = key_of_label(settings.AUTH_USER_MODEL)
    if key in state.models or key not in code.models:
        return state
    state = renewed(state)
    add(state, code.models[key].clone())
    return state


def begin(target: ModelState, pair: Pair, ordered: Sequence[Pair]) -> ModelState:
    later = ordered[ordered.index(pair) + 1 :] if pair in ordered else []
    ends = {other.target: other.source_label for other in later}
    for name, field in relations_of(target):
        # No table has a column for the model between two.
        of_columns = {key: label for key, label in ends.items() if key in related(field, target)[:1]}
        target.fields[name] = led_to(field, target, of_columns)
    return target


def edited_in_python_alone(before: ModelState, code: ModelState) -> Iterator[tuple[str, Any]]:
    """Fields of a class that stays, of which only what no database knows was changed, such as `related_name`."""
    for name, field in code.fields.items():
        if name in before.fields and not differ(before.fields[name], field):
            yield name, field


def differ(one: Any, other: Any) -> set[str]:
    """Arguments in which two fields differ that a database knows."""
    (path, args, kwargs), (other_path, other_args, other_kwargs) = comparable(one), comparable(other)
    if (path, args) != (other_path, other_args):
        return {"class"}
    changed = {name for name in kwargs.keys() | other_kwargs.keys() if kwargs.get(name) != other_kwargs.get(name)}
    return changed - {*one.non_db_attrs, *OF_PYTHON} | changed & {"db_column"}


OF_PYTHON = {"default", "upload_to", "storage", "encoder", "decoder"}
"""Arguments that no database knows either. A function goes along with the class and is another one there."""


def with_bases(state: ProjectState, code: ProjectState, ends: Ends) -> ProjectState:
    """What inherits from a source, and from its target in the code, does so."""
    state = renewed(state)
    for key in rebased(state, code, ends):
        model = state.models[key]
        model.bases = bases_led_to(model, ends)
        for name, field in relations_of(model):
            if has_parent_link(field):
                led, there = led_to(field, model, ends), code.models[key].fields.get(name)
                # One that is written out, since the parent has another name, was made by Django before.
                model.fields[name] = there if there and differ(led, there) == {"auto_created"} else led
    return state


def rebased(state: ProjectState, code: ProjectState, ends: Ends) -> list[Key]:
    """Those models, in the order in which one inherits from the other."""
    return [
        key
        for key, model in state.models.items()
        if key in code.models
        and any(base in ends and key_of_label(ends[base]) in bases_of(code.models[key]) for base in bases_of(model))
    ]


def refuse_other_links(state: ProjectState, code: ProjectState, ends: Ends) -> None:
    """Django calls the link of a child after its parent, and its column has that name, also for old code."""
    for key in rebased(state, code, ends):
        before, after = state.models[key], code.models[key]
        links = {name for name, field in relations_of(after) if has_parent_link(field)}
        for name, field in relations_of(before):
            if has_parent_link(field) and name not in links and (end := related(field, before)[0]) in ends:
                raise Refused(
                    f"{label_of(after)} inherits from {ends[end]}, and its link to the parent is not called {name} any "
                    "more, as its column is.",
                    f"Write the line `{name} = models.OneToOneField({ends[end]!r}, models.CASCADE, parent_link=True, "
                    f"primary_key=True)` into {label_of(after)}, and run this command again.",
                )


def with_relations(state: ProjectState, code: ProjectState, ends: Ends) -> ProjectState:
    """What points at a source, and at its target in the code, does so; the sources themselves stay as they are."""
    state = renewed(state)
    for key, model in state.models.items():
        if key not in code.models:
            continue
        for name, field in list(relations_of(model)):
            there = code.models[key].fields.get(name)
            wanted = set(related(there, code.models[key])) if there else set()
            kept = {
                end: ends[end] for end in related(field, model) if end in ends and key_of_label(ends[end]) in wanted
            }
            model.fields[name] = led_to(field, model, kept)
    return state


def without_sources(state: ProjectState, pairs: Sequence[Pair]) -> ProjectState:
    state = renewed(state)
    for pair in pairs:
        if pair.cut:
            del state.models[pair.source]
    return state


def add(state: ProjectState, model: ModelState) -> None:
    state.models[key_of(model)] = model


def renewed(state: ProjectState) -> ProjectState:
    """A copy without what Django has worked out, for it has no way to change bases."""
    return ProjectState({key: model.clone() for key, model in state.models.items()}, state.real_apps)


# ----- what does not belong to the move


def refuse_left_behind(code: ProjectState, pairs: Sequence[Pair]) -> None:
    """A class that still names a class that is gone."""
    gone = {pair.source: pair for pair in pairs if pair.cut}
    for model in code.models.values():
        for name, field in relations_of(model):
            for key in related(field, model):
                if key in gone:
                    raise Refused(
                        f"{label_of(model)}.{name} points at {gone[key].source_label}, which is not in the code any "
                        "more.",
                        f'Write "{gone[key].target_label}" there.',
                    )


def said(app_label: str, operation: Operation) -> str:
    return f"{app_label}: {operation.describe()}"
