"""Which rows differ: both sides in the order of their keys' hashes, merged without either of them in memory."""

import dataclasses
import heapq
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby, islice, zip_longest
from operator import attrgetter
from typing import IO

from rehome.importing.proof.rows import Row
from rehome.verify.comparison import Difference

IN_MEMORY = 100_000
"""Rows of one side."""
BY_KEY = attrgetter("key")


@dataclasses.dataclass
class Found:
    table: str
    columns: list[str]
    """In the order of a row's values."""
    limit: int
    extra: bool = True
    """Whether rows that only the target has count."""
    counts: dict[str, int] = dataclasses.field(default_factory=lambda: {"missing": 0, "extra": 0, "different": 0})
    met: int = 0
    """Rows that both sides have."""
    named: list[Difference] = dataclasses.field(default_factory=list)

    def merge(self, source: Iterable[Row], target: Iterable[Row]) -> None:
        with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as other:
            for here, there in pairs(in_order(source, one), in_order(target, other)):
                self.take(here, there)

    def take(self, source: Row | None, target: Row | None) -> None:
        if source and target:
            self.met += 1
            places = zip(self.columns, source.values, target.values, strict=True)
            if different := [column for column, one, other in places if one != other]:
                self.note("different", target, different)
        elif source:
            self.note("missing", source, [])
        elif target and self.extra:
            self.note("extra", target, [])

    def note(self, kind: str, row: Row, columns: list[str]) -> None:
        self.counts[kind] += 1
        self.named.append(Difference(self.table, kind, list(row.shown), columns))
        if len(self.named) > 2 * self.limit:
            self.named = self.first

    @property
    def first(self) -> list[Difference]:
        return heapq.nsmallest(self.limit, self.named, key=lambda one: (one.kind, one.key))


def pairs(source: Iterator[Row], target: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Rows of one key beside one another; several of one key in the order of their values."""
    here, there = groupby(source, BY_KEY), groupby(target, BY_KEY)
    one, other = next(here, None), next(there, None)
    while one or other:
        key = min(each[0] for each in (one, other) if each)
        yield from zip_longest(
            list(one[1]) if one and one[0] == key else [], list(other[1]) if other and other[0] == key else []
        )
        one = next(here, None) if one and one[0] == key else one
        other = next(there, None) if other and other[0] == key else other


def in_order(rows: Iterable[Row], file: IO[bytes]) -> Iterator[Row]:
    """Sorted in parts, which a file keeps until they are merged."""
    remaining, places = iter(rows), list[tuple[int, int]]()
    while part := sorted(islice(remaining, IN_MEMORY), key=lambda row: (row.key, row.values)):
        if not places and len(part) < IN_MEMORY:
            yield from part
            return
        begin = file.tell()
        for row in part:
            pickle.dump((row.key, row.shown, row.values), file, protocol=pickle.HIGHEST_PROTOCOL)
        places.append((begin, file.tell()))
    yield from heapq.merge(*(kept(file, *place) for place in places), key=lambda row: (row.key, row.values))


def kept(file: IO[bytes], begin: int, end: int) -> Iterator[Row]:
    while begin < end:
        file.seek(begin)
        rows: list[Row] = []
        while file.tell() < end and len(rows) < 500:
            rows.append(Row(*pickle.load(file)))  # noqa: S301  Written a moment ago, into a file that has no name.
        begin = file.tell()
        yield from rows
