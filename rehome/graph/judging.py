"""Judges what one migration makes of the tables of a move: what they are after it decides, not each operation."""

import dataclasses
from collections.abc import Collection, Iterator
from typing import Any

from rehome.graph.rules import Change, Side
from rehome.graph.shapes import Column, Label, Restriction, Shape
from rehome.plan.declaration import Declaration
from rehome.postgres.widths import accepts, family

Said = dict[str, str]
"""What a rule says of a change, by the name in its sentence."""


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Which fields of the two models the move's migration knows, and which of them have the same values."""

    source: Shape
    target: Shape
    plain: dict[str, str]
    """Target's field to source's."""

    @classmethod
    def of(cls, move: Declaration, source: Shape, target: Shape) -> "Pairing":
        theirs, ours = {*source.columns, *source.joins}, {*target.columns, *target.joins}
        given = {name: value for name, value in move.fields.items() if isinstance(value, str)}
        same = {name: name for name in ours & theirs if name not in move.fields}
        return cls(source, target, {name: origin for name, origin in {**same, **given}.items() if origin in theirs})

    def is_reversible(self, move: Declaration) -> bool:
        carried = {*self.plain.values(), *move.backward_fields}
        return all(name in carried or column.generated for name, column in self.source.columns.items())

    def knows(self, side: Side, field: str) -> bool:
        shape = self.source if side == "source" else self.target
        return field in shape.columns or field in shape.joins

    def other(self, side: Side, field: str) -> str | None:
        """The field with the same values on the other side."""
        if side == "target":
            return self.plain.get(field)
        return next((here for here, there in self.plain.items() if there == field), None)


@dataclasses.dataclass
class Tracked:
    """One table as the operations that touched the database have left it; None once it is gone.

    Fields have the names that they had at the move, whatever an operation that leaves the column alone calls them.
    """

    shape: Shape | None
    names: dict[str, str] = dataclasses.field(default_factory=dict)
    """Today's names of fields, where they had others."""

    def copy(self) -> "Tracked":
        return Tracked(self.shape, dict(self.names))

    def follow(self, before: Shape | None, after: Shape | None, renamed: tuple[str, str] | None = None) -> None:
        """Take over what changed between two states of the model, and nothing else; `renamed` is a field's old name
        and its new one.
        """
        then = self.original(before)
        if renamed:
            old, new = renamed
            self.names[new] = self.names.pop(old, old)
        now = self.original(after)
        if self.shape is None or then is None or then == now:
            return
        if now is None:
            self.shape = None
            return
        columns, joins = dict(self.shape.columns), dict(self.shape.joins)
        take_over(columns, then.columns, now.columns)
        take_over(joins, then.joins, now.joins)
        plain = ("label", "name", "table", "others")
        self.shape = dataclasses.replace(
            self.shape,
            columns=columns,
            joins=joins,
            restrictions=(self.shape.restrictions - then.restrictions) | now.restrictions,
            **{name: getattr(now, name) for name in plain if getattr(then, name) != getattr(now, name)},
        )

    def original(self, shape: Shape | None) -> Shape | None:
        """The same with the fields' original names."""
        if shape is None or not self.names:
            return shape
        return dataclasses.replace(
            shape,
            columns=self.named(shape.columns),
            joins=self.named(shape.joins),
            restrictions=frozenset(
                dataclasses.replace(one, fields=frozenset(self.names.get(name, name) for name in one.fields))
                for one in shape.restrictions
            ),
        )

    def named(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {self.names.get(name, name): one for name, one in fields.items()}


def take_over(kept: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> None:
    for name in {*before, *after}:
        if name not in after:
            kept.pop(name, None)
        elif before.get(name) != after[name]:
            kept[name] = after[name]


# ----- what changed


@dataclasses.dataclass(frozen=True)
class Judge:
    """One side of a move, before and after a migration, beside the other side as it is after it."""

    side: Side
    before: Shape
    after: Shape | None
    other: Shape | None
    pairing: Pairing
    moved: Collection[tuple[Label, Label]]
    """The models of each move: its rows are in both tables, so a foreign key may point at either."""

    def changes(self) -> Iterator[tuple[Change, Said]]:
        before, after = self.before, self.after
        if after is None:
            yield Change.TABLE_DROPPED, {}
            return
        renames = {"table": (before.table, after.table), "model": (label_of(before), label_of(after))}
        for was, now in renames.values():
            if was != now:
                yield Change.TABLE_RENAMED, {"before": was, "after": now}
                break
        else:
            yield from self.joins(after)
        for field, column in before.columns.items():
            yield from self.column(field, column, after.columns.get(field))
        for field, new in after.columns.items():
            if field not in before.columns and not new.null and not new.filled:
                yield self.unfilled(field, new)
        yield from self.restrictions(after)
        if before != after:
            yield Change.DEFINITION, {}

    def joins(self, after: Shape) -> Iterator[tuple[Change, Said]]:
        for field, was in self.before.joins.items():
            now = after.joins.get(field)
            if not self.pairing.knows(self.side, field) or was == now:
                continue
            if now is None:
                yield Change.JOIN_DROPPED, {"table": was.table}
            elif was.table != now.table:
                yield Change.TABLE_RENAMED, {"before": was.table, "after": now.table}
            elif was.columns != now.columns:
                old, new = next(pair for pair in zip(was.columns, now.columns, strict=True) if pair[0] != pair[1])
                yield Change.COLUMN_RENAMED, {"table": was.table, "before": old, "after": new}
            else:
                yield from self.end(field, now.table, now.columns[1], now.end)

    def column(self, field: str, was: Column, now: Column | None) -> Iterator[tuple[Change, Said]]:
        known = self.pairing.knows(self.side, field)
        if was == now:
            return
        if now is None:
            if known:
                yield Change.COLUMN_DROPPED, {"column": was.name}
            return
        twin = self.twin(field)
        if known:
            if was.name != now.name:
                yield Change.COLUMN_RENAMED, {"column": was.name, "before": was.name, "after": now.name}
            if was.primary_key != now.primary_key:
                yield Change.KEY, {}
            if was.type != now.type:
                yield (
                    self.type(was, now, twin),
                    self.types(field, was, now),
                )
            elif was.collation != now.collation:
                yield from self.collation(field, now, twin)
            if now.end not in (was.end, None):
                yield from self.end(field, self.before.table, now.name, now.end)
        if twin is None:
            if not now.null and not now.filled and (was.null or was.filled):
                yield self.unfilled(field, now)
        elif was.null and not now.null and twin.null:
            yield Change.TIGHTER, {"what": f"NOT NULL of {now.name}"}
        elif now.null and not was.null and not twin.null:
            yield Change.LOOSER, {"what": f"NOT NULL of {now.name}"}

    def types(self, field: str, was: Column, now: Column) -> Said:
        twin = self.twin(field)
        beside = {"other_field": self.twin_name(field) or "", "other_type": twin.type if twin else ""}
        return {"column": now.name, "before": was.type, "after": now.type, **beside}

    def twin_name(self, field: str) -> str | None:
        return self.pairing.other(self.side, field)

    def twin(self, field: str) -> Column | None:
        """The column of the other table with the same values."""
        name = self.twin_name(field)
        return self.other.columns.get(name) if self.other and name else None

    def unfilled(self, field: str, column: Column) -> tuple[Change, Said]:
        return Change.ROW_UNFILLED, {"column": column.name, "default": column.default}

    def type(self, was: Column, now: Column, twin: Column | None) -> Change:
        if twin is None:
            return Change.COLUMN_ALTERED if accepts(now.type, was.type) else Change.COLUMN_MADE_OTHERWISE
        if family(now.type) != family(twin.type):
            return Change.COLUMN_MADE_OTHERWISE
        fits, taken = accepts(twin.type, now.type), accepts(now.type, twin.type)
        if self.side == "source":
            return Change.COLUMN_ALTERED if taken or accepts(now.type, was.type) else Change.COLUMN_NARROWED
        if not (taken or accepts(now.type, was.type)):
            return Change.COLUMN_NARROWED
        return Change.COLUMN_ALTERED if fits or accepts(was.type, now.type) else Change.COLUMN_WIDENED

    def collation(self, field: str, now: Column, twin: Column | None) -> Iterator[tuple[Change, Said]]:
        """Equal values may be more under another one."""
        unique = any(field in one.fields for one in self.before.restrictions if one.kind == "unique")
        if now.primary_key:
            yield Change.KEY, {}
        elif unique and (twin is None or twin.collation != now.collation):
            yield Change.TIGHTER, {"what": f"another collation of {now.name}, which is unique,"}
        else:
            yield Change.COLUMN_ALTERED, {"column": now.name, "after": f"COLLATE {now.collation or 'default'}"}

    def end(self, field: str, table: str, column: str, end: Label | None) -> Iterator[tuple[Change, Said]]:
        name = self.twin_name(field)
        twin = (self.other.columns.get(name) or self.other.joins.get(name)) if self.other and name else None
        if twin is None or twin.end is None or end is None or twin.end == end:
            return
        if not {(twin.end, end), (end, twin.end)} & set(self.moved):
            yield (
                Change.REPOINTED,
                {
                    "table": table,
                    "column": column,
                    "after": ".".join(end),
                    "other_type": ".".join(twin.end),
                },
            )

    def restrictions(self, after: Shape) -> Iterator[tuple[Change, Said]]:
        for one in sorted(after.restrictions - self.before.restrictions, key=str):
            if self.may_be_violated(one, after) and not self.is_there_too(one):
                yield Change.TIGHTER, {"what": describe(one)}
        for one in sorted(self.before.restrictions - after.restrictions, key=str):
            if one.fields <= {*after.columns} and self.is_there_too(one):
                yield Change.LOOSER, {"what": describe(one)}

    def may_be_violated(self, one: Restriction, after: Shape) -> bool:
        """By rows of the other table, which have a null or the table's own value in each column that it lacks."""
        own = [after.columns[name] for name in one.fields if name in after.columns and not self.twin(name)]
        if one.kind == "unique":
            return not any((column.null and not column.filled) or column.various for column in own)
        return any(self.twin(name) for name in one.fields)

    def is_there_too(self, one: Restriction) -> bool:
        if self.other is None:
            return False
        fields = {name: self.twin_name(name) for name in one.fields if name in self.before.columns}
        if one.said and any(name != there for name, there in fields.items()):
            return False
        there = frozenset(str(fields.get(name, name)) for name in one.fields)
        return dataclasses.replace(one, fields=there) in self.other.restrictions


def label_of(shape: Shape) -> str:
    return f"{shape.label[0]}.{shape.name}"


def describe(one: Restriction) -> str:
    fields = ", ".join(sorted(one.fields))
    if one.kind in {"unique", "check"}:
        return f"{one.kind.upper()} ({fields})"
    return f"a {one.kind} over {fields}"
