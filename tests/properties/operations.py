"""Writes through one of the two models: each is run by Django, and applied to the book."""

import abc
import dataclasses
from typing import Any

from hypothesis import strategies as st

from tests.properties.book import UNSET, Book
from tests.properties.columns import equal_key
from tests.properties.shapes import Shape, Side

NOWHERE = "given by the database"
"""Stands for a key that a sequence has still to give."""


@dataclasses.dataclass(frozen=True)
class Operation(abc.ABC):
    """One statement, or what Django makes of one call."""

    side: Side

    @abc.abstractmethod
    def run(self, model: Any, shape: Shape) -> Any: ...

    @abc.abstractmethod
    def apply(self, book: Book, outcome: Any) -> None:
        """Change the book; `outcome` is what `run` returned, or None where that is yet to be seen."""

    def may_collide(self, before: Book, after: Book) -> bool:
        """Whether PostgreSQL may refuse it because of the order in which it takes the rows."""
        return False


def named(shape: Shape, side: Side, changes: dict[int, Any], parent: Any = UNSET) -> dict[str, Any]:
    values = {shape.attname(side, n): value for n, value in changes.items()}
    return values if parent is UNSET or not shape.parent else values | {"parent_id": parent}


@dataclasses.dataclass(frozen=True)
class Insert(Operation):
    """One row; without a key, the database gives it one."""

    key: Any
    values: list[Any]
    parent: Any = None
    extra: Any = UNSET

    def make(self, model: Any, shape: Shape) -> Any:
        pk = {} if self.key is None else {"pk": self.key}
        extra = {} if self.extra is UNSET else {"extra": self.extra}
        return model(**pk, **extra, **named(shape, self.side, dict(enumerate(self.values)), self.parent))

    def run(self, model: Any, shape: Shape) -> Any:
        row = self.make(model, shape)
        row.save(force_insert=True)
        return row.pk

    def apply(self, book: Book, outcome: Any) -> None:
        key = self.key if self.key is not None else outcome or NOWHERE
        book.insert(self.side, key, list(self.values), self.parent, self.extra)
        book.taken |= self.key is not None and book.shape.key.is_numbered

    def may_collide(self, before: Book, after: Book) -> bool:
        return self.key is None and before.taken


@dataclasses.dataclass(frozen=True)
class InsertMany(Operation):
    """Several rows in one statement; with `upsert`, those that are there are updated."""

    rows: tuple[Insert, ...]
    upsert: bool

    def run(self, model: Any, shape: Shape) -> Any:
        rows = [row.make(model, shape) for row in self.rows]
        given = [*shape.names(self.side), *(["parent"] if shape.parent else [])]
        conflicts = {"update_conflicts": True, "unique_fields": ["pk"], "update_fields": given} if self.upsert else {}
        return [row.pk for row in model.objects.bulk_create(rows, **conflicts)]

    def apply(self, book: Book, outcome: Any) -> None:
        for n, row in enumerate(self.rows):
            if self.upsert and equal_key(row.key) in book.rows:
                book.update(self.side, row.key, dict(enumerate(row.values)), row.parent)
            else:
                row.apply(book, (outcome or [f"{NOWHERE} {n}" for n in range(len(self.rows))])[n])

    def may_collide(self, before: Book, after: Book) -> bool:
        return any(row.may_collide(before, after) for row in self.rows) or before.may_collide(after)


@dataclasses.dataclass(frozen=True)
class Update(Operation):
    """The same values for some rows, in one statement."""

    keys: tuple[Any, ...]
    changes: dict[int, Any]
    parent: Any = UNSET

    def run(self, model: Any, shape: Shape) -> Any:
        given = named(shape, self.side, self.changes, self.parent)
        assert model.objects.filter(pk__in=self.keys).update(**given) == len(self.keys)

    def apply(self, book: Book, outcome: Any) -> None:
        for key in self.keys:
            book.update(self.side, key, dict(self.changes), self.parent)

    def may_collide(self, before: Book, after: Book) -> bool:
        return len(self.keys) > 1 and before.may_collide(after)


@dataclasses.dataclass(frozen=True)
class Assign(Operation):
    """One column gets other values in some rows, in one statement; these may be those of each other."""

    column: int
    values: tuple[tuple[Any, Any], ...]
    """Of (key, value)."""

    def run(self, model: Any, shape: Shape) -> Any:
        attribute = shape.attname(self.side, self.column)
        rows = list(model.objects.filter(pk__in=[key for key, _ in self.values]))
        values = {equal_key(key): value for key, value in self.values}
        for row in rows:
            setattr(row, attribute, values[equal_key(row.pk)])
        model.objects.bulk_update(rows, [shape.name(self.side, self.column)])

    def apply(self, book: Book, outcome: Any) -> None:
        for key, value in self.values:
            book.update(self.side, key, {self.column: value})

    def may_collide(self, before: Book, after: Book) -> bool:
        return before.may_collide(after)


@dataclasses.dataclass(frozen=True)
class Rekey(Operation):
    """A row gets another key."""

    key: Any
    new: Any

    def run(self, model: Any, shape: Shape) -> Any:
        given = {"key": self.new[0], "part": self.new[1]} if shape.key.composite else {"key": self.new}
        assert model.objects.filter(pk=self.key).update(**given) == 1

    def apply(self, book: Book, outcome: Any) -> None:
        book.rekey(self.side, self.key, self.new)
        book.taken |= book.shape.key.is_numbered


@dataclasses.dataclass(frozen=True)
class Delete(Operation):
    """Some rows, with what Django deletes or sets to null beside them."""

    keys: tuple[Any, ...]

    def run(self, model: Any, shape: Shape) -> Any:
        model.objects.filter(pk__in=self.keys).delete()

    def apply(self, book: Book, outcome: Any) -> None:
        for key in self.keys:
            if equal_key(key) in book.rows:
                book.delete(key)


@dataclasses.dataclass(frozen=True)
class Tag(Operation):
    """The row's tags, all of them."""

    key: Any
    tags: frozenset[int]

    def run(self, model: Any, shape: Shape) -> Any:
        model.objects.get(pk=self.key).tags.set(sorted(self.tags))

    def apply(self, book: Book, outcome: Any) -> None:
        book.tags[equal_key(self.key)] = set(self.tags)


@dataclasses.dataclass(frozen=True)
class Mark(Operation):
    """Some rows get another text in the field that only the target has."""

    keys: tuple[Any, ...]
    text: str

    def run(self, model: Any, shape: Shape) -> Any:
        model.objects.filter(pk__in=self.keys).update(extra=self.text)

    def apply(self, book: Book, outcome: Any) -> None:
        for key in self.keys:
            book.rows[equal_key(key)].extra = self.text


@dataclasses.dataclass(frozen=True)
class Note(Operation):
    """A row of a table that points at the old one; or all that point at the key are gone."""

    key: Any
    gone: bool

    def run(self, model: Any, shape: Shape) -> Any:
        notes = model._meta.apps.get_model("labels.Note").objects
        if self.gone:
            notes.filter(thing_id=self.key).delete()
        else:
            notes.create(thing_id=self.key)

    def apply(self, book: Book, outcome: Any) -> None:
        if self.gone:
            del book.notes[equal_key(self.key)]
        else:
            book.notes[equal_key(self.key)] += 1


# ----- strategies


extras = st.sampled_from(["it's {x}", "else"])


@st.composite
def values(draw: st.DrawFn, shape: Shape, side: Side, n: int) -> Any:
    column = shape.column(side, n)
    # Now and then a null where none is allowed.
    return draw(column.values) if draw(st.integers(0, 3 if column.null else 15)) else None


@st.composite
def parents(draw: st.DrawFn, book: Book) -> Any:
    """None most of the time, a row that is there, now and then one that is not."""
    if not book.shape.parent:
        return None
    there = [row.key for row in book.rows.values()]
    known = st.sampled_from(there) if there else st.none()
    return draw(st.one_of(st.none(), known, known, known, book.shape.key.values))


@st.composite
def inserts(draw: st.DrawFn, book: Book, side: Side) -> Insert:
    shape = book.shape
    numbered = shape.key.is_auto(side) and draw(st.integers(0, 2)) > 0
    return Insert(
        side,
        None if numbered else draw(shape.key.values),
        [draw(values(shape, side, n)) for n in range(len(shape.pairs))],
        draw(parents(book)),
        draw(extras) if shape.extra and side == "new" and draw(st.booleans()) else UNSET,
    )


@st.composite
def many_inserts(draw: st.DrawFn, book: Book, side: Side) -> InsertMany:
    rows = draw(st.lists(inserts(book, side), min_size=2, max_size=4))
    rows = [dataclasses.replace(row, extra=UNSET) for row in rows]
    upsert = all(row.key is not None for row in rows) and len({equal_key(row.key) for row in rows}) == len(rows)
    # Django inserts rows with a key and rows without one in two statements.
    if len({row.key is None for row in rows}) > 1:
        rows = [row for row in rows if row.key is not None]
    # PostgreSQL refuses ON CONFLICT on a view with a trigger, Django on a key of two columns.
    by_trigger = book.retired and side == "old" and not book.shape.is_plain
    return InsertMany(side, tuple(rows), upsert and not by_trigger and not book.shape.key.composite)


def some_keys(book: Book) -> st.SearchStrategy[tuple[Any, ...]]:
    there = [row.key for row in book.rows.values()]
    return st.lists(st.sampled_from(there), min_size=1, max_size=3, unique_by=equal_key).map(tuple)


@st.composite
def updates(draw: st.DrawFn, book: Book, side: Side) -> Update:
    numbers = draw(st.sets(st.sampled_from(range(len(book.shape.pairs))), min_size=1))
    changes = {n: draw(values(book.shape, side, n)) for n in sorted(numbers)}
    moved = book.shape.parent and draw(st.booleans())
    return Update(side, draw(some_keys(book)), changes, draw(parents(book)) if moved else UNSET)


@st.composite
def assignments(draw: st.DrawFn, book: Book, side: Side) -> Operation:
    column = draw(st.integers(0, len(book.shape.pairs) - 1))
    keys = draw(some_keys(book))
    there = [book.rows[equal_key(key)].values[side][column] for key in keys]
    if not all(map(book.shape.column(side, column).holds, there)):
        # The old side is a view by now, and its model does not know such values.
        return draw(updates(book, side))
    turned = draw(st.one_of(st.permutations(there), st.just([*there[1:], there[0]])))
    return Assign(side, column, tuple(zip(keys, turned, strict=True)))


@st.composite
def rekeys(draw: st.DrawFn, book: Book, side: Side) -> Rekey:
    return Rekey(side, draw(some_keys(book))[0], draw(book.shape.key.values))


def operations(book: Book, side: Side) -> st.SearchStrategy[Operation]:
    """Whatever may be done through the model of that side."""
    known: list[st.SearchStrategy[Operation]] = [inserts(book, side), many_inserts(book, side)]
    if book.rows:
        keys = some_keys(book)
        known += [
            updates(book, side),
            updates(book, side),
            assignments(book, side),
            rekeys(book, side),
            st.builds(Delete, st.just(side), keys),
        ]
        if book.shape.notes:
            known.append(st.builds(Note, st.just(side), keys.map(lambda some: some[0]), st.booleans()))
        if book.shape.extra and side == "new":
            known.append(st.builds(Mark, st.just(side), keys, extras))
        if book.shape.tags:
            tags = st.frozensets(st.integers(1, 3))
            known.append(st.builds(Tag, st.just(side), keys.map(lambda some: some[0]), tags))
    return st.one_of(known)
