"""Compares one import: what both servers reckon, what is streamed, and, where that differs, row by row."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.importing.declaration import Import
from rehome.importing.proof.claims import read_claims
from rehome.importing.proof.known import Known
from rehome.importing.proof.locating import Found
from rehome.importing.proof.rows import SourceRows, Statistics, TargetRows, Ways
from rehome.importing.proof.source import Explained, Source
from rehome.importing.proof.target import Target
from rehome.importing.proof.ways import choose
from rehome.plan.historical import get_model, get_table
from rehome.postgres.session import Session
from rehome.verify.comparison import Comparison, Difference

CANCELLED_EVERY_S = 0.1
One = TypeVar("One")
Other = TypeVar("Other")


@dataclasses.dataclass(frozen=True)
class Proof:
    comparison: Comparison
    ways: Mapping[str, str]
    """By column, how it was compared."""
    figures: tuple[str, ...] = ()
    """What of whole columns differs, in sentences."""


def prove(
    declared: Import,
    apps: Apps,
    alias: str,
    session: Session,
    *,
    limit: int = 10,
    explained: Explained = contextlib.nullcontext,
) -> Proof:
    """Compare the source, in the session that `alias` has for this thread, with the target's rows of the import, in the
    transaction that is open. Neither side is written to, but for the session's own temporary tables.
    """
    source_model, target_model = (get_model(apps, label) for label in (declared.source, declared.target))
    table = get_table(session.connection, target_model)
    every = read_claims(declared, source_model, target_model, table)
    target = Target(table, session, every)
    known = {
        number: Known(number, claim, claim.lookup, target_model, apps, session)
        for number, claim in enumerate(every)
        if claim.lookup
    }
    # The same of every row: what separates this import's rows from others', and what no column of the source gives.
    constants = {
        number: target.constant(claim, known.get(number)) for number, claim in enumerate(every) if claim.constant
    }
    for number, value in constants.items():
        if every[number].key:
            target.restrict(every[number], value)
    source = Source(alias, declared, source_model, every, constants, explained)
    target.enter(source.zone.name)
    chosen = [
        choose(number, claim, source, target, known.get(number))
        for number, claim in enumerate(every)
        if not (claim.key and claim.constant)
    ]
    if any(way.make for way in chosen if way.claim.key):
        chosen = [way.streamed("since the key is") for way in chosen]
    ways = Ways(chosen)
    one, other = SourceRows(ways, source), TargetRows(ways, target)
    proof = by_rows if declared.shared else by_sums
    comparison, figures = proof(one, other, str(table), limit)
    return Proof(comparison, {way.claim.name: way.said for way in chosen}, figures)


def by_sums(source: SourceRows, target: TargetRows, table: str, limit: int) -> tuple[Comparison, tuple[str, ...]]:
    (here, said), (there, found) = at_once(source.sum, target.sum, target.connection)
    wrong = differing(said, found)
    if here == there and not wrong:
        return Comparison(here.rows, there.rows), ()
    one, other = at_once(source.buckets, target.buckets, target.connection)
    buckets = {bucket for bucket in one.keys() | other.keys() if one.get(bucket) != other.get(bucket)}
    result = Found(table, columns(source.ways), limit)
    if buckets:
        result.merge(source.each(buckets), target.each(buckets))
    if not any(result.counts.values()):
        # Each row is equal by itself, and something of them all is not.
        result.counts["different"] += 1
        result.named.append(Difference(table, "different", [], sorted({column for column, _ in wrong})))
    return Comparison(here.rows, there.rows, **result.counts, differences=tuple(result.first)), sentences(wrong)


def at_once(
    source: Callable[[], One], target: Callable[[], Other], connection: BaseDatabaseWrapper
) -> tuple[One, Other]:
    """Both servers reckon at the same time: the target's is waited for in a thread."""
    connection.inc_thread_sharing()
    try:
        with ThreadPoolExecutor(1) as beside:
            asked = beside.submit(target)
            try:
                return source(), asked.result()
            except BaseException:
                # The thread would wait for the answer, and this one for the thread; it may not have asked yet.
                while connection.connection and not wait([asked], CANCELLED_EVERY_S).done:
                    connection.connection.cancel()
                raise
    finally:
        connection.dec_thread_sharing()


def by_rows(source: SourceRows, target: TargetRows, table: str, limit: int) -> tuple[Comparison, tuple[str, ...]]:
    """Where the target has rows of its own under such keys, which no sum can leave out."""
    result = Found(table, columns(source.ways), limit, extra=False)
    result.merge(source.each(None), target.each(None))
    rows = result.met + result.counts["missing"]
    return Comparison(rows, result.met, **result.counts, differences=tuple(result.first)), ()


def columns(ways: Ways) -> list[str]:
    return [way.claim.name for way in (*ways.by_servers, *ways.by_values)]


def differing(source: Statistics, target: Statistics) -> dict[tuple[str, str], tuple[str, str]]:
    """Figures that only one side has are those of a server that can't say them."""
    both = source.keys() & target.keys()
    return {figure: (source[figure], target[figure]) for figure in sorted(both) if source[figure] != target[figure]}


def sentences(wrong: dict[tuple[str, str], tuple[str, str]]) -> tuple[str, ...]:
    return tuple(
        f"{column}: the {figure} is {one} at the source and {other} here"
        for (column, figure), (one, other) in wrong.items()
    )
