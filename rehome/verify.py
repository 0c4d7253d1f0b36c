"""Compares both tables of a move on its own terms: it reads rows, keys and catalog, and nothing of the copier."""

import dataclasses
import time
from typing import Any

from rehome import comparing, identity, sequences, sql, sync
from rehome.catalog import Constraint, Table
from rehome.plan import Plan, TablePair
from rehome.session import Session


@dataclasses.dataclass(frozen=True)
class Difference:
    table: str
    kind: str
    """missing, extra or different: the row on the target's side."""
    key: list[str]
    columns: list[str]

    def __str__(self) -> str:
        where = f" in {', '.join(self.columns)}" if self.columns else ""
        return f"{self.table} {', '.join(self.key)}: {self.kind}{where}"


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
        return Comparison(
            *(getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self))
        )


@dataclasses.dataclass(frozen=True)
class Report:
    """The verification of one move; problems.py says in words what is wrong with it."""

    move: str
    comparison: Comparison
    unvalidated: tuple[str, ...]
    dropped: tuple[str, ...]
    """Statements that would add the foreign keys which the target's model has and its table lacks."""
    sequence_ok: bool
    sync: sync.State | None
    """None of a move in place, where there is nothing to keep in step."""
    identity_ok: bool
    seconds: float
    view: tuple[str, ...] = ()
    """What is wrong with the views under the old names: a sentence each."""

    @property
    def ok(self) -> bool:
        return (
            self.comparison.equal
            and not self.unvalidated
            and not self.dropped
            and self.sequence_ok
            and self.sync in {"installed", None}
            and self.identity_ok
            and not self.view
        )

    def as_json(self) -> dict[str, Any]:
        comparison = dataclasses.asdict(self.comparison)
        differences = comparison.pop("differences")
        return {
            "move": self.move,
            "ok": self.ok,
            **comparison,
            "unvalidated": [*self.unvalidated, *self.dropped],
            "sequence_ok": self.sequence_ok,
            "sync": self.sync,
            "identity_ok": self.identity_ok,
            "view": list(self.view),
            "seconds": round(self.seconds, 3),
            "differences": list(differences),
        }


def compare(plan: Plan, session: Session, *, limit: int = 10) -> Comparison:
    """Compare every row and column that the move carries, and count rows whose foreign key leads nowhere.

    Each side is read once and hashed; only where the hashes differ are the rows joined, to be named.
    """
    found = sum((compare_pair(pair, session, limit) for pair in plan.pairs), Comparison(0, 0))
    return dataclasses.replace(found, differences=found.differences[:limit])


def compare_pair(pair: TablePair, session: Session, limit: int) -> Comparison:
    ((source_rows, *source_hashes),) = session.rows(comparing.fingerprint(pair.forward, written=False))
    ((target_rows, *target_hashes),) = session.rows(comparing.fingerprint(pair.forward, written=True))
    kinds: dict[str, int] = {}
    differences: tuple[Difference, ...] = ()
    if (source_rows, source_hashes) != (target_rows, target_hashes):
        kinds = dict(session.rows(comparing.count_by_kind(pair)))
        found = session.rows(comparing.first_differences(pair, limit))
        differences = tuple(Difference(str(pair.target), kind, key, columns) for kind, key, columns in found)
    return Comparison(
        source_rows=source_rows,
        target_rows=target_rows,
        missing=kinds.get("missing", 0),
        extra=kinds.get("extra", 0),
        different=kinds.get("different", 0),
        orphans=sum(count_orphans(pair.target, key, session) for key in pair.target.foreign_keys + pair.dropped),
        differences=differences,
    )


def count_orphans(table: Table, foreign_key: Constraint, session: Session) -> int:
    """Rows are only counted where some value leads nowhere."""
    ((missing,),) = session.rows(comparing.missing_parents(table, foreign_key))
    return int(session.rows(comparing.orphans(table, foreign_key))[0][0]) if missing else 0


def verify(plan: Plan, session: Session, kept: dict[str, Any], *, limit: int = 10) -> Report:
    """Verify a live move in one snapshot, while everybody goes on writing."""
    started = time.monotonic()
    with session.snapshot():
        report = verify_table(plan, session, kept, compare(plan, session, limit=limit))
        return dataclasses.replace(
            report,
            sequence_ok=report.sequence_ok and all(sequences.is_shared(pair, kept) for pair in plan.pairs),
            sync=sync.state(plan),
            seconds=time.monotonic() - started,
        )


def verify_table(plan: Plan, session: Session, kept: dict[str, Any], comparison: Comparison) -> Report:
    """What every move that stands is looked at for, whichever way it went."""
    return Report(
        move=str(plan),
        comparison=comparison,
        unvalidated=tuple(
            constraint.name for pair in plan.pairs for constraint in pair.target.constraints if not constraint.validated
        ),
        dropped=tuple(sql.add_constraint(pair.target, key).as_string() for pair in plan.pairs for key in pair.dropped),
        sequence_ok=all(sequences.is_ahead(session, pair) for pair in plan.pairs),
        sync=None,
        identity_ok=identity.is_intact(plan, session, kept),
        seconds=0.0,
    )
