"""Columns: the field that a model gets, and the values that it holds, in pairs of a source's and a target's."""

import dataclasses
import datetime
import decimal
import json
import math
import string
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.postgres import fields as postgres
from django.db import models
from django.db.backends.postgresql.psycopg_any import NumericRange
from django.db.models import Case, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, Lower, Substr
from hypothesis import strategies as st

Values = st.SearchStrategy[Any]
Way = Callable[[Any], Any]
UTC = datetime.UTC


STORED = ("null", "max_length", "max_digits", "decimal_places", "base_field", "db_collation", "db_index")
"""Options that the table keeps; the others are names and comments."""


class Unfit(Exception):  # noqa: N818  It is no error of the test's.
    """A value that no row of the other side can hold."""


def same(value: Any) -> Any:
    return value


def anything(value: Any) -> bool:
    return True


@dataclasses.dataclass(frozen=True, repr=False)
class Column:
    """A field of one model, by its class and options, for each model needs an object of its own."""

    kind: type[models.Field]
    options: dict[str, Any]
    values: Values
    """Of values that are not null and that read back as they were written."""
    fits: Callable[[Any], bool] = anything
    ordered: bool = True
    """Whether PostgreSQL can put its values into a btree."""

    def __repr__(self) -> str:
        return f"{self.kind.__name__}({', '.join(f'{name}={value!r}' for name, value in self.options.items())})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def is_relation(self) -> bool:
        return issubclass(self.kind, models.ForeignKey)

    @property
    def null(self) -> bool:
        return bool(self.options.get("null", False))

    def make(self, **more: Any) -> models.Field:
        # Array fields keep the field that they are made of: it is made anew for each.
        options = {name: value.make() if isinstance(value, Column) else value for name, value in self.options.items()}
        return self.kind(**options | more)

    def with_options(self, **more: Any) -> "Column":
        return dataclasses.replace(self, options=self.options | more)

    def holds(self, value: Any) -> bool:
        return self.null if value is None else self.fits(value)


@dataclasses.dataclass(frozen=True, repr=False)
class Pair:
    """A column of the source and the column of the target that it becomes, with what the Move says of them."""

    source: Column
    target: Column
    renamed: bool = False
    fields: Callable[[str], Any] | None = None
    """From the name of the source's field to the expression in `fields`; None takes the value as it is."""
    backwards: Callable[[str], Any] | None = None
    there: Way = same
    """What `fields` does to a value."""
    back: Way = same

    def __repr__(self) -> str:
        return f"<{self.source!r} -> {self.target!r}{', renamed' if self.renamed else ''}{self.describe()}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def describe(self) -> str:
        return f", {self.fields('f')} and back {self.backwards('f')}" if self.fields and self.backwards else ""

    @property
    def is_alike(self) -> bool:
        """Whether both columns hold the same values in the same way."""
        kept = [[column.kind, *map(column.options.get, STORED)] for column in (self.source, self.target)]
        return self.plain and kept[0] == kept[1]

    @property
    def plain(self) -> bool:
        return self.fields is None


def image(value: Any) -> str:
    """The same for two values only where every bit of them is."""
    match value:
        case memoryview() | bytes() | bytearray():
            return repr(bytes(value))
        case dict():
            return json.dumps(value, sort_keys=True)
        case list() | tuple():
            return f"[{','.join(map(image, value))}]"
    return repr(value)


def equal_key(value: Any) -> str:
    """The same for two values that PostgreSQL takes for equal."""
    if isinstance(value, float) and value == 0:
        return image(0.0)
    return f"[{','.join(map(equal_key, value))}]" if isinstance(value, list | tuple) else image(value)


# ----- values


def once(moment: Any) -> Any:
    """An hour that comes twice has no place in the database."""
    return moment.replace(fold=0)


letters = st.characters(codec="utf-8", exclude_characters="\0")
ascii_letters = st.sampled_from(string.ascii_letters + string.digits + " %\\'\"{}")
texts = st.one_of(st.text(ascii_letters, max_size=6), st.text(letters, max_size=6), st.just("a   "))
# Without -0.0, which the database does not always get from Python.
floats = st.one_of(st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 5e-324])).map(
    lambda number: number + 0.0
)
moments = st.datetimes(timezones=st.just(UTC)).map(once)
jsons = st.recursive(
    st.one_of(st.integers(-5, 2**40), st.booleans(), st.text(letters, max_size=4)),
    lambda inner: st.one_of(
        st.lists(st.one_of(st.none(), inner), max_size=2),
        st.dictionaries(st.text(letters, max_size=3), st.one_of(st.none(), inner), max_size=2),
    ),
    max_leaves=4,
)
addresses = st.one_of(
    st.integers(2**24, 2**32 - 1).map(lambda n: ".".join(str(n >> shift & 255) for shift in (24, 16, 8, 0))),
    st.integers(1, 0xFFFF).map(lambda n: f"2001:db8::{n:x}"),
)

INTEGERS: dict[type[models.Field], tuple[int, int]] = {
    models.SmallIntegerField: (-(2**15), 2**15 - 1),
    models.IntegerField: (-(2**31), 2**31 - 1),
    models.BigIntegerField: (-(2**63), 2**63 - 1),
    models.PositiveSmallIntegerField: (0, 2**15 - 1),
    models.PositiveIntegerField: (0, 2**31 - 1),
    models.PositiveBigIntegerField: (0, 2**63 - 1),
}
WIDTHS = {2**15 - 1: 2, 2**31 - 1: 4, 2**63 - 1: 8}


def integer(kind: type[models.Field]) -> Column:
    low, high = INTEGERS[kind]
    few = st.integers(max(low, -3), 3)
    return Column(kind, {}, st.one_of(few, few, st.integers(low, high)), lambda value: low <= value <= high)


def char(length: int) -> Column:
    # PostgreSQL cuts blanks that are too many without an error, as the SQL standard wants.
    return Column(
        models.CharField,
        {"max_length": length},
        texts.map(lambda text: text[:length]),
        lambda text: len(text) <= length,
    )


def number(digits: int, places: int) -> Column:
    limit = decimal.Decimal(10) ** (digits - places)
    # By the text, because arithmetic rounds to 28 digits.
    values = st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda n: decimal.Decimal(f"{n}E-{places}"))
    return Column(
        models.DecimalField,
        {"max_digits": digits, "decimal_places": places},
        values,
        lambda value: value.copy_abs() < limit,
    )


def array(item: Column) -> Column:
    values = st.lists(st.one_of(st.none(), item.values), max_size=3)
    return Column(postgres.ArrayField, {"base_field": item.with_options(null=True)}, values, ordered=item.ordered)


TAGS = {1, 2, 3}
"""Of the rows of `labels.Tag`, which never change, the keys."""

text = Column(models.TextField, {}, texts)
tag = Column(
    models.ForeignKey,
    {"to": "labels.Tag", "on_delete": models.DO_NOTHING, "related_name": "+"},
    st.sampled_from([*TAGS, *TAGS, max(TAGS) + 1]),
)
COLUMNS: list[Column] = [
    *map(integer, INTEGERS),
    char(3),
    char(20),
    text,
    text.with_options(db_collation="C"),
    Column(models.CharField, {"max_length": 20, "db_collation": "POSIX"}, texts),
    Column(models.CharField, {"max_length": 1, "choices": [("a", "A"), ("b", "B")]}, st.sampled_from("ab")),
    Column(models.SlugField, {}, st.sampled_from(["a-b", "A-b", ""])),
    Column(models.BooleanField, {}, st.booleans()),
    Column(models.FloatField, {}, floats),
    number(5, 2),
    number(30, 10),
    Column(models.UUIDField, {}, st.uuids()),
    Column(models.DateField, {}, st.dates()),
    Column(models.TimeField, {}, st.times().map(once)),
    Column(models.DateTimeField, {}, moments),
    Column(models.DurationField, {}, st.timedeltas(datetime.timedelta(days=-(10**6)), datetime.timedelta(days=10**6))),
    Column(models.JSONField, {}, jsons),
    Column(models.BinaryField, {}, st.binary(max_size=9)),
    Column(models.GenericIPAddressField, {}, addresses),
    Column(
        postgres.IntegerRangeField,
        {},
        st.tuples(st.integers(-9, 9), st.integers(1, 9)).map(lambda pair: NumericRange(pair[0], pair[0] + pair[1])),
    ),
    tag,
    array(integer(models.IntegerField)),
    array(char(20)),
    array(Column(models.FloatField, {}, floats)),
    array(Column(models.UUIDField, {}, st.uuids())),
]

WIDER: list[tuple[Column, Column]] = [
    (integer(models.SmallIntegerField), integer(models.IntegerField)),
    (integer(models.SmallIntegerField), integer(models.BigIntegerField)),
    (integer(models.IntegerField), integer(models.BigIntegerField)),
    (integer(models.IntegerField), integer(models.PositiveIntegerField)),
    (integer(models.PositiveSmallIntegerField), integer(models.SmallIntegerField)),
    (char(3), char(20)),
    (char(20), char(3)),
    (char(3), text),
    (text, char(3)),
    (text, Column(models.TextField, {"db_collation": "C"}, texts)),
    (number(5, 2), number(9, 2)),
]


# ----- expressions


def nullable(way: Way) -> Way:
    """Null stays null."""
    return lambda value: None if value is None else way(value)


def read_integer(value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise Unfit(value) from error


def read_uuid(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value)
    except ValueError as error:
        raise Unfit(value) from error


def turned(name: str) -> Case:
    return Case(When(**{name: True}, then=Value(False)), When(**{name: False}, then=Value(True)), default=None)


ascii_text = Column(models.TextField, {}, st.text(ascii_letters, max_size=5))
digits = Column(models.TextField, {}, st.one_of(st.integers(-9, 9999).map(str), st.sampled_from(["007", "x"])))
identifiers = Column(
    models.CharField, {"max_length": 40}, st.one_of(st.uuids().map(str), st.sampled_from(["x", "0" * 32]))
)
COMPUTED: list[Pair] = [
    Pair(
        integer(models.IntegerField),
        integer(models.IntegerField),
        fields=lambda name: models.F(name) + 7,
        backwards=lambda name: models.F(name) - 7,
        there=nullable(lambda value: value + 7),
        back=nullable(lambda value: value - 7),
    ),
    Pair(
        integer(models.IntegerField),
        digits,
        fields=lambda name: Cast(name, models.TextField()),
        backwards=lambda name: Cast(name, models.IntegerField()),
        there=nullable(str),
        back=nullable(read_integer),
    ),
    Pair(
        Column(models.UUIDField, {}, st.uuids()),
        identifiers,
        fields=lambda name: Cast(name, models.CharField(max_length=40)),
        backwards=lambda name: Cast(name, models.UUIDField()),
        there=nullable(str),
        back=nullable(read_uuid),
    ),
    Pair(
        Column(models.BooleanField, {}, st.booleans()),
        Column(models.BooleanField, {}, st.booleans()),
        fields=turned,
        backwards=turned,
        there=nullable(lambda value: not value),
        back=nullable(lambda value: not value),
    ),
    # Null becomes "" on its way into the concatenation, and every letter small: neither can be undone.
    Pair(
        ascii_text,
        ascii_text,
        fields=lambda name: Concat(Value("it's 100% "), name, output_field=models.TextField()),
        backwards=lambda name: Substr(name, 11),
        there=lambda value: "it's 100% " + (value or ""),
        back=nullable(lambda value: value[10:]),
    ),
    Pair(
        ascii_text,
        ascii_text,
        fields=Lower,
        backwards=models.F,
        there=nullable(str.lower),
    ),
    Pair(
        integer(models.IntegerField),
        integer(models.IntegerField),
        fields=lambda name: Coalesce(name, Value(-1)),
        backwards=models.F,
        there=lambda value: -1 if value is None else value,
    ),
]
