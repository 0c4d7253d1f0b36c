"""MySQL's values as COPY's text: whole columns of a batch at a time, by their types here and there."""

import binascii
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence

from MySQLdb.constants import FIELD_TYPE, FLAG

from rehome.importing.sources.broken_text import fault
from rehome.importing.sources.reader import BLOCK_SIZE, LONGEST, NULL, SPECIAL, escaped, too_long

Raw = bytes | None
"""As the server sent it."""


@dataclasses.dataclass(frozen=True)
class Broken:
    """In the place of a value that PostgreSQL has no text for."""

    reason: str


Cell = bytes | Broken
Convert = Callable[[Sequence[Raw]], Sequence[Cell]]

INTEGERS = {FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG}
PLAIN = INTEGERS | {
    FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE, FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL, FIELD_TYPE.YEAR,
    FIELD_TYPE.DATE, FIELD_TYPE.TIME, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP,
}  # fmt: skip
"""Types whose text has nothing special in it."""


TEXTS = ("text", "character")


def make_converter(kind: int, flags: int, target: str) -> Convert:
    """From a column of MySQL's type `kind` to one of PostgreSQL's type `target`."""
    if target.endswith("[]") and flags & FLAG.SET:
        return arrays
    if target == "bytea":
        return hexadecimal
    if target == "boolean" and kind in INTEGERS | {FIELD_TYPE.BIT}:
        return truths
    if kind == FIELD_TYPE.BIT:
        return numbers
    if target == "uuid" and flags & FLAG.BINARY:
        return uuids
    if target.startswith("interval") and kind in INTEGERS | {FIELD_TYPE.YEAR}:
        return microseconds
    if target.startswith(("date", "timestamp")):
        return functools.partial(dates, zone=b"+00" if kind == FIELD_TYPE.TIMESTAMP and "with time" in target else b"")
    if kind == FIELD_TYPE.TIMESTAMP and target.startswith(TEXTS):
        return moments
    if kind in PLAIN:
        return plain
    return functools.partial(text, binary=bool(flags & FLAG.BINARY))


# ----- columns


def plain(values: Sequence[Raw]) -> Sequence[Cell]:
    return [NULL if value is None else value for value in values] if None in values else values  # type: ignore[return-value]


def text(values: Sequence[Raw], *, binary: bool) -> Sequence[Cell]:
    """With `binary`, bytes that may be no text."""
    # All of them at once: few texts have anything special.
    together = b" ".join(filter(None, values))
    if b"\0" in together or (binary and fault(together)):
        return each(written)(values)
    if any(special in together for special in SPECIAL):
        return each(escaped)(values)
    return plain(values)


def dates(values: Sequence[Raw], *, zone: bytes) -> Sequence[Cell]:
    """MySQL's dates without a year, a month or a day become null: PostgreSQL has none."""
    together = b" ".join(filter(None, values))
    if b"-00" in together or b"0000-" in together:
        values = [None if value and is_zero(value) else value for value in values]
    if zone:
        values = [value and value + zone for value in values]
    return text(values, binary=False)


def each(convert: Callable[[bytes], Cell]) -> Convert:
    """Converts a column value by value; null stays null."""
    return lambda values: [NULL if value is None else convert(value) for value in values]


# Whatever is not zero is true, as in MySQL.
truths = each(lambda value: b"f" if value.strip(b"\0") in {b"", b"0"} else b"t")
hexadecimal = each(
    lambda value: b"\\\\x" + binascii.hexlify(value) if 2 * len(value) <= LONGEST else Broken(too_long(2 * len(value)))
)
# From BINARY(16), or from a text.
uuids = each(lambda value: value.hex().encode() if len(value) == 16 else written(value))
numbers = each(lambda value: b"%d" % int.from_bytes(value))
# In UTC, as they are read; also where they are looked up.
moments = each(lambda value: value if is_zero(value) else value + b"+00")
# Django's DurationField is a number of them.
microseconds = each(lambda value: value + b" microseconds")
# Of a SET; none of its elements has a comma.
arrays = each(lambda value: escaped(array(value)))


# ----- values


def written(value: bytes) -> Cell:
    """Of bytes that may be no text."""
    return Broken(reason) if (reason := fault(value)) else escaped(value)


def array(value: bytes) -> bytes:
    quoted = (b'"%s"' % element.replace(b"\\", b"\\\\").replace(b'"', b'\\"') for element in value.split(b",") if value)
    return b"{%s}" % b",".join(quoted)


def is_zero(date: bytes) -> bool:
    year, month, day = date[:4], date[5:7], date[8:10]
    return date[4:5] == b"-" and (year == b"0000" or month == b"00" or day == b"00")


# ----- rows


def copy_lines(columns: Sequence[Sequence[Cell]]) -> bytes:
    """The rows of these columns, a line each. Raises TypeError where a value is broken."""
    return b"\n".join(map(b"\t".join, zip(*columns, strict=True))) + b"\n"


def is_long(row: Iterable[Raw]) -> bool:
    return sum(map(len, filter(None, row))) >= BLOCK_SIZE


def pieces(converters: Sequence[Convert], row: Sequence[Raw], broken: Callable[[int, str], object]) -> Iterator[bytes]:
    """The line of a long row, of which one value is converted at a time. `broken` is called with the place of each
    value that becomes null, and why.
    """
    done = 0
    for place, (convert, value) in enumerate(zip(converters, row, strict=True)):
        (cell,) = convert([value])
        if isinstance(cell, bytes) and done + len(cell) > LONGEST:
            cell = Broken(too_long(len(cell), beside=done))
        if isinstance(cell, Broken):
            broken(place, cell.reason)
            cell = NULL
        done += len(cell)
        yield b"\t" if place else b""
        yield cell
    yield b"\n"
