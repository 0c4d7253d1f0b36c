"""Renaming: every name of a table that changes where it takes its empty twin's place."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from rehome.postgres.tables import ForeignKey, Sequence, Table


@dataclasses.dataclass(frozen=True)
class Key:
    """A column that numbers its rows, and what it draws from."""

    identity: str
    sequence: Sequence


@dataclasses.dataclass(frozen=True)
class Part:
    """A default or a comment: the name of its column, and what it says."""

    name: str
    text: str | None


@dataclasses.dataclass(frozen=True)
class Renaming:
    """Everything that changes about one table; `reversed` is the way back. Each pair is (before, after)."""

    schema: str
    owner: str
    table: tuple[str, str]
    columns: dict[str, str]
    constraints: dict[str, str]
    indexes: dict[str, str]
    keys: dict[str, tuple[Key, Key]]
    """By the column's name before."""
    foreign_keys: tuple[tuple[ForeignKey, ForeignKey], ...]
    """Those that point at another table afterwards."""
    comments: tuple[tuple[Part, Part], ...]
    """That of the table under an empty name."""

    def reversed(self) -> "Renaming":
        return dataclasses.replace(
            self,
            table=turned(self.table),
            columns={new: old for old, new in self.columns.items()},
            constraints={new: old for old, new in self.constraints.items()},
            indexes={new: old for old, new in self.indexes.items()},
            keys={self.columns[column]: turned(pair) for column, pair in self.keys.items()},
            foreign_keys=tuple(map(turned, self.foreign_keys)),
            comments=tuple(map(turned, self.comments)),
        )

    def of_what_is_there(self, table: Table, not_nulls: Iterable[str]) -> "Renaming":
        """Without what somebody has dropped from `table` or revoked meanwhile. What is renamed is what `table` has."""
        columns = {column.name for column in table.columns}
        constraints = {constraint.name for constraint in table.all_constraints} | set(not_nulls)
        indexes = {index.name for index in table.indexes}
        return dataclasses.replace(
            self,
            owner=table.owner,
            columns={old: new for old, new in self.columns.items() if old in columns},
            constraints={old: new for old, new in self.constraints.items() if old in constraints},
            indexes={old: new for old, new in self.indexes.items() if old in indexes},
            keys={
                column: (as_named(before, table.sequences[column]), still_granted(after, table.sequences[column]))
                for column, (before, after) in self.keys.items()
                if column in table.sequences
            },
            comments=tuple(pair for pair in self.comments if pair[0].name in {"", *columns}),
        )


def as_named(key: Key, sequence: Sequence) -> Key:
    """The key that it is by now, under the name that its sequence has."""
    named = dataclasses.replace(still_granted(key, sequence).sequence, schema=sequence.schema, name=sequence.name)
    return dataclasses.replace(key, sequence=named)


def still_granted(key: Key, sequence: Sequence) -> Key:
    """With those of its grants alone that the sequence has by now."""
    held = {(given.grantee, given.privilege) for given in sequence.grants}
    standing = tuple(given for given in key.sequence.grants if (given.grantee, given.privilege) in held)
    return dataclasses.replace(key, sequence=dataclasses.replace(key.sequence, grants=standing))


def turned(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return pair[1], pair[0]
