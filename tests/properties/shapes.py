"""Shapes: two models and the Move between them, as a value that Hypothesis can draw, print and shrink."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal

from django.db import models
from hypothesis import strategies as st

from rehome import Move
from tests.properties import names
from tests.properties.columns import COLUMNS, COMPUTED, TAGS, WIDER, Column, Pair
from tests.properties.constraints import Check, Constraint, Index, Unique
from tests.properties.keys import Key, keys
from tests.rehome.support.lab import Lab

Side = Literal["old", "new"]
Way = Literal["in one transaction", "online", "in place"]
WAYS: dict[Way, dict[str, bool]] = {
    "in one transaction": {"online": False},
    "online": {"online": True},
    "in place": {"in_place": True},
}
BOTH: tuple[Side, ...] = ("old", "new")


@dataclasses.dataclass(frozen=True)
class Parent:
    """A foreign key to the model itself."""

    on_delete: Callable[..., None]
    unique: bool

    def make(self, app: str) -> models.Field:
        kind = models.OneToOneField if self.unique else models.ForeignKey
        return kind("self", self.on_delete, null=True, related_name="+")


@dataclasses.dataclass(frozen=True)
class Extra:
    """A text that only the target has, and how it comes by a value for the source's rows."""

    how: Literal["null", "db_default", "default", "given"]
    discard: bool

    @property
    def fill(self) -> str | None:
        return None if self.how == "null" else "it's {x}"

    @property
    def unsaid(self) -> str | None:
        """What a row of the target gets that says nothing."""
        return self.fill if "default" in self.how else None

    def make(self) -> models.Field:
        return models.TextField(
            null="default" not in self.how, **({self.how: self.fill} if "default" in self.how else {})
        )


@dataclasses.dataclass(frozen=True)
class Shape:
    """`old.Thing` with a key and columns, `new.Thing` that they become, what holds for the rows of each."""

    key: Key
    pairs: tuple[Pair, ...]
    way: Way
    tables: tuple[str, str]
    columns: tuple[tuple[str | None, ...], ...]
    """By side and pair, the name of the column where it is not the field's."""
    comment: str | None = None
    constraints: tuple[tuple[Constraint, tuple[Side, ...]], ...] = ()
    indexes: tuple[tuple[Index, tuple[Side, ...]], ...] = ()
    parent: Parent | None = None
    tags: bool = False
    """A many-to-many field to `labels.Tag`."""
    notes: bool = False
    """`labels.Note`, which points at `old.Thing` and does not move."""
    extra: Extra | None = None

    def name(self, side: Side, n: int) -> str:
        return f"g{n}" if side == "new" and self.pairs[n].renamed else f"f{n}"

    def attname(self, side: Side, n: int) -> str:
        """The attribute that holds the value."""
        return self.name(side, n) + "_id" * self.pairs[n].source.is_relation

    def names(self, side: Side) -> list[str]:
        """Of the fields, in the order of the pairs."""
        return [self.name(side, n) for n in range(len(self.pairs))]

    def column(self, side: Side, n: int) -> Column:
        return self.pairs[n].source if side == "old" else self.pairs[n].target

    def constraints_of(self, side: Side) -> Iterator[Constraint]:
        return (constraint for constraint, sides in self.constraints if side in sides)

    @property
    def is_alike(self) -> bool:
        """Whether the two tables differ in names alone."""
        return (
            self.key.source.kind is self.key.target.kind
            and all(pair.is_alike for pair in self.pairs)
            and self.extra is None
            and all(sides == BOTH for _, sides in (*self.constraints, *self.indexes))
        )

    @property
    def is_plain(self) -> bool:
        return all(pair.plain for pair in self.pairs)

    def move(self) -> Move:
        """What a user would write for it, with every field named that needs a mention."""
        numbered = list(enumerate(self.pairs))
        given = {self.name("new", n): f"f{n}" for n, pair in numbered if pair.renamed and not pair.fields}
        computed = {self.name("new", n): pair.fields(f"f{n}") for n, pair in numbered if pair.fields}
        backwards = {f"f{n}": pair.backwards(self.name("new", n)) for n, pair in numbered if pair.backwards}
        if self.extra and self.extra.how == "given":
            computed["extra"] = models.Value(self.extra.fill)
        discard = ["extra"] if self.extra and self.extra.discard else []
        return Move(
            "old.Thing",
            "new.Thing",
            fields=given | computed,
            backwards=backwards,
            discard=discard,
            **WAYS[self.way],
        )

    def build(self, lab: Lab) -> None:
        """Make both tables, and those that they point at and that point at them."""
        lab.model("labels.Tag", {})
        lab.sql("INSERT INTO labels_tag SELECT unnest(%s)", [sorted(TAGS)])
        for side, table in zip(BOTH, self.tables, strict=True):
            fields = self.key.make(side) | self.fields(side)
            lab.model(f"{side}.Thing", fields, db_table=table, **self.options(side))
        if self.notes:
            lab.model("labels.Note", {"thing": models.ForeignKey("old.Thing", models.DO_NOTHING, related_name="+")})

    def fields(self, side: Side) -> dict[str, models.Field]:
        fields = {
            self.name(side, n): self.column(side, n).make(db_column=column)
            for n, column in enumerate(self.columns[BOTH.index(side)])
        }
        if self.parent:
            fields["parent"] = self.parent.make(side)
        if self.tags:
            fields["tags"] = models.ManyToManyField("labels.Tag", related_name="+", db_table=f"{side} thing tags")
        if self.extra and side == "new":
            fields["extra"] = self.extra.make()
        return fields

    def options(self, side: Side) -> dict[str, Any]:
        given = self.names(side)
        return {
            "constraints": [
                constraint.make(given, f"{side} {n}") for n, constraint in enumerate(self.constraints_of(side))
            ],
            "indexes": [
                index.make(given, f"{side} {n}") for n, (index, sides) in enumerate(self.indexes) if side in sides
            ],
            **({"db_table_comment": self.comment} if self.comment else {}),
        }


# ----- strategies

sides: st.SearchStrategy[tuple[Side, ...]] = st.sampled_from([BOTH, BOTH, ("old",), ("new",)])
# Without a percent sign, which Django can't write into a comment.
comments = st.sampled_from([None, 'it\'s "quoted"', "größe\n--"])
commented = comments.map(lambda comment: {"db_comment": comment} if comment else {})


@st.composite
def alike_pairs(draw: st.DrawFn) -> Pair:
    """Columns that differ in names alone."""
    column = draw(st.sampled_from(COLUMNS)).with_options(null=draw(st.booleans()))
    column = column.with_options(db_index=column.ordered and draw(st.integers(0, 3)) == 0)
    source, target = (column.with_options(**draw(commented)) for _ in BOTH)
    return Pair(source, target, renamed=draw(st.booleans()))


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """A column as it is, wider in the target, or computed; null or not; under another name."""
    plain = st.sampled_from(COLUMNS).map(lambda column: Pair(column, column))
    wider = st.sampled_from(WIDER).map(lambda columns: Pair(*columns))
    pair = draw(st.one_of(plain, plain, wider, st.sampled_from(COMPUTED)))
    nulls = draw(st.sampled_from([(True, True), (False, False), (False, True), (True, False)]))
    source, target = (
        column.with_options(null=null, db_index=column.ordered and draw(st.integers(0, 3)) == 0, **draw(commented))
        for column, null in zip((pair.source, pair.target), nulls, strict=True)
    )
    return dataclasses.replace(pair, source=source, target=target, renamed=draw(st.booleans()))


@st.composite
def constraints(draw: st.DrawFn, pairs: list[Pair]) -> Constraint:
    numbers = [n for n, pair in enumerate(pairs) if pair.source.ordered and pair.target.ordered]
    name = draw(names.constraints)
    textual = [n for n in numbers if issubclass(pairs[n].target.kind, models.TextField) and pairs[n].plain]
    if textual and draw(st.booleans()):
        return Check(draw(st.sampled_from(textual)), draw(st.sampled_from(["100%", "it's", "a   ", "a"])), name)
    fields = draw(st.lists(st.sampled_from(numbers), min_size=1, max_size=2, unique=True))
    kind = draw(st.sampled_from(["plain", "plain", "only set", "nulls equal", "deferred", "immediate", "covering"]))
    return Unique(
        tuple(fields),
        name,
        only_set=kind == "only set",
        nulls_distinct=False if kind == "nulls equal" else None,
        deferrable={"deferred": models.Deferrable.DEFERRED, "immediate": models.Deferrable.IMMEDIATE}.get(kind),
        include=(draw(st.integers(0, len(pairs) - 1)),) if kind == "covering" else (),
    )


@st.composite
def indexes(draw: st.DrawFn, pairs: list[Pair]) -> Index:
    number = draw(st.integers(0, len(pairs) - 1))
    columns = (pairs[number].source, pairs[number].target)
    kinds = ["covering"]
    if all(column.ordered for column in columns):
        kinds += ["btree", "descending", "partial", "expression", "hash"]
    if all(issubclass(column.kind, models.IntegerField | models.DateField) for column in columns):
        kinds.append("brin")
    if all(issubclass(column.kind, models.JSONField) for column in columns):
        kinds.append("gin")
    return Index(number, draw(st.sampled_from(kinds)))


parents = st.builds(
    Parent, st.sampled_from([models.CASCADE, models.SET_NULL, models.DO_NOTHING]), st.sampled_from([False, False, True])
)
extras = st.builds(Extra, st.sampled_from(["null", "db_default", "default", "given"]), st.booleans())


@st.composite
def columns(draw: st.DrawFn, count: int) -> tuple[str | None, ...]:
    """They begin with a number each, so that none has the name of another."""
    found = [draw(st.one_of(st.none(), names.identifiers)) for _ in range(count)]
    return tuple(name and f"{n}{name}" for n, name in enumerate(found))


@st.composite
def shapes(draw: st.DrawFn, way: Way) -> Shape:
    # In place, most are as they have to be.
    alike = way == "in place" and draw(st.integers(0, 3)) > 0
    key = draw(keys(alike=alike))
    drawn = draw(st.lists(alike_pairs() if alike else pairs(), min_size=1, max_size=4))
    placed = st.just(BOTH) if alike else sides
    ordered = any(pair.source.ordered and pair.target.ordered for pair in drawn)
    tables = draw(st.lists(st.one_of(names.plain, names.identifiers), min_size=2, max_size=2, unique=True))
    return Shape(
        key=key,
        pairs=tuple(drawn),
        way=way,
        tables=(f"x{tables[0]}", f"y{tables[1]}"),
        columns=(draw(columns(len(drawn))), draw(columns(len(drawn)))),
        comment=draw(comments),
        constraints=tuple(draw(st.lists(st.tuples(constraints(drawn), placed), max_size=2 if ordered else 0))),
        indexes=tuple(draw(st.lists(st.tuples(indexes(drawn), placed), max_size=2))),
        parent=None if key.composite else draw(st.one_of(st.none(), parents)),
        tags=not key.composite and draw(st.booleans()),
        notes=not key.composite and draw(st.integers(0, 2)) == 0,
        extra=None if alike else draw(st.one_of(st.none(), extras)),
    )
