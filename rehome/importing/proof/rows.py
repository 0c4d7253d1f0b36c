"""The rows of each side: their number and hashes, by all or by bucket, and row by row."""

import abc
import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rehome.importing.proof.dialects import BETWEEN, BUCKET, DIGITS, Dialect
from rehome.importing.proof.source import Source
from rehome.importing.proof.target import Target
from rehome.importing.proof.ways import Way

MASK = (1 << 64) - 1
FEW = 256
"""Buckets that are named in a query; of more, every row is read."""


@dataclasses.dataclass(frozen=True)
class Row:
    key: str
    """Its hash."""
    shown: tuple[str, ...]
    """The key, as a person reads it."""
    values: tuple[str, ...]
    """The hash of each value that is no part of the key, in the order of the ways."""


@dataclasses.dataclass(frozen=True)
class Sum:
    """Of some rows."""

    rows: int
    servers: int
    """The hashes of what both servers reckon."""
    values: int
    """The hashes of what is streamed."""


Statistics = dict[tuple[str, str], str]
"""By column and figure."""


class Ways:
    """Those of an import, the key's before the others."""

    def __init__(self, ways: Sequence[Way]) -> None:
        self.key = [way for way in ways if way.claim.key]
        self.rest = [way for way in ways if not way.claim.key]
        self.key_streamed = any(way.make for way in self.key)
        self.by_servers = [] if self.key_streamed else [way for way in self.rest if not way.make]
        self.by_values = [way for way in self.rest if way.make]
        self.streams = bool(self.by_values) or self.key_streamed


class Side(abc.ABC):
    """What is asked of either side, each in its own SQL."""

    def __init__(self, ways: Ways, dialect: Dialect) -> None:
        self.ways = ways
        self.dialect = dialect

    @abc.abstractmethod
    def place(self, way: Way) -> str:
        """The column, as SQL names it."""

    @abc.abstractmethod
    def template(self, way: Way) -> str:
        """SQL of the canonical form of what stands for {0}."""

    def canonical(self, way: Way) -> str:
        written = self.template(way).replace("{0}", self.place(way))
        return self.dialect.framed(written) if way.form.framed else written

    def row(self, ways: Iterable[Way]) -> str:
        return self.dialect.row(map(self.canonical, ways))

    def hashed(self, text: str) -> str:
        return f"LEFT({self.dialect.md5(text)}, {DIGITS})"

    def bucket(self) -> str:
        return f"LEFT({self.dialect.md5(self.row(self.ways.key))}, {BUCKET})"

    def among(self, buckets: Iterable[str]) -> str:
        """Whether a row is in one of a few buckets."""
        named = ", ".join(f"'{bucket}'" for bucket in buckets)
        return f"{self.bucket()} IN ({named})"

    def figures(self, way: Way, order: str, total: str, present: str) -> list[tuple[str, str]]:
        """Each figure of a column, and the aggregate that it is."""
        place = self.place(way)
        unit = " of their bytes" if way.form.name in {"texts", "bytes"} else ""
        found = [("number of values", f"count({present.replace('{0}', place)})")] if present else []
        if total:
            found.append((f"sum{unit}", self.dialect.text(f"sum({total.replace('{0}', place)})")))
        if order:
            ordered = order.replace("{0}", place)
            found += [(f"{name}imum{unit}", self.dialect.text(f"{name}({ordered})")) for name in ("min", "max")]
        return found

    def statistics(self, row: Sequence[Any], named: Iterable[tuple[Way, str]]) -> Statistics:
        return {(way.claim.name, figure): plain(value, way) for (way, figure), value in zip(named, row, strict=True)}


class SourceRows(Side):
    def __init__(self, ways: Ways, source: Source) -> None:
        super().__init__(ways, source.dialect)
        self.source = source

    def place(self, way: Way) -> str:
        return self.source.place(way.place)

    def template(self, way: Way) -> str:
        return way.form.source

    def sum(self) -> tuple[Sum, Statistics]:
        figures = [
            (way, figure, value)
            for way in [*self.ways.key, *self.ways.by_servers]
            if not self.ways.key_streamed
            for figure, value in self.figures(way, way.form.order[0], way.form.total[0], self.present(way))
        ]
        row = self.hashes()
        ((rows, servers, *found),) = self.source.ask(["count(*)", row, *(value for _, _, value in figures)])
        values = self.streamed_sums()
        streamed = 0
        for one in values.values():
            streamed ^= one
        return Sum(rows, int(servers or 0) & MASK, streamed), self.statistics(found, [(w, f) for w, f, _ in figures])

    def present(self, way: Way) -> str:
        """Empty where no value can be null: then their number is that of the rows."""
        never_null = way.form.present == "{0}" and not self.source.kinds[way.place].nullable
        return "" if never_null else way.form.present

    def hashes(self) -> str:
        if self.ways.key_streamed:
            return "0"
        return self.dialect.xor(self.row([*self.ways.key, *self.ways.by_servers]))

    def buckets(self) -> dict[str, Sum]:
        if self.ways.key_streamed:
            counted: dict[str, int] = defaultdict(int)
            values = self.streamed_sums(counted)
            return {bucket: Sum(rows, 0, values[bucket]) for bucket, rows in counted.items()}
        values = self.streamed_sums()
        found = self.source.ask([self.bucket(), "count(*)", self.hashes()], " GROUP BY 1")
        return {bucket: Sum(rows, int(one) & MASK, values.get(bucket, 0)) for bucket, rows, one in found}

    def streamed_sums(self, counted: dict[str, int] | None = None) -> dict[str, int]:
        """By bucket, the hashes of what is streamed."""
        found: dict[str, int] = defaultdict(int)
        if not self.ways.streams:
            return found
        for key, _, values, _ in self.streamed():
            written = BETWEEN.join([key, *values])
            bucket = md5(key)[:BUCKET]
            found[bucket] ^= int(md5(written)[:DIGITS], 16)
            if counted is not None:
                counted[bucket] += 1
        return found

    def streamed(
        self, *more: str, rest: str = "", shown: bool = False
    ) -> Iterator[tuple[str, tuple[str, ...], Sequence[str], tuple[Any, ...]]]:
        """Of each row: the key as it is hashed, and as it is read; what is streamed in its canonical form; `more`."""
        keys = self.ways.key
        asked = [self.canonical_key()] if not self.ways.key_streamed else [self.streaming(way) for way in keys]
        texts = [way.raw.replace("{0}", self.place(way)) for way in keys if shown]
        values = [self.streaming(way) for way in self.ways.by_values]
        first, second = len(asked), len(asked) + len(texts)
        third = second + len(values)
        for batch in self.source.stream([*asked, *texts, *values, *more], rest):
            columns = list(zip(*batch, strict=True))
            key = self.keys_of(columns[:first])
            made = [way.canonical(c) for way, c in zip(self.ways.by_values, columns[second:third], strict=True)]
            for number in range(len(batch)):
                yield (
                    key[number],
                    tuple(str(column[number]) for column in columns[first:second]),
                    [column[number] for column in made],
                    tuple(column[number] for column in columns[third:]),
                )

    def canonical_key(self) -> str:
        return self.row(self.ways.key)

    def streaming(self, way: Way) -> str:
        return way.form.source.replace("{0}", self.place(way))

    def keys_of(self, columns: Sequence[Sequence[Any]]) -> list[str]:
        if not self.ways.key_streamed:
            return list(columns[0])
        made = [way.canonical(column) for way, column in zip(self.ways.key, columns, strict=True)]
        return [BETWEEN.join(one) for one in zip(*made, strict=True)]

    def each(self, buckets: set[str] | None) -> Iterator[Row]:
        """Those of some buckets, or all."""
        few = buckets is not None and len(buckets) <= FEW and not self.ways.key_streamed
        rest = f" WHERE {self.among(sorted(buckets or ()))}" if few else ""
        hashes = [self.hashed(self.row([way])) for way in self.ways.by_servers]
        for key, shown, values, more in self.streamed(*hashes, rest=rest, shown=True):
            hashed = md5(key)
            if buckets is None or hashed[:BUCKET] in buckets:
                yield Row(hashed[:DIGITS], shown, (*more, *(md5(value)[:DIGITS] for value in values)))


class TargetRows(Side):
    def __init__(self, ways: Ways, target: Target) -> None:
        super().__init__(ways, target.dialect)
        self.target = target
        self.connection = target.session.connection

    def place(self, way: Way) -> str:
        return self.target.place(way.claim)

    def template(self, way: Way) -> str:
        return way.form.target

    def hashes(self) -> list[str]:
        """Of what both servers reckon, and of what is streamed."""
        ways = self.ways
        servers = "0::bigint" if ways.key_streamed else self.dialect.xor(self.row([*ways.key, *ways.by_servers]))
        values = self.dialect.xor(self.row([*ways.key, *ways.by_values])) if ways.streams else "0::bigint"
        return [servers, values]

    def sum(self) -> tuple[Sum, Statistics]:
        figures = [
            (way, figure, value)
            for way in [*self.ways.key, *self.ways.by_servers]
            if not self.ways.key_streamed
            for figure, value in self.figures(way, way.form.order[1], way.form.total[1], "{0}")
        ]
        ((rows, servers, values, *found),) = self.target.ask(
            ["count(*)", *self.hashes(), *(value for _, _, value in figures)]
        )
        sums = Sum(rows, int(servers or 0) & MASK, int(values or 0) & MASK)
        return sums, self.statistics(found, [(w, f) for w, f, _ in figures])

    def buckets(self) -> dict[str, Sum]:
        found = self.target.ask([self.bucket(), "count(*)", *self.hashes()], " GROUP BY 1")
        return {bucket: Sum(rows, one & MASK, other & MASK) for bucket, rows, one, other in found}

    def each(self, buckets: set[str] | None) -> Iterator[Row]:
        few = buckets is not None and len(buckets) <= FEW
        condition = self.among(sorted(buckets or ())) if few else "true"
        ways = [*self.ways.by_servers, *self.ways.by_values]
        asked = [self.dialect.md5(self.row(self.ways.key))]
        asked += [f"{self.place(way)}::text" for way in self.ways.key]
        asked += [self.hashed(self.row([way])) for way in ways]
        keys = len(self.ways.key)
        for batch in self.target.stream(asked, condition):
            for hashed, *found in batch:
                if buckets is None or hashed[:BUCKET] in buckets:
                    yield Row(hashed[:DIGITS], tuple(found[:keys]), tuple(found[keys:]))


def md5(text: str) -> str:
    return hashlib.md5(text.encode(errors="replace"), usedforsecurity=False).hexdigest()


def plain(value: Any, way: Way) -> str:
    """A figure as either server might write it: without zeros at the end of a fraction."""
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text and not way.form.framed else text
