"""What the fields and bases of a model's state lead to, and the same with other ends."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.migrations.state import ModelState
from django.db.migrations.utils import resolve_relation

from rehome.graph.discovery import Key

Ends = Mapping[Key, str]
"""By a model: the label of the one that takes its place."""


def related(field: Any, model: ModelState) -> list[Key]:
    """What a field points at: its model, and that of a many-to-many field between them."""
    remote = field.remote_field
    if remote is None or not remote.model:
        return []
    ends = [remote.model, getattr(remote, "through", None)]
    return [resolve_relation(end, model.app_label, model.name_lower) for end in ends if end]


def has_parent_link(field: Any) -> bool:
    return bool(field.remote_field and getattr(field.remote_field, "parent_link", False))


def led_to(field: Any, model: ModelState, ends: Ends) -> Any:
    """The same field, with other models where `ends` has such; itself where it has none of them."""
    changed = {
        # As a field deconstructs itself: a model in lower case, the one between two as it is called.
        name: ends[key] if name == "through" else lowered(ends[key])
        for name, key in zip(("to", "through"), related(field, model), strict=False)
        if key in ends
    }
    if not changed:
        return field
    _, _, args, kwargs = field.deconstruct()
    return type(field)(*args, **{**kwargs, **changed})


def lowered(label: str) -> str:
    return ".".join(key_of_label(label))


def relations_of(model: ModelState) -> Iterator[tuple[str, Any]]:
    return ((name, field) for name, field in model.fields.items() if related(field, model))


def bases_of(model: ModelState) -> list[Key]:
    """The models among its bases."""
    return [key_of_label(base) for base in model.bases if isinstance(base, str)]


def key_of_label(label: str) -> Key:
    app_label, _, name = label.partition(".")
    return app_label, name.lower()


def bases_led_to(model: ModelState, ends: Ends) -> tuple[Any, ...]:
    return tuple(
        lowered(ends[key_of_label(base)]) if isinstance(base, str) and key_of_label(base) in ends else base
        for base in model.bases
    )
