"""What both tables must hold: rows in plain dictionaries, and the rules that decide which writes are refused."""

import copy
import dataclasses
import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

from django.db import models

from tests.properties.columns import TAGS, Pair, Unfit, equal_key, image
from tests.properties.constraints import Unique
from tests.properties.shapes import BOTH, Shape, Side


class Unset(enum.Enum):
    """Stands for a value where None is one."""

    UNSET = "unset"


UNSET: Any = Unset.UNSET


class Rejected(Exception):  # noqa: N818  It is no error of the test's.
    """No database could accept this write."""


class Unreadable(Exception):  # noqa: N818  It is no error of the test's.
    """Nothing keeps this write from a retired move's new table, and then its view can't be read."""


@dataclasses.dataclass
class Row:
    key: Any
    values: dict[Side, list[Any]]
    """By side, in the order of the shape's pairs."""
    parent: Any = None
    extra: str | None = None


@dataclasses.dataclass
class Book:
    shape: Shape
    live: tuple[Side, ...] = ("old",)
    """The sides that are written to and read."""
    retired: bool = False
    """Whether the old side is a view of the new one."""
    rows: dict[str, Row] = dataclasses.field(default_factory=dict)
    """By key, in the form that makes equal keys one."""
    tags: dict[str, set[int]] = dataclasses.field(default_factory=dict)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    """How many rows of another table name the key."""
    aside: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    """By key, the old side's values in the rows that were set aside."""
    taken: bool = False
    """Whether somebody has chosen a key, since the sequence was last set, that the sequence may come to."""

    def copy(self) -> "Book":
        return dataclasses.replace(
            self, rows=copy.deepcopy(self.rows), tags=copy.deepcopy(self.tags), notes=self.notes.copy()
        )

    # ----- what a statement does

    def insert(self, side: Side, key: Any, values: list[Any], parent: Any = None, extra: Any = UNSET) -> None:
        if equal_key(key) in self.rows:
            raise Rejected(f"{key!r} is there")
        row = Row(key, {side: values}, parent)
        if self.shape.extra:
            unsaid = self.shape.extra.fill if side == "old" else self.shape.extra.unsaid
            row.extra = unsaid if extra is UNSET else extra
        self.rows[equal_key(key)] = row
        self.carry(row, side)

    def update(self, side: Side, key: Any, changes: dict[int, Any], parent: Any = UNSET) -> None:
        row = self.rows[equal_key(key)]
        for n, value in changes.items():
            row.values[side][n] = value
        if parent is not UNSET:
            row.parent = parent
        self.carry(row, side)

    def rekey(self, side: Side, key: Any, new: Any) -> None:
        row = self.rows.pop(equal_key(key))
        if equal_key(new) in self.rows:
            raise Rejected(f"{new!r} is there")
        row.key = new
        self.rows[equal_key(new)] = row
        self.carry(row, side)

    def delete(self, key: Any) -> None:
        """As Django does it: with what depends on the row."""
        self.rows.pop(equal_key(key))
        self.tags.pop(equal_key(key), None)
        if self.shape.parent and self.shape.parent.on_delete is not models.DO_NOTHING:
            for child in self.children(key):
                if self.shape.parent.on_delete is models.SET_NULL:
                    child.parent = None
                elif equal_key(child.key) in self.rows:
                    self.delete(child.key)

    def children(self, key: Any) -> list[Row]:
        return [row for row in self.rows.values() if row.parent is not None and equal_key(row.parent) == equal_key(key)]

    def carry(self, row: Row, side: Side) -> None:
        """Give the other side what a write on this side means for it."""
        if len(self.live) < 2:
            return
        other: Side = "new" if side == "old" else "old"
        kept = row.values.get(other, [UNSET] * len(self.shape.pairs))
        try:
            row.values[other] = self.carried(side, row.values[side], kept)
            if self.retired:
                row.values["old"] = self.carried("new", row.values["new"])
                self.refuse_unreadable(row)
        except Unfit as error:
            raise (Unreadable if self.retired else Rejected)(f"{error!r} can't be carried") from error

    def refuse_unreadable(self, row: Row) -> None:
        for pair, old, new in zip(self.shape.pairs, row.values["old"], row.values["new"], strict=True):
            if not pair.plain and old is not None and not pair.source.fits(old):
                raise Unreadable(f"{old!r} can't be computed")
            if isinstance(new, str) and new.endswith(" ") and not pair.target.fits(new):
                raise Unreadable(f"{new!r} is cut to fit")

    def carried(self, side: Side, values: list[Any], kept: list[Any] | None = None) -> list[Any]:
        """What the other side has after `values` were written on this side, where it had `kept`."""
        there = kept or [UNSET] * len(values)
        return [carried(*column) for column in zip(self.shape.pairs, repeat(side), values, there)]

    # ----- the move itself

    def go_forward(self) -> None:
        self.live, self.taken = BOTH, self.taken and self.shape.way == "in place"
        for row in self.rows.values():
            row.extra = self.shape.extra.fill if self.shape.extra else None
            self.carry(row, "old")

    def go_back(self) -> None:
        if self.retired:
            self.unretire()
        self.live, self.taken = ("old",), self.taken and self.shape.way == "in place"
        extra = self.shape.extra
        if extra and not extra.discard and any(row.extra != extra.fill for row in self.rows.values()):
            raise Rejected("what only the new side holds would be lost")
        for row in self.rows.values():
            del row.values["new"]

    def retire(self) -> None:
        """The view computes what old code reads."""
        self.retired = True
        self.aside = {key: row.values["old"] for key, row in self.rows.items()}
        for row in self.rows.values():
            self.carry(row, "new")

    def unretire(self) -> None:
        """What was set aside stays as it was written, where it still says what the new side says."""
        self.retired = False
        for key, row in self.rows.items():
            row.values["old"] = self.carried("new", row.values["new"], self.aside.get(key))
        self.aside = {}

    # ----- what is wrong

    @property
    def enforced(self) -> tuple[Side, ...]:
        """The sides whose definitions hold: a view has none."""
        return ("new",) if self.retired else self.live

    def problems(self, *, deferred: bool) -> Iterator[str]:
        """What holds at the end of each statement, or with `deferred` at the end of the transaction as well."""
        for side in self.enforced:
            for row in self.rows.values():
                yield from self.problems_of(row, side)
            for constraint in self.shape.constraints_of(side):
                if (deferred or constraint.deferrable is None) and constraint.is_broken(self.values(side)):
                    yield f"{side}: {constraint}"
        parents = [equal_key(row.parent) for row in self.rows.values() if row.parent is not None]
        if self.shape.parent and self.shape.parent.unique and len(parents) != len(set(parents)):
            yield "two rows have one parent"
        if deferred:
            yield from (f"notes of {key}" for key, count in self.notes.items() if count and key not in self.rows)
            yield from self.lost_tags()
            yield from (f"no parent {parent}" for parent in parents if parent not in self.rows)
            yield from (f"tags of {key}" for key, tags in self.tags.items() if tags and key not in self.rows)

    def lost_tags(self) -> Iterator[str]:
        for n, pair in enumerate(self.shape.pairs):
            if pair.source.is_relation:
                for values in self.values(self.enforced[0]):
                    if values[n] is not None and values[n] not in TAGS:
                        yield f"no tag {values[n]}"

    def problems_of(self, row: Row, side: Side) -> Iterator[str]:
        for n, value in enumerate(row.values[side]):
            if not self.shape.column(side, n).holds(value):
                yield f"{side}: {value!r} in field {n}"

    def values(self, side: Side) -> Iterable[list[Any]]:
        return [row.values[side] for row in self.rows.values()]

    def may_collide(self, after: "Book") -> bool:
        """Whether a statement that leads to `after` may meet, row by row, a value that another row is to leave."""
        for side in self.enforced:
            for constraint in self.shape.constraints_of(side):
                # A trigger of a view writes each row by a statement of its own.
                by_row = self.retired and not self.shape.is_plain
                if isinstance(constraint, Unique) and (by_row or constraint.deferrable is None):
                    for key, row in after.rows.items():
                        others = [r.values[side] for k, r in self.rows.items() if k != key]
                        if constraint.is_broken([*others, row.values[side]]) and row.values != self.rows[key].values:
                            return True
        return False

    def image(self, side: Side) -> dict[str, list[str]]:
        """What reading the model of that side must give."""
        return {
            key: [
                image(row.key),
                *map(image, row.values[side]),
                *([image(row.parent)] if self.shape.parent else []),
                *([image(row.extra)] if self.shape.extra and side == "new" else []),
            ]
            for key, row in self.rows.items()
        }


def carried(pair: Pair, side: Side, value: Any, before: Any) -> Any:
    """What the other side has after `value` was written here; what still agrees stays as it was written."""
    there, back = (pair.there, pair.back) if side == "old" else (pair.back, pair.there)
    if not pair.plain and before is not UNSET and image(back(before)) == image(value):
        return before
    return there(value)
