"""A model's twin beside its live table."""

import dataclasses
from typing import Any

from rehome.checkschema.report import Difference
from rehome.checkschema.server import Server
from rehome.checkschema.shape import Shape
from rehome.checkschema.twins import Twin


@dataclasses.dataclass(frozen=True)
class Pair:
    twin: Twin
    expected: Shape
    found: Shape
    server: Server

    def difference(
        self, what: str, kind: str, expected: str | None, found: str | None, sql: tuple[str, ...] = (), change: str = ""
    ) -> Difference:
        cured = (*self.found.before, *sql) if sql else ()
        return Difference(self.twin.label, self.found.place, what, kind, expected, found, cured, change)

    def field(self, column: str) -> Any:
        """Of the model, the field that has the column."""
        return next(field for field in self.twin.model._meta.local_concrete_fields if field.column == column)
