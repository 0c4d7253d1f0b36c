"""What a comparison of models with tables has found."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Difference:
    model: str
    table: str
    """As a statement names it."""
    what: str
    """The part that differs: `column "phone"`, `index "customers_name_idx"`."""
    kind: str
    """In which respect: type, length, null, default, missing, unknown, name, …"""
    expected: str | None
    """What the model says; None where it says nothing."""
    found: str | None
    """What the database has; None where it has nothing."""
    sql: tuple[str, ...] = ()
    """Makes the database what the model says."""
    change: str = ""
    """Makes the model say what the database has."""
    cured_with: str = ""
    """The difference whose SQL takes this one away too; it has none of its own then."""

    def __str__(self) -> str:
        return f"{self.model}, {self.what}: {self.kind}"

    def as_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "sql": list(self.sql)}


@dataclasses.dataclass(frozen=True)
class Report:
    compared: tuple[str, ...]
    """The models, and the tables between them."""
    differences: tuple[Difference, ...]
    notes: tuple[tuple[str, str], ...]
    """(table, sentence): what no model can say. They are no differences."""

    @property
    def ok(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "compared": list(self.compared),
            "differences": [difference.as_json() for difference in self.differences],
            "notes": [{"table": table, "note": note} for table, note in self.notes],
        }
