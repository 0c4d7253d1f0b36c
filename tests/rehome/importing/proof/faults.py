"""Systematic faults that a reader might have, made on what it hands to the import: COPY's text of each value."""

import datetime
import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest

from rehome.importing import staging

Fault = Callable[[str | None], str | None]
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unescaped(value: str) -> str | None:
    if value == "\\N":
        return None
    return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), value, flags=re.DOTALL)


def escaped(value: str | None) -> str:
    if value is None:
        return "\\N"
    for special, written in {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}.items():
        value = value.replace(special, written)
    return value


class Reader:
    """What reads instead: it makes a fault in some columns, or takes one column for another."""

    def __init__(self, faults: Mapping[str, Fault], swapped: tuple[str, str] | None = None) -> None:
        self.faults = faults
        self.swapped = swapped

    def install(self, patch: pytest.MonkeyPatch) -> None:
        read: Any = staging.read_rows

        def read_rows(plan: Any, *rest: Any) -> Iterator[bytes]:
            columns = [taken.column.name for taken in plan.taken]
            for block in read(plan, *rest):
                lines = bytes(block).decode().removesuffix("\n").split("\n")
                yield "".join(f"{self.spoil(line, columns)}\n" for line in lines).encode()

        patch.setattr(staging, "read_rows", read_rows)

    def spoil(self, line: str, columns: list[str]) -> str:
        values = dict(zip(columns, map(unescaped, line.split("\t")), strict=True))
        for column, fault in self.faults.items():
            values[column] = fault(values[column])
        if self.swapped:
            one, other = self.swapped
            values[one], values[other] = values[other], values[one]
        return "\t".join(map(escaped, values.values()))


def given(fault: Callable[[str], str | None]) -> Fault:
    """Of a value that is not null."""
    return lambda value: None if value is None else fault(value)


def latin1(value: str) -> str:
    """UTF-8 that was taken for latin1."""
    return value.encode().decode("latin1").replace("\x00", "")


def hours(value: str) -> str:
    zone = re.search(r"[+-]\d\d(?::?\d\d)?$", value)
    moment = datetime.datetime.fromisoformat(value[: zone.start()] if zone else value)
    later = moment + datetime.timedelta(hours=3.5)
    return later.isoformat(" ") + (zone[0] if zone else "")


def day(value: str) -> str:
    return (datetime.date.fromisoformat(value) + datetime.timedelta(days=1)).isoformat()


def single_precision(value: str) -> str:
    return f"{float(value):.6g}"


def as_doubles(value: str) -> str:
    """JSON read by a parser that has no other numbers."""
    return json.dumps(json.loads(value, parse_int=float), ensure_ascii=False)


NULL_FOR_EMPTY: Fault = given(lambda value: value or None)
WHOLE = [
    given(lambda value: str(int(value) + 1)),
    given(lambda value: str(-int(value))),
    given(lambda value: str((int(value) + 2**31) % 2**32 - 2**31)),
    lambda value: value or "0",
    given(lambda value: None if value == "0" else value),
]
EXACT = [
    given(lambda value: str(round(Decimal(value), 1))),
    given(lambda value: str(Decimal(repr(float(value))))),
    given(lambda value: value.lstrip("-")),
    lambda value: value or "0",
]
FLOATS = [
    given(single_precision),
    given(lambda value: "0" if float(value) == 0 else value),
    given(lambda value: repr(float(value) * (1 + 2**-52)) if float(value) else value),
]
TEXTS = [
    given(lambda value: value.rstrip(" ")),
    given(latin1),
    NULL_FOR_EMPTY,
    lambda value: value or "",
    given(lambda value: value[:3]),
    given(str.casefold),
    given(lambda value: value.replace("\r\n", "\n")),
]
TRUTHS: list[Fault] = [
    given(lambda value: {"t": "f", "f": "t"}[value]),
    lambda value: value or "f",
    given(lambda value: "t"),
]
DAYS = [given(day), lambda value: value or "1970-01-01", given(lambda value: None if value < "1970" else value)]
MOMENTS = [
    given(hours),
    given(lambda value: re.sub(r"\.\d+", "", value)),
    given(lambda value: re.sub(r"(\.\d{3})\d+", r"\1", value)),
    lambda value: value or "1970-01-01 00:00:00",
]
TIMES = [
    given(lambda value: re.sub(r"\.\d+", "", value)),
    lambda value: value or "00:00:00",
    given(lambda value: value[:5]),
]
SPANS = [
    given(lambda value: value.replace("-", "")),
    given(lambda value: re.sub(r"\.\d+", "", value)),
    lambda value: value or "0",
]
UUIDS = [given(lambda value: value[6:8] + value[4:6] + value[2:4] + value[:2] + value[8:])]
BYTES = [
    given(lambda value: re.sub("(00)+$", "", value)),
    given(lambda value: None if value == "\\x" else value),
    given(lambda value: value[:4]),
]
JSON = [
    given(as_doubles),
    given(lambda value: re.sub(r"\.0+\b", "", value)),
    given(lambda value: "null" if value in {"{}", "[]"} else value),
    given(lambda value: re.sub(r'"(\w+)": ?null,? ?', "", value)),
    lambda value: value or "null",
]
