"""The verification of a move that stands: rows, constraints, sequences, triggers, views and the model's name."""

import dataclasses
import time
from typing import Any

from rehome.parts import (
    aside,
    enforcement,
    foreign_keys,
    identity,
    kept_rows,
    ledger_rights,
    lent,
    lives,
    made,
    next_keys,
    project_triggers,
    revoked,
    sequences,
    standing_views,
    stranded,
    strangers,
    sync,
    unique_order,
)
from rehome.parts.defect import Defect
from rehome.parts.stranded import Counts
from rehome.parts.sync import State
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import catalog
from rehome.postgres.session import Session
from rehome.postgres.sql import place
from rehome.verify.comparison import Comparison, compare
from rehome.verify.probe import Probe


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
    defects: tuple[Defect, ...] = ()
    """What else writes rely on that is not what it should be, or gives rights that nobody should have."""
    triggers: tuple[str, ...] = ()
    """What is wrong with the counterparts of the source's own triggers: a sentence each."""
    probe: Probe | None = None
    """What writes said that were tried and undone; None where none were."""
    lent: tuple[Defect, ...] = ()
    """What would run with the rights of the tables' owner, or of whoever moves and verifies, and must not."""
    hidden: tuple[str, ...] = ()
    """Tables, as SQL names them, whose policies hold for one of the two names alone, or hide rows from old code."""
    stranded: Counts = dataclasses.field(default_factory=dict)
    """By table: how many rows name the label of one side, and wait to be brought over; no fault."""

    @property
    def ok(self) -> bool:
        found = (*self.unvalidated, *self.dropped, *self.view, *self.triggers, *self.hidden, *self.lent, *self.defects)
        whole = self.comparison.equal and self.sequence_ok and self.identity_ok
        works = self.probe is None or not self.probe.faults
        return whole and works and not found and self.sync in {"installed", None}

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
            "defects": [defect.text for defect in (*self.lent, *self.defects)],
            "triggers": list(self.triggers),
            "probe": self.probe.as_json() if self.probe else None,
            "hidden": list(self.hidden),
            "stranded": self.stranded,
            "seconds": round(self.seconds, 3),
            "differences": list(differences),
        }


def verify(plan: Plan, session: Session, record: Record, *, limit: int = 10) -> Report:
    """Verify a live move in one snapshot; other sessions continue to write."""
    started = time.monotonic()
    foreign = strangers.find_defects(plan)
    with session.snapshot():
        # Others' code must not be run, nor be taken for an answer.
        comparison = Comparison(0, 0) if foreign else compare(plan, session, limit=limit)
        report = verify_table(plan, session, record, comparison)
        lending = [*foreign, *lent.find_defects(plan)]
        return dataclasses.replace(
            report,
            sequence_ok=report.sequence_ok and all(sequences.is_shared(pair, record) for pair in plan.pairs),
            sync=sync.state(plan),
            triggers=tuple(project_triggers.find_defects(plan, record)),
            hidden=find_hidden(plan),
            lent=tuple(lending),
            # What the triggers need depends on whose rights they have, and that must not become the owner's.
            defects=(
                *report.defects,
                *find_unfinished(plan, record),
                *revoked.find_defects(plan, record),
                *kept_rows.find_defects(plan),
                *unique_order.find_defects(plan),
                *([] if lending else made.find_defects(plan, made.of_live(plan))),
            ),
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
        stranded=stranded.count(plan, session, record),
        defects=tuple(find_defects(plan, session, record)),
    )


def find_hidden(plan: Plan) -> tuple[str, ...]:
    """A move begins and is retired without row-level security, so it was enabled since."""
    found = [table for pair in plan.pairs for table in (pair.source, pair.target)]
    return tuple(place(table) for table in found if table.row_security)


def needs_repair(plan: Plan, session: Session, record: Record) -> bool:
    """Whether anything of a move that stands is not what it should be that its repair would change; no row is compared,
    and what is put right by the rows alone is left out.
    """
    if plan.main.source.kind == "r":
        defects = [*made.find_defects(plan, made.of_live(plan)), *project_triggers.find_defects(plan, record)]
        damaged = sync.state(plan) != "installed" or bool(defects) or bool(find_unfinished(plan, record))
    else:
        damaged = made.is_damaged(plan, record)
    behind = not all(sequences.is_ahead(session, pair) for pair in plan.pairs)
    left = stranded.is_pending(plan, session, record)
    return damaged or behind or left or any(not defect.cure for defect in find_defects(plan, session, record))


def find_unfinished(plan: Plan, record: Record) -> list[Defect]:
    """What is left of the undo of a retirement, of a move that is live."""
    if record.foreign_keys is None:
        return []
    text = (
        f"The undo of a retirement stopped before it had created the foreign keys of and to {plan.main.source} again."
    )
    return [Defect(text)]


def find_defects(plan: Plan, session: Session, record: Record) -> list[Defect]:
    """What is wrong with whatever every move that stands relies on."""
    return [
        *next_keys.find_defects(plan, session, record),
        *enforcement.find_defects(plan),
        *ledger_rights.find_defects(plan),
    ]


# ----- the views that stand


def verify_views(plan: Plan, session: Session, record: Record, *, limit: int = 10) -> Report:
    """Compare what old code reads with the target in one snapshot, and look at the views and at the target."""
    started = time.monotonic()
    foreign = strangers.find_defects(plan)
    with session.snapshot():
        # What is gone, or something else, can't be compared; what would run others' code must not be.
        whole = not foreign and all(view.is_itself(plan.connection) for view in standing_views.find(plan, record))
        comparison = compare(plan, session, limit=limit) if whole else Comparison(0, 0)
        report = verify_table(plan, session, record, comparison)
        return dataclasses.replace(
            report,
            view=(*standing_views.find_defects(plan, record), *lives.find_defects(plan, record)),
            # A table that went in place keeps the policies that it had, for both names.
            hidden=() if record.in_place else find_hidden(plan),
            lent=tuple(foreign),
            defects=(*report.defects, *find_set_aside(plan, record)),
            seconds=time.monotonic() - started,
        )


def find_set_aside(plan: Plan, record: Record) -> list[Defect]:
    """What is wrong with the tables that a retirement has set aside."""
    return [*aside.find_defects(record, plan.connection), *made.find_defects(plan, made.of_retired(plan, record))]


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
