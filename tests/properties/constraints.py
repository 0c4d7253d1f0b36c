"""Constraints and indexes, each with a judgement of its own on the rows of a table."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.postgres.indexes import BrinIndex, GinIndex, HashIndex
from django.db import models
from django.db.models import Deferrable, Q

from tests.properties.columns import equal_key

Values = Sequence[Any]
"""Of one row, in the order of the shape's pairs."""


@dataclasses.dataclass(frozen=True)
class Unique:
    """A UniqueConstraint over some of the fields, by their numbers."""

    fields: tuple[int, ...]
    name: str
    only_set: bool = False
    """Over the rows alone in which the first field is not null."""
    nulls_distinct: bool | None = None
    deferrable: Deferrable | None = None
    include: tuple[int, ...] = ()

    def make(self, names: Sequence[str], prefix: str) -> models.UniqueConstraint:
        return models.UniqueConstraint(
            fields=[names[n] for n in self.fields],
            name=f"{prefix} {self.name}",
            condition=Q(**{f"{names[self.fields[0]]}__isnull": False}) if self.only_set else None,
            nulls_distinct=self.nulls_distinct,
            deferrable=self.deferrable,
            include=[names[n] for n in self.include] or None,
        )

    def is_broken(self, rows: Iterable[Values]) -> bool:
        keys = [[row[n] for n in self.fields] for row in rows if not self.only_set or row[self.fields[0]] is not None]
        if self.nulls_distinct is not False:
            keys = [key for key in keys if None not in key]
        return any(count > 1 for count in Counter(map(equal_key, keys)).values())

    def forbids(self, row: Values) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class Check:
    """A CheckConstraint: a field is not one value."""

    field: int
    value: Any
    name: str

    deferrable = None

    def make(self, names: Sequence[str], prefix: str) -> models.CheckConstraint:
        return models.CheckConstraint(condition=~Q(**{names[self.field]: self.value}), name=f"{prefix} {self.name}")

    def is_broken(self, rows: Iterable[Values]) -> bool:
        return any(self.forbids(row) for row in rows)

    def forbids(self, row: Values) -> bool:
        return row[self.field] is not None and equal_key(row[self.field]) == equal_key(self.value)


Constraint = Unique | Check


@dataclasses.dataclass(frozen=True)
class Index:
    """An index that allows everything."""

    field: int
    kind: str
    """btree, descending, covering, partial, expression, brin, hash or gin."""

    def make(self, names: Sequence[str], name: str) -> models.Index:
        field = names[self.field]
        match self.kind:
            case "descending":
                return models.Index(fields=[f"-{field}"], name=name)
            case "partial":
                return models.Index(fields=[field], name=name, condition=Q(**{f"{field}__isnull": False}))
            case "covering":
                return models.Index(fields=["key"], include=[field], name=name)
            case "expression":
                return models.Index(models.F(field).desc(nulls_last=True), name=name)
            case "hash":
                return HashIndex(fields=[field], name=name, fillfactor=70)
            case "brin":
                return BrinIndex(fields=[field], name=name, pages_per_range=4)
            case "gin":
                return GinIndex(fields=[field], name=name)
        return models.Index(fields=[field], name=name)
