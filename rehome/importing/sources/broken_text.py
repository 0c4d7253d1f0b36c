"""Bytes that are no text: which values of a row have them, and why PostgreSQL refuses them."""

from collections.abc import Iterable, Iterator, Sequence

from rehome.importing.sources.reader import NULL, Report

SHOWN = 20


def fault(value: bytes, encoding: str = "utf-8") -> str:
    """Why PostgreSQL refuses these bytes as a text; empty where it does not."""
    if b"\0" in value:
        return "contains a NUL byte, which no text of PostgreSQL can"
    try:
        value.decode(encoding)
    except UnicodeDecodeError as error:
        name = {"utf-8": "UTF-8"}.get(encoding, encoding)
        return f"is not {name}: byte 0x{value[error.start]:02x} at {error.start} of {value[:SHOWN]!r}"
    return ""


def replace_broken(
    lines: Iterable[bytes], columns: Sequence[str | None], encoding: str, report: Report
) -> Iterator[bytes]:
    """The same lines of COPY in UTF-8, with null for each value that is no text, which is reported, if its column has
    a name.
    """
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode(encoding).encode()
        except UnicodeDecodeError:
            yield replace_broken_values(line, number, columns, encoding, report)


def replace_broken_values(
    line: bytes, number: int, columns: Sequence[str | None], encoding: str, report: Report
) -> bytes:
    values = line.removesuffix(b"\n").split(b"\t")
    for place, (column, value) in enumerate(zip(columns, values, strict=True)):
        reason = fault(value, encoding)
        if reason and column:
            report(number, column, reason)
        values[place] = NULL if reason else value.decode(encoding).encode()
    return b"\t".join(values) + b"\n"
