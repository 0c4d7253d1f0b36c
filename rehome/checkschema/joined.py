"""The columns that foreign keys join: a server may refuse to change the type of one without the others."""

import dataclasses
from collections.abc import Iterable

from rehome.checkschema.shape import Column, Shape

End = tuple[str, str]
"""A table, as a statement names it, and a column of it."""


@dataclasses.dataclass(frozen=True)
class Key:
    """A foreign key that the database has."""

    table: str
    name: str
    definition: str
    pairs: tuple[tuple[End, End], ...]
    """Each column of it with the one that it refers to."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for (_, column), _ in self.pairs)


@dataclasses.dataclass
class Known:
    """What the remedy of a column has to know of other tables; filled before the first difference is looked for."""

    expected: dict[str, Shape] = dataclasses.field(default_factory=dict)
    """By the live table, as a statement names it, what its model says."""
    staying: dict[str, Shape] = dataclasses.field(default_factory=dict)
    """The live tables of `expected`, as `Pair.staying` has them."""
    keys: tuple[Key, ...] = ()
    """All of the database, besides those that are dropped because no model has them."""

    def column(self, end: End) -> Column | None:
        """What a model says of a column; None where no model that is compared has it."""
        shape = self.expected.get(end[0])
        return shape.column(end[1]) if shape else None

    def learn(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(key for key in keys if not self.is_unknown(key))

    def is_unknown(self, key: Key) -> bool:
        shape = self.expected.get(key.table)
        own = {part.columns for part in shape.parts if part.kind == "foreign key"} if shape else {key.columns}
        return key.columns not in own

    def joined(self, end: End) -> tuple[list[End], list[Key]]:
        """All columns that keys join with this one, over any number of tables, and these keys: the same for each."""
        columns, keys = [end], dict[Key, None]()
        for column in columns:
            for key in self.keys:
                ends = [other for pair in key.pairs if column in pair for other in pair]
                keys |= dict.fromkeys([key] if ends else [])
                columns += [other for other in ends if other not in columns]
        return sorted(columns), sorted(keys, key=lambda key: (key.table, key.name))
