"""What a declaration says of each column of the target, read anew: a plan that errs has no part in it."""

import dataclasses
from typing import Any

from django.db.models import F, Value
from django.db.models.expressions import Combinable

from rehome.importing.declaration import Given, Import, Lookup
from rehome.plan.historical import concrete_fields, get_column
from rehome.plan.plan import Model
from rehome.postgres.tables import Column, Table


@dataclasses.dataclass(frozen=True)
class Claim:
    """One column of the target, and what it is to have."""

    field: Any
    column: Column
    given: Given
    lookup: Lookup | None
    key: bool
    """Whether it is a part of the import's key."""

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def carried(self) -> bool:
        """Whether it is to have a column of the source as it is."""
        return self.lookup is None and (isinstance(self.given, str) or type(self.given) is F)

    @property
    def constant(self) -> bool:
        return isinstance(self.given, Value)

    @property
    def expression(self) -> Combinable:
        return F(self.given) if isinstance(self.given, str) else self.given


def read_claims(declared: Import, source: Model, target: Model, table: Table) -> list[Claim]:
    """Those of the key first. Fields of one name are meant without being named, unless they are the target's key."""
    here, there = concrete_fields(source), concrete_fields(target)
    given: dict[str, Given] = {**declared.key, **declared.fields}
    for name, field in there.items():
        if name in here and name not in given and not field.primary_key and not field.generated:
            given[name] = name
    own = {field.name for field in target._meta.pk_fields} - {*declared.key, *declared.fields}
    return [
        Claim(
            there[name],
            get_column(table, target, there[name]),
            value,
            declared.lookups.get(name),
            key=name in declared.key,
        )
        for name, value in given.items()
        if name not in own
    ]
