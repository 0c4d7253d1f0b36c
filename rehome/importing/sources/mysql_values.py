"""MySQL's values as the text that COPY takes: whole columns of a batch at a time, by what they are and are to be."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from MySQLdb.constants import FIELD_TYPE, FLAG

from rehome.importing.sources.broken_text import fault
from rehome.importing.sources.reader import NULL

Raw = bytes | None
"""As the server sent it."""


@dataclasses.dataclass(frozen=True)
class Broken:
    """In the place of a value that PostgreSQL has no text for."""

    reason: str


Cell = bytes | Broken
Convert = Callable[[Sequence[Raw]], Sequence[Cell]]

SPECIAL = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
"""What means something in COPY's text; the backslash first, for the others bring one."""

INTEGERS = {FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG}
PLAIN = INTEGERS | {
    FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE, FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL, FIELD_TYPE.YEAR,
    FIELD_TYPE.DATE, FIELD_TYPE.TIME, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP,
}  # fmt: skip
"""Types whose text has nothing special in it."""


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
    if target.startswith("interval") and kind in INTEGERS:
        return microseconds
    if target.startswith(("date", "timestamp")):
        return functools.partial(dates, zone=b"+00" if kind == FIELD_TYPE.TIMESTAMP and "with time" in target else b"")
    if kind in PLAIN:
        return plain
    return functools.partial(text, binary=bool(flags & FLAG.BINARY))


# ----- columns


def plain(values: Sequence[Raw]) -> Sequence[Cell]:
    return [NULL if value is None else value for value in values] if None in values else values  # type: ignore[return-value]


def text(values: Sequence[Raw], *, binary: bool) -> Sequence[Cell]:
    """With `binary`, bytes that nobody has said to be text yet."""
    # Looked for in all of them at once: few texts have anything special.
    together = b" ".join(filter(None, values))
    if b"\0" in together or (binary and fault(together)):
        return [Broken(reason) if value and (reason := fault(value)) else escaped(value) for value in values]
    if any(special in together for special in SPECIAL):
        return list(map(escaped, values))
    return plain(values)


def dates(values: Sequence[Raw], *, zone: bytes) -> Sequence[Cell]:
    """MySQL's date without a year, a month or a day is no date anywhere else."""
    together = b" ".join(filter(None, values))
    if b"-00" in together or b"0000-" in together:
        values = [None if value and is_zero(value) else value for value in values]
    if zone:
        values = [value and value + zone for value in values]
    return text(values, binary=False)


def truths(values: Sequence[Raw]) -> Sequence[Cell]:
    """Whatever is not zero is true, as MySQL has it."""
    return [NULL if value is None else b"f" if value.strip(b"\0") in {b"", b"0"} else b"t" for value in values]


def hexadecimal(values: Sequence[Raw]) -> Sequence[Cell]:
    return [NULL if value is None else b"\\\\x" + value.hex().encode() for value in values]


def uuids(values: Sequence[Raw]) -> Sequence[Cell]:
    """From BINARY(16), or from what shows them as text."""
    return [value.hex().encode() if value and len(value) == 16 else escaped(value) for value in values]


def numbers(values: Sequence[Raw]) -> Sequence[Cell]:
    return [NULL if value is None else b"%d" % int.from_bytes(value) for value in values]


def microseconds(values: Sequence[Raw]) -> Sequence[Cell]:
    """Django's DurationField is a number of them."""
    return [NULL if value is None else value + b" microseconds" for value in values]


def arrays(values: Sequence[Raw]) -> Sequence[Cell]:
    """A SET; none of its elements has a comma."""
    return [NULL if value is None else escaped(array(value)) for value in values]


# ----- values


def escaped(value: Raw) -> bytes:
    if value is None:
        return NULL
    for special, replacement in SPECIAL.items():
        value = value.replace(special, replacement)
    return value


def array(value: bytes) -> bytes:
    quoted = (b'"%s"' % element.replace(b"\\", b"\\\\").replace(b'"', b'\\"') for element in value.split(b",") if value)
    return b"{%s}" % b",".join(quoted)


def is_zero(date: bytes) -> bool:
    """Of a date that MySQL wrote, or of what looks like one."""
    year, month, day = date[:4], date[5:7], date[8:10]
    return date[4:5] == b"-" and (year == b"0000" or month == b"00" or day == b"00")


# ----- rows


def copy_lines(columns: Sequence[Sequence[Cell]]) -> bytes:
    """The rows of these columns, a line each. Raises TypeError where a value is broken."""
    return b"\n".join(map(b"\t".join, zip(*columns, strict=True))) + b"\n"
