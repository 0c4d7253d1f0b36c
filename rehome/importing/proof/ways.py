"""How each column is compared: by what both servers reckon of it, or by the source's values, which are streamed."""

import dataclasses
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

from rehome.importing.proof import forms, jsonb
from rehome.importing.proof.claims import Claim
from rehome.importing.proof.dialects import NOT_TAKEN, NULL
from rehome.importing.proof.forms import Form
from rehome.importing.proof.kinds import Kind, of_column
from rehome.importing.proof.known import Known
from rehome.importing.proof.source import Source
from rehome.importing.proof.target import Target, as_constant

Make = Callable[[Sequence[Any]], Sequence[str | None]]
"""Canonical forms of values that were streamed, none of which is null."""
ZERO = re.compile(r"0000-|\d{4}-00|\d{4}-\d\d-00")
"""How MySQL begins what is no day."""
BY_SERVERS, BY_VALUE = "by both servers", "value by value"


@dataclasses.dataclass(frozen=True)
class Way:
    """One column's."""

    claim: Claim
    place: int
    """Among the columns of the source's query."""
    form: Form
    """Where values are streamed, its `source` is what is streamed."""
    how: str
    make: Make | None = None
    """None where the source's server reckons."""
    raw: str = "{0}"
    """At the source, the value as a person reads it."""

    @property
    def said(self) -> str:
        return f"{BY_VALUE if self.make else BY_SERVERS}, {self.how}"

    def canonical(self, values: Sequence[Any]) -> list[str]:
        """Of values that were streamed, nulls among them."""
        assert self.make  # noqa: S101  Nothing else is streamed.
        made = iter(self.make([value for value in values if value is not None]))
        return [NULL if value is None else self.framed(next(made)) for value in values]

    def framed(self, text: str | None) -> str:
        if text is None:
            return NULL
        return f"{len(text.encode(errors='replace'))}:{text}" if self.form.framed and text != NOT_TAKEN else text

    def streamed(self, reason: str) -> "Way":
        """The same by its values, in the form that the source's server writes."""
        return self if self.make else dataclasses.replace(self, make=as_written, how=reason)


def as_written(values: Sequence[Any]) -> Sequence[str]:
    return values


def choose(number: int, claim: Claim, source: Source, target: Target, known: Known | None) -> Way:
    kind, column = source.kinds[number], of_column(claim.column)
    raw = raw_text(source.server, kind)
    if claim.constant:
        form = Form("a constant", "{0}", as_constant(claim.column), framed=True)
        return Way(claim, number, form, "as the constant that is declared", raw=raw)
    if known is not None:
        form = Form("", raw, "({0})::text", framed=True)
        return Way(claim, number, form, f"looked up in {known.lookup}", known.answers, raw)
    form_of_pair = forms.find(source.server, kind, column, source.zone, stored=source.stored)
    if form_of_pair and claim.carried:
        return Way(claim, number, form_of_pair, f"as {form_of_pair.name}", raw=raw)
    if form_of_pair:
        return Way(claim, number, form_of_pair, "computed by an expression", as_written, raw)
    form, how, make = by_values(source, target, claim, kind, column, raw)
    return Way(claim, number, form, how, make, raw)


def by_values(
    source: Source, target: Target, claim: Claim, kind: Kind, column: Kind, raw: str
) -> tuple[Form, str, Make]:
    """For types that no two servers write alike."""
    if kind.family == column.family == "float":
        single = column.name == "real"
        given = "{0}" if source.server == "postgresql" else "({0} + 0e0)"
        form = Form("", given, f"encode(float{4 if single else 8}send({{0}}), 'hex')")
        return form, "bit by bit, as floats", singles if single else doubles
    if column.name == "jsonb":
        return Form("", raw, "({0})::text", framed=True), "parsed, as JSON", documents
    if (kind.family, column.family) == ("bit", "bytes"):
        return Form("", "{0}", "encode({0}, 'hex')"), "byte by byte", octets
    if kind.family == column.family == "geometry":
        return Form("", "({0})::text", "({0})::text", framed=True), "bit by bit, as geometries", as_written
    if column.family == "text" or (kind.family, column.name) == ("json", "json"):
        return Form("", raw, "({0})::text", framed=True), "as texts", as_written
    written = {"float": "encode(float8send({0}), 'hex')", "decimal": "trim_scale({0})::text"}
    form = Form("", raw, written.get(column.family, "({0})::text"), framed=True)
    reads = target.reads(claim.column, form.target)
    how = f"as {claim.column.base_type}, which the target makes of {kind.name.lower()}"
    if source.server == "mysql" and column.family in {"date", "local", "moment"}:
        return form, how, without_zeros(reads)
    return form, how, reads


def raw_text(server: str, kind: Kind) -> str:
    """What a server writes a value as, by itself."""
    if server == "postgresql" and kind.family == "money":
        return "({0})::numeric::text"
    if server == "postgresql":
        return "CASE WHEN {0} IS NOT NULL THEN concat({0}) END"
    return {
        **dict.fromkeys(["text", "enum", "set", "bytes"], "CONVERT({0} USING utf8mb4)"),
        "float": "CAST({0} + 0e0 AS CHAR)",
        "bit": "CAST(CAST({0} AS UNSIGNED) AS CHAR)",
        # In UTC; one of zeros is no moment.
        "moment": "IF({0} = 0, CAST({0} AS CHAR), "
        "CONCAT(DATE_ADD('1970-01-01 00:00:00', INTERVAL UNIX_TIMESTAMP({0}) SECOND), '+00'))",
    }.get(kind.family, "CAST({0} AS CHAR)")


# ----- values


def doubles(values: Sequence[float]) -> list[str]:
    return [struct.pack(">d", value).hex() for value in values]


def singles(values: Sequence[float]) -> list[str]:
    return [single(value) for value in values]


def single(value: float) -> str:
    try:
        return struct.pack(">f", value).hex()
    except OverflowError:
        return NOT_TAKEN


def octets(values: Sequence[bytes]) -> list[str]:
    return [value.hex() for value in values]


def documents(values: Sequence[str]) -> list[str]:
    return [document(value) for value in values]


def document(value: str) -> str:
    try:
        return jsonb.written(value)
    except (ValueError, RecursionError):
        return NOT_TAKEN


def without_zeros(reads: Callable[[Sequence[str]], list[str]]) -> Make:
    """What is no day becomes null."""

    def make(values: Sequence[str]) -> list[str | None]:
        made = iter(reads([value for value in values if not ZERO.match(value)]))
        return [None if ZERO.match(value) else next(made) for value in values]

    return make
