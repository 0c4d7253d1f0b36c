"""Shape: what the migrations say of a model's table, read from their state; renders no model and reads no database."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import strip_quotes, truncate_name
from django.db.migrations.operations import RenameModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import resolve_relation

from rehome.graph.comparable import comparable
from rehome.plan.plan import Field

Label = tuple[str, str]
"""App label and lower-case name of a model, as in the state."""

ORDER = "_order"
"""The column that Django makes for `order_with_respect_to`."""


@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    type: str
    """As CREATE TABLE has it; empty where the state alone can't tell."""
    null: bool
    filled: bool
    """Whether the table gives a value to a row that has none."""
    primary_key: bool = False
    collation: str = ""
    generated: bool = False
    end: Label | None = None
    """The model that an enforced foreign key points at."""
    default: str = dataclasses.field(default="...", compare=False)
    """The field's default in Python, as one writes it."""
    various: bool = False
    """Whether the table gives another value to each row."""
    definition: Any = None
    """All that has a trace in the database."""


@dataclasses.dataclass(frozen=True)
class Join:
    """The table that Django makes for a many-to-many field."""

    table: str
    columns: tuple[str, str]
    end: Label


@dataclasses.dataclass(frozen=True)
class Restriction:
    """What keeps some rows out of a table."""

    kind: str
    fields: frozenset[str]
    said: str = ""
    """The definition of what is not over columns alone."""


@dataclasses.dataclass(frozen=True)
class Shape:
    label: Label
    name: str
    table: str
    columns: dict[str, Column]
    """By field, as in the other dictionaries."""
    joins: dict[str, Join]
    restrictions: frozenset[Restriction]
    others: Any
    """Indexes and the table's comment."""
    managed: bool = True
    """Whether migrations touch the table."""

    @property
    def key(self) -> frozenset[str]:
        return frozenset(column.name for column in self.columns.values() if column.primary_key)


def read_shape(state: ProjectState, label: Label, connection: BaseDatabaseWrapper) -> Shape | None:
    """None where there is no such model, or a proxy."""
    model = state.models.get(label)
    if model is None or model.options.get("proxy"):
        return None
    columns = dict(read_columns(model, state, connection))
    return Shape(
        label=label,
        name=model.name,
        table=table_of(model, connection),
        columns=columns,
        joins=dict(read_joins(model, connection)),
        restrictions=frozenset(read_restrictions(model)),
        others=(sorted(map(repr, model.options.get("indexes", []))), model.options.get("db_table_comment")),
        managed=is_managed(model),
    )


def is_managed(model: ModelState) -> bool:
    swapped = getattr(settings, model.options.get("swappable") or "", None)
    return bool(model.options.get("managed", True)) and swapped in (None, f"{model.app_label}.{model.name}")


def renamed(operation: Operation, app_label: str, label: Label) -> Label:
    """What a model is called after an operation."""
    if isinstance(operation, RenameModel) and (app_label, operation.old_name_lower) == label:
        return app_label, operation.new_name_lower
    return label


def table_of(model: ModelState, connection: BaseDatabaseWrapper) -> str:
    given = model.options.get("db_table")
    return str(given or truncate_name(f"{model.app_label}_{model.name_lower}", connection.ops.max_name_length()))


def label_of(model: ModelState) -> Label:
    return model.app_label, model.name_lower


# ----- columns


def read_columns(
    model: ModelState, state: ProjectState, connection: BaseDatabaseWrapper
) -> Iterator[tuple[str, Column]]:
    key = next((f.field_names for f in model.fields.values() if hasattr(f, "field_names")), ())
    for name, given in model.fields.items():
        if given.many_to_many:
            continue
        field = given.clone()
        field.set_attributes_from_name(name)
        if field.column is not None:
            column = read_column(field, model, state, connection)
            yield name, dataclasses.replace(column, primary_key=column.primary_key or name in key)
    if model.options.get("order_with_respect_to"):
        yield ORDER, Column(ORDER, models.IntegerField().db_type(connection) or "", null=False, filled=False)


def read_column(field: Any, model: ModelState, state: ProjectState, connection: BaseDatabaseWrapper) -> Column:
    _, path, args, given = field.deconstruct()
    kept = {name: value for name, value in given.items() if name not in {*field.non_db_attrs, *WITHOUT_TRACE}}
    related = resolve_relation(field.remote_field.model, *label_of(model)) if field.remote_field else None
    generated = bool(getattr(field, "generated", False))
    numbered = isinstance(field, models.AutoField | models.BigAutoField | models.SmallAutoField)
    return Column(
        name=str(field.column),
        type=type_of(field, label_of(model), state, connection),
        null=bool(field.null),
        filled=generated or numbered or field.has_db_default(),
        primary_key=bool(field.primary_key),
        collation=str(getattr(field, "db_collation", None) or ""),
        generated=generated,
        end=related if getattr(field, "db_constraint", False) else None,
        default=default_of(field),
        various=field.has_db_default() and not isinstance(field.db_default, models.Value | str | int | float | bool),
        definition=comparable((path, args, kept)),
    )


WITHOUT_TRACE = {"default", "db_comment"}
"""What leaves a table as it is, or can be said of a view, too."""


def default_of(field: Field) -> str:
    plain = field.has_default() and isinstance(field.default, str | int | float | bool)
    return repr(field.default) if plain else "..."


def type_of(field: Any, label: Label, state: ProjectState, connection: BaseDatabaseWrapper) -> str:
    """A foreign key has the type of what it points at."""
    if field.remote_field is None:
        try:
            return str(field.db_type(connection) or "")
        except AttributeError:  # A field of somebody's that asks for the model which it has only when that is rendered.
            return ""
    end = find_end(field, label, state)
    return end_type(end, state, connection) if end else ""


def find_end(field: Any, label: Label, state: ProjectState) -> tuple[Any, Label] | None:
    """The field that a foreign key points at, and its model."""
    related = resolve_relation(field.remote_field.model, *label)
    model = state.models.get(related)
    if model is None:
        return None
    (named,) = getattr(field, "to_fields", None) or [None]
    found = model.fields.get(named) if named else next((f for f in model.fields.values() if f.primary_key), None)
    return (found, related) if found else None


def end_type(end: tuple[Any, Label], state: ProjectState, connection: BaseDatabaseWrapper) -> str:
    field, label = end
    if field.remote_field is None:
        return str(field.rel_db_type(connection) or "")
    further = find_end(field, label, state)
    return end_type(further, state, connection) if further and further != end else ""


# ----- tables of many-to-many fields


def read_joins(model: ModelState, connection: BaseDatabaseWrapper) -> Iterator[tuple[str, Join]]:
    field: Any
    for name, field in model.fields.items():
        if field.many_to_many and not isinstance(field.remote_field.through, str):
            end = resolve_relation(field.remote_field.model, *label_of(model))
            here, there = model.name_lower, end[1]
            if here == there:
                here, there = f"from_{here}", f"to_{there}"
            made = f"{strip_quotes(table_of(model, connection))}_{name}"
            table = field.db_table or truncate_name(made, connection.ops.max_name_length())
            yield name, Join(table, (f"{here}_id", f"{there}_id"), end)


# ----- restrictions


def read_restrictions(model: ModelState) -> Iterator[Restriction]:
    for name, field in model.fields.items():
        if getattr(field, "_unique", False) and not field.primary_key:
            yield Restriction("unique", frozenset({name}))
        if check := check_of(field):
            yield Restriction("check", frozenset({name}), check)
    for together in model.options.get("unique_together") or ():
        yield Restriction("unique", frozenset(together))
    for constraint in model.options.get("constraints") or ():
        yield read_constraint(constraint)


def check_of(field: Any) -> str:
    """The check that comes with the type, as that of a PositiveIntegerField does."""
    return "positive" if isinstance(field, models.fields.PositiveIntegerRelDbTypeMixin) else ""


def read_constraint(constraint: Any) -> Restriction:
    path, args, given = constraint.deconstruct()
    said = {name: value for name, value in given.items() if name not in {"name", "fields", *WORDS} and value}
    named = frozenset(mentioned([*constraint.deconstruct()[1], *given.values()]))
    if isinstance(constraint, models.UniqueConstraint) and not args and not said.keys() - {"deferrable", "include"}:
        return Restriction("unique", frozenset(constraint.fields))
    return Restriction(path.rpartition(".")[2], named, repr((args, sorted(said.items()))))


WORDS = {"violation_error_message", "violation_error_code"}


def mentioned(parts: Iterable[Any]) -> Iterator[str]:
    """The names that a condition or an expression may read; too many rather than too few."""
    for part in parts:
        if isinstance(part, str):
            yield part.partition("__")[0].lstrip("-")
        elif isinstance(part, models.F):
            yield str(part.name).partition("__")[0]  # type: ignore[attr-defined]
        elif isinstance(part, models.Q):
            yield from mentioned(part.children)
        elif isinstance(part, list | tuple):
            yield from mentioned(part)
        elif hasattr(part, "get_source_expressions"):
            yield from mentioned(part.get_source_expressions())
