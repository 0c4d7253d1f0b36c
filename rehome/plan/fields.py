"""Matches the fields of two models, and refuses what a declaration leaves open or can't keep."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Combinable

from rehome.errors import Refused
from rehome.plan.declaration import Declaration
from rehome.plan.expressions import Compiled, compile_expression
from rehome.plan.historical import (
    column_of,
    concrete_fields,
    find_dropped,
    get_column,
    get_table,
    implicit_many_to_many,
    read_tables,
    refuse_unknown,
    repointed,
)
from rehome.plan.plan import Assignment, Field, Flow, LostColumn, Model, Reference, TablePair, read_column
from rehome.postgres import resolution
from rehome.postgres.tables import Column, Table


class FieldMapping:
    """The fields of two models matched by name, by `fields`, by `backwards` and by `discard`."""

    def __init__(
        self,
        move: Declaration,
        source: Model,
        target: Model,
        connection: BaseDatabaseWrapper,
        sources: Mapping[str, Table] | None = None,
    ) -> None:
        self.move = move
        self.sources = sources or {}
        """Tables to take for those of the source's models, by the name that a model knows."""
        self.source = source
        self.target = target
        self.connection = connection
        self.source_fields = concrete_fields(source)
        self.target_fields = concrete_fields(target)
        self.refuse_unknown_names()
        self.refuse_sources_without_target()
        self.refuse_generated_on_one_side()
        self.refuse_changing_expressions()

    @property
    def has_expressions(self) -> bool:
        given = (*self.move.fields.values(), *self.move.backward_fields.values())
        return not all(isinstance(value, str) for value in given)

    @functools.cached_property
    def plain(self) -> dict[str, str]:
        """Target field to source field, where the value is taken as it is."""
        same = {name: name for name in self.target_fields if name in self.source_fields}
        pairs = {**same, **self.move.fields}
        return {name: value for name, value in pairs.items() if name in self.target_fields and isinstance(value, str)}

    @functools.cached_property
    def computed(self) -> dict[str, Compiled]:
        """Target field to the SQL of its expression."""
        given = {name: value for name, value in self.move.fields.items() if not isinstance(value, str)}
        return self.compile(given, self.source, "fields")

    @functools.cached_property
    def computed_back(self) -> dict[str, Compiled]:
        given = self.move.backward_fields.items()
        named = {name: models.F(value) if isinstance(value, str) else value for name, value in given}
        return self.compile(named, self.target, "backwards")

    def compile(self, given: Mapping[str, Combinable], model: Model, place: str) -> dict[str, Compiled]:
        return {
            name: compile_expression(value, model, self.connection, f"{place}[{name!r}]")
            for name, value in given.items()
        }

    def refuse_unknown_names(self) -> None:
        of_source = {*self.source_fields, *(field.name for field in implicit_many_to_many(self.source))}
        of_target = {*self.target_fields, *(field.name for field in implicit_many_to_many(self.target))}
        for given, known, model, place in (
            (self.move.fields, of_target, self.target, "fields"),
            (self.move.fields.values(), of_source, self.source, "fields"),
            (self.move.backward_fields, of_source, self.source, "backwards"),
            (self.move.backward_fields.values(), of_target, self.target, "backwards"),
            (self.move.discard, of_source | of_target, self.source, "discard"),
        ):
            names = sorted({value for value in given if isinstance(value, str)})
            refuse_unknown(names, known, model, f"{place} of {self.move} names", "Its fields are")

    def refuse_sources_without_target(self) -> None:
        read = {column for compiled in self.computed.values() for column in compiled.reads}
        for name, field in self.source_fields.items():
            known = name in self.plain.values() or name in self.move.discard
            if not known and field.column not in read and not field.generated:
                raise Refused(
                    f"{self.target._meta.label} has no field for {self.source._meta.label}.{name}.",
                    f"Add it to the target, map it with fields={{...: {name!r}}}, "
                    f"or list it in discard=[{name!r}] to lose it.",
                )

    def refuse_generated_on_one_side(self) -> None:
        for target_name, source_name in self.plain.items():
            sides = [(self.source, self.source_fields[source_name]), (self.target, self.target_fields[target_name])]
            sides.sort(key=lambda side: not side[1].generated)
            (generated, field), (written, other) = sides
            if field.generated == other.generated or {source_name, target_name} & self.move.discard:
                continue
            raise Refused(
                f"{generated._meta.label}.{field.name} is generated, and {written._meta.label}.{other.name} is not.",
                "Generate it in both models, map it with expressions in fields={...} and backwards={...}, "
                f"or list it in discard=[{other.name!r}] to lose what is written to it.",
            )

    def refuse_changing_expressions(self) -> None:
        """A value that reads columns must be the same each time: the triggers and the comparison compute it again."""
        for place, expressions in (("fields", self.computed), ("backwards", self.computed_back)):
            for name, compiled in expressions.items():
                changing = resolution.changing_functions(self.connection, compiled.functions) if compiled.reads else []
                if changing:
                    raise Refused(
                        f"{place}[{name!r}] has another value at each call, because of {changing[0]}(), but it "
                        f"reads {', '.join(sorted(compiled.reads))}.",
                        "Use a constant in its place, or an expression that reads no column and only fills new rows.",
                    )

    def irreversible(self) -> list[str]:
        """One clause for each source field that is not computed from the target, or that none is asked for."""
        carried = {*self.plain.values(), *self.computed_back}
        found = [
            f"{self.source._meta.label}.{name} has no entry in backwards={{...}}"
            for name, field in self.source_fields.items()
            if name not in carried and not field.generated
        ]
        return found or (["its Move says irreversible=True"] if self.move.irreversible else [])

    def table_pair(self) -> TablePair:
        source, target, key = self.table(self.source), self.table(self.target), self.key_pairs()
        here = {name: get_column(source, self.source, field) for name, field in self.source_fields.items()}
        there = {name: get_column(target, self.target, field) for name, field in self.target_fields.items()}
        forward = {name: take(there[name], here[origin]) for name, origin in self.plain.items()}
        forward |= {name: compute(there[name], value) for name, value in self.computed.items() if name in there}
        for name, field in self.target_fields.items():
            value = None if name in forward or field.generated else self.fill(field, there[name])
            if value is not None:
                forward[name] = compute(there[name], Compiled(value, frozenset(), frozenset()))
        # Of several fields with the same value, the first one is read on the way back.
        backward = {origin: take(here[origin], there[name]) for name, origin in reversed(self.plain.items())}
        backward |= {name: compute(here[name], value) for name, value in self.computed_back.items() if name in here}
        carried = [value for name, value in forward.items() if not self.target_fields[name].generated]
        returned = [value for name, value in backward.items() if not self.source_fields[name].generated]
        flows = (
            Flow(source, target, key, in_table_order(carried, target)),
            Flow(target, source, turned(key), in_table_order(returned, source)),
        )
        return self.make_pair(self.source, self.target, flows, tuple(self.lost_columns(target)))

    def make_pair(
        self, source: Model, target: Model, flows: tuple[Flow, Flow], lost: tuple[LostColumn, ...]
    ) -> TablePair:
        tables = flows[0].origin, flows[0].destination
        return TablePair(*tables, source, target, *flows, lost, tuple(find_dropped(self.connection, target, tables[1])))

    def table(self, model: Model) -> Table:
        return self.tables.get(model._meta.db_table) or get_table(self.connection, model)

    @functools.cached_property
    def tables(self) -> dict[str, Table]:
        """By the name that a model has for it, each table that there is, with `sources` in place of the source's."""
        models = [self.source, self.target]
        through = [field.remote_field.through for model in models for field in implicit_many_to_many(model)]
        wanted = [model for model in (*models, *through) if model._meta.db_table not in self.sources]
        return {**read_tables(self.connection, wanted), **self.sources}

    def key_pairs(self) -> tuple[tuple[str, str], ...]:
        """Columns of the primary keys, paired through the plain fields; anything else would change the keys."""
        pairs = []
        for field in self.target._meta.pk_fields:
            source_name = self.plain.get(field.name)
            pairs.append((column_of(self.source_fields[source_name]) if source_name else "", column_of(field)))
        if {source for source, _ in pairs} != {field.column for field in self.source._meta.pk_fields}:
            raise Refused(
                f"The primary keys of {self.source._meta.label} and {self.target._meta.label} are not the same fields.",
                "Make the target's primary key the same as the source's; a move never changes keys.",
            )
        return tuple(pairs)

    def fill(self, field: Field, column: Column) -> str | None:
        """The value of a column that only the target has, for rows from the source; None leaves it to the table."""
        if column.default is not None or column.identity:
            return None
        if field.has_default():
            hint = f"Use an expression, such as fields={{{field.name!r}: RandomUUID()}}, or db_default."
            return compile_default(field, self.target, self.connection, hint)
        return None

    def lost_columns(self, target: Table) -> list[LostColumn]:
        """Columns of the target that nothing carries back; their values would be lost on the way back."""
        carried = {column for compiled in self.computed_back.values() for column in compiled.reads}
        lost = []
        for name, field in self.target_fields.items():
            if name in {*self.plain, *self.move.discard} or field.column in carried or field.generated:
                continue
            column = target.column(column_of(field))
            if name not in self.computed:
                lost.append(LostColumn(column, self.fill(field, column) or column.fallback or "NULL"))
            elif not self.computed[name].reads:
                lost.append(LostColumn(column, self.computed[name].sql))
        return lost

    def many_to_many(self) -> list[tuple[Any, Any]]:
        """Pairs of many-to-many fields whose tables Django made by itself."""
        target_fields = {field.name: field for field in implicit_many_to_many(self.target)}
        source_fields = {field.name: field for field in implicit_many_to_many(self.source)}
        pairs = []
        for name, target_field in target_fields.items():
            if source_field := source_fields.pop(str(self.move.fields.get(name, name)), None):
                pairs.append((source_field, target_field))
        for name in sorted(set(source_fields) - self.move.discard):
            raise Refused(
                f"{self.target._meta.label} has no many-to-many field for {self.source._meta.label}.{name}.",
                f"Add it to the target, or list it in discard=[{name!r}] to leave its rows behind.",
            )
        return pairs

    def many_to_many_pair(self, source_field: Any, target_field: Any) -> TablePair:
        source_model, target_model = source_field.remote_field.through, target_field.remote_field.through
        source, target = self.table(source_model), self.table(target_model)
        columns = (
            (source_model._meta.pk.column, target_model._meta.pk.column),
            (source_field.m2m_column_name(), target_field.m2m_column_name()),
            (source_field.m2m_reverse_name(), target_field.m2m_reverse_name()),
        )
        flows = (copy_columns(source, target, columns), copy_columns(target, source, turned(columns)))
        return self.make_pair(source_model, target_model, flows, ())

    def references(self) -> list[Reference]:
        """Relations that point at one model in the source and at another in the target."""
        pairs = [
            (self.source_fields[source], self.target_fields[target])
            for target, source in self.plain.items()
            if self.source_fields[source].remote_field and self.target_fields[target].remote_field
        ]
        return [
            Reference(
                field=f"{self.target._meta.label}.{field.name}",
                source=source._meta.label,
                target=target._meta.label,
                source_table=str(get_table(self.connection, source)),
                target_table=str(get_table(self.connection, target)),
            )
            for field, source, target in repointed([*pairs, *self.many_to_many()])
            if (source, target) != (self.source, self.target)
        ]


def compile_default(field: Field, model: Model, connection: BaseDatabaseWrapper, hint: str) -> str:
    """SQL of the default that Django gives to a field. Raises Refused, with `hint`, for one that changes."""
    value = field.get_default()
    if callable(field.default) and field.get_default() != value:
        raise Refused(
            f"The default of {model._meta.label}.{field.name} is a function that returns another value at each call, "
            "which PostgreSQL cannot run for each row.",
            hint,
        )
    given = value if hasattr(value, "resolve_expression") else models.Value(value, output_field=field)
    return compile_expression(given, model, connection, field.name).sql


def compute(column: Column, compiled: Compiled) -> Assignment:
    return Assignment(column, compiled.sql, compiled.reads, limit(column))


def take(column: Column, origin: Column) -> Assignment:
    """The value of `origin` as it is."""
    return Assignment(column, read_column(origin.name), frozenset({origin.name}), limit(column, origin))


def copy_columns(origin: Table, destination: Table, columns: tuple[tuple[str, str], ...]) -> Flow:
    """The first of them is the key."""
    taken = (take(destination.column(there), origin.column(here)) for here, there in columns)
    return Flow(origin, destination, columns[:1], tuple(taken))


def turned(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((there, here) for here, there in pairs)


def limit(column: Column, origin: Column | None = None) -> int | None:
    """How many characters `column`, or an element of it, holds, unless no value of `origin` has more."""
    if column.base_type.removesuffix("[]") != "character varying" or not column.modifiers:
        return None
    (length,) = column.modifiers
    bounded = origin is not None and origin.base_type == column.base_type and origin.modifiers
    return None if bounded and origin and origin.modifiers[0] <= length else length


def in_table_order(assignments: Iterable[Assignment], table: Table) -> tuple[Assignment, ...]:
    """The order in which models have their fields changes with a squashed migration; the triggers must not."""
    by_column = {assignment.column.name: assignment for assignment in assignments}
    return tuple(by_column[column.name] for column in table.columns if column.name in by_column)
