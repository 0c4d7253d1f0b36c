"""Primary keys: of one column or of two, numbered by the database or not, as wide in the target or wider."""

import dataclasses
from typing import Any

from django.db import models
from hypothesis import strategies as st

from tests.properties.columns import Column, ascii_letters, floats, integer


@dataclasses.dataclass(frozen=True)
class Key:
    """The key of both models; `composite` is a second column that belongs to it."""

    source: Column
    target: Column
    composite: bool = False
    names: tuple[str | None, str | None] = (None, None)
    """Of the column, by side."""

    @property
    def values(self) -> st.SearchStrategy[Any]:
        return st.tuples(self.source.values, st.integers(1, 3)) if self.composite else self.source.values

    def column(self, side: str) -> Column:
        return self.source if side == "old" else self.target

    @property
    def is_numbered(self) -> bool:
        """Whether either side has a sequence."""
        return self.is_auto("old") or self.is_auto("new")

    def is_auto(self, side: str) -> bool:
        return issubclass(self.column(side).kind, models.AutoField | models.BigAutoField | models.SmallAutoField)

    def make(self, side: str) -> dict[str, models.Field]:
        name = self.names[side == "new"]
        if not self.composite:
            return {"key": self.column(side).make(primary_key=True, db_column=name)}
        return {
            "pk": models.CompositePrimaryKey("key", "part"),
            "key": self.column(side).make(db_column=name),
            "part": models.IntegerField(),
        }


few = st.integers(1, 40)
AUTO = [Column(kind, {}, few) for kind in (models.SmallAutoField, models.AutoField, models.BigAutoField)]
PLAIN = [
    dataclasses.replace(integer(kind), values=few)
    for kind in (models.SmallIntegerField, models.IntegerField, models.BigIntegerField)
]
NATURAL = [
    Column(models.CharField, {"max_length": 5}, st.text(ascii_letters, max_size=2)),
    Column(models.TextField, {}, st.sampled_from(["", "a", "A", "ä", " ", "a\n", "'", "%s"])),
    Column(models.UUIDField, {}, st.uuids()),
    Column(models.FloatField, {}, floats),
    Column(models.DateField, {}, st.dates()),
]


@st.composite
def keys(draw: st.DrawFn, *, alike: bool) -> Key:
    changing = [] if alike else ["numbered later", "no longer numbered"]
    kind = draw(st.sampled_from(["auto", "auto", *changing, "natural", "composite"]))
    if kind in ("natural", "composite"):
        column = draw(st.sampled_from([*NATURAL, *PLAIN]))
        return Key(column, column, composite=kind == "composite", names=draw(names))
    width = draw(st.integers(0, 2))
    wider = width if alike else draw(st.integers(width, 2))
    sources, targets = (PLAIN if kind == "numbered later" else AUTO), (PLAIN if kind == "no longer numbered" else AUTO)
    return Key(sources[width], targets[wider], names=draw(names))


names = st.tuples(*[st.sampled_from([None, None, "Key Of It", "new", "id"])] * 2)
