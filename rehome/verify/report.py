"""The verification of a move that stands: rows, constraints, sequences, triggers, views and the model's name."""

import dataclasses
import time
from typing import Any

from rehome.parts import foreign_keys, identity, sequences, standing_views, sync
from rehome.parts.sync import State
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import catalog
from rehome.postgres.session import Session
from rehome.verify.comparison import Comparison, compare


@dataclasses.dataclass(frozen=True)
class Report:
    """The verification of one move; problems.py says in words what is wrong with it."""

    move: str
    comparison: Comparison
    unvalidated: tuple[str, ...]
    dropped: tuple[str, ...]
    """Statements that would add the foreign keys which the target's model has and its table lacks."""
    sequence_ok: bool
    identity_ok: bool
    sync: State | None = None
    """None of a move in place, where there is nothing to keep in sync."""
    seconds: float = 0.0
    view: tuple[str, ...] = ()
    """What is wrong with the views under the old names: a sentence each."""

    @property
    def ok(self) -> bool:
        found = (*self.unvalidated, *self.dropped, *self.view)
        whole = self.comparison.equal and self.sequence_ok and self.identity_ok
        return whole and not found and self.sync in {"installed", None}

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


def verify(plan: Plan, session: Session, record: Record, *, limit: int = 10) -> Report:
    """Verify a live move in one snapshot; other sessions continue to write."""
    started = time.monotonic()
    with session.snapshot():
        report = verify_table(plan, session, record, compare(plan, session, limit=limit))
        return dataclasses.replace(
            report,
            sequence_ok=report.sequence_ok and all(sequences.is_shared(pair, record) for pair in plan.pairs),
            sync=sync.state(plan),
            seconds=time.monotonic() - started,
        )


def verify_table(plan: Plan, session: Session, record: Record, comparison: Comparison) -> Report:
    """What is verified of every move that stands, whichever way it went."""
    return Report(
        move=str(plan),
        comparison=comparison,
        unvalidated=tuple(one.name for pair in plan.pairs for one in pair.target.all_constraints if not one.validated),
        dropped=tuple(foreign_keys.add_checked(key).as_string() for pair in plan.pairs for key in pair.dropped),
        sequence_ok=all(sequences.is_ahead(session, pair) for pair in plan.pairs),
        identity_ok=identity.is_intact(plan, session, record),
    )


# ----- the views that stand


def verify_views(plan: Plan, session: Session, record: Record, *, limit: int = 10) -> Report:
    """Compare what old code reads with the target in one snapshot, and look at the views and at the target."""
    started = time.monotonic()
    with session.snapshot():
        # What is gone, or something else, can't be compared.
        whole = all(view.is_itself(plan.connection) for view in standing_views.find(plan, record))
        comparison = compare(plan, session, limit=limit) if whole else Comparison(0, 0)
        return dataclasses.replace(
            verify_table(plan, session, record, comparison),
            view=tuple(standing_views.find_defects(plan, record)),
            seconds=time.monotonic() - started,
        )


def verify_in_place(plan: Plan, session: Session, record: Record, *, limit: int = 10) -> Report:
    """The same, and a look at everything that a rename may lose."""
    report = verify_views(plan, session, record, limit=limit)
    assert record.in_place is not None  # noqa: S101  A move in place keeps it from its first moment.
    numbered = [
        key in pair.target.sequences
        for pair, kept in zip(plan.pairs, record.in_place.pairs, strict=True)
        for key in kept.renaming.reversed().keys
    ]
    elsewhere = [
        name
        for schema, table, name in record.in_place.validate
        if catalog.is_validated(plan.connection, schema, table, name) is False
    ]
    return dataclasses.replace(
        report,
        unvalidated=tuple(dict.fromkeys([*report.unvalidated, *elsewhere])),
        sequence_ok=report.sequence_ok and all(numbered),
    )
