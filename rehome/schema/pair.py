"""A model's twin beside its live table."""

import dataclasses
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.schema.report import Difference
from rehome.schema.shape import Column, Part, Shape
from rehome.schema.twins import Twin


class Remedies(Protocol):
    """The statements of one kind of server that make a live table what its twin is."""

    def alter_column(self, kind: str, table: Shape, expected: Column, found: Column) -> tuple[str, ...]: ...

    def let_insert(self, table: Shape, found: Column) -> tuple[str, ...]: ...

    def comment(self, table: Shape, text: str) -> tuple[str, ...]: ...

    def add(self, table: Shape, part: Part, name: str) -> tuple[str, ...]: ...

    def drop(self, table: Shape, part: Part) -> tuple[str, ...]: ...

    def replace(self, table: Shape, expected: Part, found: Part, name: str) -> tuple[str, ...]: ...

    def rename(self, table: Shape, part: Part, name: str) -> tuple[str, ...]: ...

    def mend(self, table: Shape, part: Part) -> tuple[str, ...]: ...


@dataclasses.dataclass(frozen=True)
class Pair:
    twin: Twin
    expected: Shape
    found: Shape
    remedies: Remedies
    connection: BaseDatabaseWrapper

    def difference(
        self,
        what: str,
        kind: str,
        expected: str | None,
        found: str | None,
        sql: tuple[str, ...] = (),
        change: str = "",
    ) -> Difference:
        return Difference(self.twin.model._meta.label, self.found.place, what, kind, expected, found, sql, change)

    def field(self, column: str) -> Any:
        """Of the model, the field that has the column."""
        return next(field for field in self.twin.model._meta.local_concrete_fields if field.column == column)
