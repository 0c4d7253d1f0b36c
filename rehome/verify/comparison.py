"""Compares both tables of a move on its own terms: it reads rows, keys and catalog, and nothing of the copier."""

import dataclasses
from collections.abc import Iterable

from rehome.errors import visible
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import settings
from rehome.postgres.session import Session
from rehome.postgres.tables import ForeignKey, Table
from rehome.verify import queries


@dataclasses.dataclass(frozen=True)
class Difference:
    table: str
    kind: str
    """missing, extra or different: the row on the target's side."""
    key: list[str]
    columns: list[str]

    def __str__(self) -> str:
        where = f" in {', '.join(self.columns)}" if self.columns else ""
        return f"{self.table} {visible(', '.join(self.key))}: {self.kind}{where}"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What reading both sides of a move said."""

    source_rows: int
    target_rows: int
    missing: int = 0
    extra: int = 0
    different: int = 0
    orphans: int = 0
    differences: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        return self.same_rows and not self.orphans

    @property
    def same_rows(self) -> bool:
        differences = self.missing or self.extra or self.different
        return not differences and self.source_rows == self.target_rows

    def __add__(self, other: "Comparison") -> "Comparison":
        names = (field.name for field in dataclasses.fields(self))
        return Comparison(*(getattr(self, name) + getattr(other, name) for name in names))


def compare(plan: Plan, session: Session, *, limit: int = 10) -> Comparison:
    """Compare every row and column that the move carries, and count rows whose foreign key leads nowhere.

    Each side is read once and hashed; only where the hashes differ are the rows joined, to be named.
    """
    found = sum((compare_pair(pair, session, limit, plan.search_path) for pair in plan.pairs), Comparison(0, 0))
    return dataclasses.replace(found, differences=found.differences[:limit])


def compare_pair(pair: TablePair, session: Session, limit: int, schemas: Iterable[str] = ()) -> Comparison:
    """Both sides as rehome's own statements read them, whose expressions find names in `schemas` too."""
    with settings.own(session.connection, *schemas):
        return read_pair(pair, session, limit)


def read_pair(pair: TablePair, session: Session, limit: int) -> Comparison:
    flow = queries.compared(pair)
    ((source_rows, source_hash),) = session.rows(queries.fingerprint(flow, written=False))
    ((target_rows, target_hash),) = session.rows(queries.fingerprint(flow, written=True))
    kinds: dict[str, int] = {}
    differences: tuple[Difference, ...] = ()
    if (source_rows, source_hash) != (target_rows, target_hash):
        kinds = dict(session.rows(queries.count_by_kind(pair)))
        found = session.rows(queries.first_differences(pair, limit))
        differences = tuple(Difference(str(pair.target), kind, key, columns) for kind, key, columns in found)
    return Comparison(
        source_rows,
        target_rows,
        **kinds,
        orphans=sum(count_orphans(pair.target, key, session) for key in pair.target.foreign_keys + pair.dropped),
        differences=differences,
    )


def count_orphans(table: Table, foreign_key: ForeignKey, session: Session) -> int:
    """Rows are only counted where some value leads nowhere."""
    ((missing,),) = session.rows(queries.missing_parents(table, foreign_key))
    return int(session.rows(queries.orphans(table, foreign_key))[0][0]) if missing else 0
