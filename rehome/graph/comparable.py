"""What a migration says, as plain values: two that say the same are equal. A field in another's arguments, as in those
of an ArrayField or a GeneratedField, is equal to itself alone.
"""

from types import FunctionType
from typing import Any

from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState


def comparable(value: Any) -> Any:
    return READER.deep_deconstruct(value)


def comparable_state(state: ProjectState) -> dict[tuple[str, str], Any]:
    return {key: comparable_model(model) for key, model in state.models.items()}


def comparable_model(model: ModelState) -> Any:
    """With bases and managers, which the autodetector does not look at."""
    fields = [(name, comparable(field)) for name, field in model.fields.items()]
    return model.name, fields, comparable(model.options), model.bases, model.managers


class Reader(MigrationAutodetector):
    """As Django compares two fields; a function that a file has, read twice, is one by its name."""

    def __init__(self) -> None:
        """Without states: what is compared is given to each call."""

    def deep_deconstruct(self, obj: Any) -> Any:
        if isinstance(obj, FunctionType):
            return obj.__module__, obj.__qualname__
        return super().deep_deconstruct(obj)


READER = Reader()
