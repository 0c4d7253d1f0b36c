"""Plan: a Move resolved against historical models and the catalog; frozen, and made without a write."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from django.apps.registry import Apps
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.plan.declaration import Declaration
from rehome.plan.expressions import ROW
from rehome.postgres.sql import Identifier
from rehome.postgres.tables import Column, ForeignKey, Sequence, Table

if TYPE_CHECKING:
    Field = models.Field[Any, Any]
else:
    Field = models.Field

Model = type[models.Model]


GONE = 0
"""The oid of a view that should be under an old name and is not."""


@dataclasses.dataclass(frozen=True)
class Assignment:
    """One column written, and the SQL of its value, which reads the other table's row as `"new"`."""

    column: Column
    value: str
    reads: frozenset[str]
    limit: int | None = None
    """How many characters the column, or an element of it, holds, where the value may have more."""

    @property
    def carried(self) -> bool:
        """Whether later changes follow; a value that reads no column only fills the rows that are born."""
        return bool(self.reads)

    @property
    def plain(self) -> bool:
        """Whether the value is one column as it is."""
        return len(self.reads) == 1 and self.value == read_column(*self.reads)


@dataclasses.dataclass(frozen=True)
class Flow:
    """One direction between two tables: which columns of the destination come from the origin, and how."""

    origin: Table
    destination: Table
    key: tuple[tuple[str, str], ...]
    """Pairs of (column of the origin, column of the destination)."""
    assignments: tuple[Assignment, ...]

    @property
    def carried(self) -> tuple[Assignment, ...]:
        return tuple(assignment for assignment in self.assignments if assignment.carried)

    @property
    def unfilled(self) -> tuple[Column, ...]:
        """Columns of the destination that must have a value, and that no row from the origin has one for."""
        written = {assignment.column.name for assignment in self.assignments}
        others = (column for column in self.destination.columns if column.name not in written)
        return tuple(c for c in others if not (c.nullable or c.fallback is not None or c.identity or c.generated))


@dataclasses.dataclass(frozen=True)
class LostColumn:
    """A column that only the target has, and the value that a row has when nobody wrote to it."""

    column: Column
    untouched: str


@dataclasses.dataclass(frozen=True)
class TablePair:
    """A source table with its target: the model's own, or one that a many-to-many field made."""

    source: Table
    target: Table
    source_model: Model
    target_model: Model
    forward: Flow
    backward: Flow
    lost: tuple[LostColumn, ...]
    dropped: tuple[ForeignKey, ...]
    """Foreign keys that the target's model has and its table lacks."""

    def counterparts(self, assignment: Assignment, flow: Flow) -> tuple[Assignment, ...]:
        """What computes again, from the column that `assignment` of `flow` writes, the columns that it reads.

        Empty for a column that merely follows from others, as the other way does not carry it whole, and for one
        that both ways take as it is.
        """
        other = self.backward if flow is self.forward else self.forward
        written = {back.column.name: back for back in other.carried}
        returned = any(assignment.column.name in back.reads for back in other.carried)
        if not assignment.reads <= written.keys() or (flow is self.forward and not returned):
            return ()
        found = tuple(written[column] for column in sorted(assignment.reads))
        return () if assignment.plain and all(back.plain for back in found) else found

    @property
    def derived(self) -> tuple[Assignment, ...]:
        """Columns of the target that follow from the source's and that the other way reads nowhere: they belong to the
        source, and the target's own writes to them are no values of the row.
        """
        read = {column for back in self.backward.carried for column in back.reads}
        return tuple(a for a in self.forward.carried if a.column.name not in read)

    @property
    def width_is_free(self) -> bool:
        """Whether the key is one that Django gives to a many-to-many table: an integer before Django 3.2, or as
        DEFAULT_AUTO_FIELD says now. No row is found by it, so either width serves.
        """
        return all(model._meta.auto_created for model in (self.source_model, self.target_model))

    @property
    def computed(self) -> tuple[Assignment, ...]:
        """Columns of the target whose values an expression makes, or makes again on the way back."""
        return tuple(a for a in self.forward.carried if not a.plain or self.counterparts(a, self.forward))

    @property
    def plain_columns(self) -> list[tuple[Column, Column]]:
        """(source column, target column) of each value that is taken as it is."""
        return [(self.source.column(*a.reads), a.column) for a in self.forward.carried if a.plain]

    @functools.cached_property
    def shared_sequence(self) -> tuple[str, Sequence, str, Sequence] | None:
        """(source column, its sequence, target column, its sequence) of a key that both tables number."""
        for source_column, target_column in self.forward.key:
            source = self.source.sequences.get(source_column)
            target = self.target.sequences.get(target_column)
            if source and target:
                return source_column, source, target_column, target
        return None


@dataclasses.dataclass(frozen=True)
class Reference:
    """A relation whose two ends, in the source and in the target, are different models."""

    field: str
    source: str
    target: str
    source_table: str
    target_table: str


@dataclasses.dataclass(frozen=True)
class Plan:
    move: Declaration
    apps: Apps
    """The historical models that the move was resolved against."""
    connection: BaseDatabaseWrapper
    source_model: Model
    target_model: Model
    pairs: tuple[TablePair, ...]
    references: tuple[Reference, ...]
    irreversible: tuple[str, ...]
    """Why the move can't go back: one clause a source field; empty when it can."""
    search_path: tuple[str, ...]
    """Schemas that the trigger functions look names up in, after pg_catalog."""

    @property
    def main(self) -> TablePair:
        return self.pairs[0]

    @property
    def reversible(self) -> bool:
        return not self.irreversible

    def __str__(self) -> str:
        return str(self.move)


def read_column(name: str) -> str:
    return Identifier(ROW, name).as_string()
