"""In place: the table takes its empty twin's names, and a view takes its own; no row is read or written."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rehome import (
    anatomy,
    catalog,
    exchange,
    identity,
    notices,
    old_names,
    preflight,
    renaming,
    repointing,
    restoring,
    resuming,
    sql,
    steps,
)
from rehome.anatomy import Anatomy
from rehome.counterparts import Counterparts
from rehome.errors import MoveFailed
from rehome.ledger import Ledger
from rehome.models import MoveRun, Phase
from rehome.plan import GONE, Plan, TablePair
from rehome.preflight import in_place
from rehome.progress import Progress
from rehome.resolve import renew
from rehome.session import Session
from rehome.sql import Identifier
from rehome.steps import Step
from rehome.verify import Comparison, Report, compare, verify_table

# ----- forward


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Rename the table and put a view in its place; where that is done, validate what is left."""
    if run and run.phase == Phase.PREPARED:
        resuming.give_up(plan, ledger, run)
        plan = renew(plan)
    noticed: list[str] = []
    if run is None or not stands(plan, run):
        found = check(plan, ledger)
        noticed = [
            note
            for pair, parts in zip(plan.pairs, found, strict=True)
            for note in notices.find_in_place(pair, parts, plan)
        ]
        progress = Progress(f"{plan}: moving in place, database {plan.connection.alias!r}", steps=2)
        with steps.explained(plan, "Nothing has been moved."), progress.step("rename the table and all that it has"):
            run = take_place(plan, ledger)
    else:
        progress = Progress(f"{plan}: settling, database {plan.connection.alias!r}", steps=1)
        with steps.explained(plan, "The move stands, and what it lacks is not mended."):
            session = steps.open_session(plan)
            session.run(*old_names.mend(plan, session, run.kept))
    with (
        steps.explained(plan, "The move is complete; only the settling is left."),
        progress.step("validate foreign keys"),
    ):
        settle(plan, run)
    for note in noticed:
        progress.note(note)


def stands(plan: Plan, run: MoveRun) -> bool:
    """Whether the old name is still a view; tables that were made anew since the run are a move of their own."""
    return run.phase == Phase.IN_PLACE and plan.main.source.kind == "v"


def check(plan: Plan, ledger: Ledger) -> list[Counterparts]:
    """Refuse what can't be done before anything is written; return what will be."""
    in_place.check_pairs(plan)
    in_place.check_rights(plan)
    found = exchange.find(plan)
    in_place.check_parts(plan, found)
    preflight.refuse_unmoved_references(plan, ledger)
    preflight.check_target_empty(plan)
    return found


def take_place(plan: Plan, ledger: Ledger) -> MoveRun:
    """One transaction; while a lock is not granted it holds none, and looks at both tables anew."""
    session = steps.open_session(plan)

    def attempt() -> MoveRun:
        return take_place_in_transaction(renew(plan), session, ledger)

    with session.transaction():
        run = session.attempt(attempt)
    identity.forget_cached()
    return run


def take_place_in_transaction(plan: Plan, session: Session, ledger: Ledger) -> MoveRun:
    """Everything that can be looked up is known before the first lock is asked for."""
    found = exchange.find(plan)
    twins = [anatomy.read_anatomy(pair.target, plan.connection) for pair in plan.pairs]
    kept = {exchange.KEPT: exchange.to_keep(plan, found), "ends": repointing.ends(plan)}
    names = identity.read_identity(plan, session)
    for statement in exchange.enter(plan):
        session.execute(statement)
    preflight.check_target_empty(plan)
    for statement in exchange.switch(plan, found, names):
        session.execute(statement)
    for pair, twin in zip(plan.pairs, twins, strict=True):
        refuse_differences(pair, twin, plan)
    run = ledger.begin(plan, {**kept, **identity.to_keep(names, session)})
    ledger.advance(run, Phase.IN_PLACE)
    return run


def refuse_differences(pair: TablePair, twin: Anatomy, plan: Plan) -> None:
    """PostgreSQL has the last word on whether the table now is what the twin was, in every name."""
    now = catalog.read_table(plan.connection, sql.name(pair.target).as_string())
    assert now is not None  # noqa: S101  It has just been renamed.
    missing = anatomy.describe(twin) - anatomy.describe(anatomy.read_anatomy(now, plan.connection))
    if missing:
        raise MoveFailed(
            f"{plan}: with its new names {pair.source} is not what {pair.target} was: it lacks "
            f"{'; '.join(' '.join(map(str, part)) for part in sorted(missing, key=str))}. Everything is undone; "
            "bring both tables together with ALTER TABLE, or leave in_place=True out."
        )


def settle(plan: Plan, run: MoveRun) -> None:
    """Validate the foreign keys that were added; a failure leaves a move that is complete."""
    session = steps.open_session(plan)
    for statement in exchange.validations(plan, run.kept):
        session.run_patiently(statement)


# ----- the view that stands


def verify(plan: Plan, session: Session, kept: Mapping[str, Any], *, limit: int = 10) -> Report:
    """Compare what old code reads with the table, in one snapshot, and look at everything that a rename may lose."""
    started = time.monotonic()
    with session.snapshot():
        gone = any(pair.source.oid == GONE for pair in plan.pairs)
        comparison = Comparison(0, 0) if gone else compare(plan, session, limit=limit)
        report = verify_table(plan, session, dict(kept), comparison)
        records = kept[exchange.KEPT]["pairs"]
        numbered = [
            key in pair.target.sequences
            for pair, record in zip(plan.pairs, records, strict=True)
            for key in renaming.read(record["renaming"]).reversed().keys
        ]
        elsewhere = [
            name
            for *place, name in kept[exchange.KEPT]["validate"]
            if exchange.is_unvalidated(plan, Identifier(*place), name)
        ]
        return dataclasses.replace(
            report,
            unvalidated=tuple(dict.fromkeys([*report.unvalidated, *elsewhere])),
            sequence_ok=report.sequence_ok and all(numbered),
            view=tuple(defect for _, _, defects in old_names.find_defects(plan, kept) for defect in defects),
            seconds=time.monotonic() - started,
        )


# ----- backward


def backward(plan: Plan, ledger: Ledger, run: MoveRun) -> None:
    """Drop the view, give the table its own names, and make the empty twin again: at once, at any size."""
    session = steps.open_session(plan)
    returned = run.phase == Phase.BACK
    progress = Progress(f"{plan}: moving back in place, database {plan.connection.alias!r}", steps=2 - returned)
    if not returned:
        in_place.check_back(plan, restoring.stay(run.kept))
        with (
            steps.explained(plan, "Nothing has been moved back."),
            progress.step("give the table its own names"),
            session.transaction(),
        ):
            session.attempt(lambda: give_place_back(renew(plan), session, ledger, run))
        identity.forget_cached()
    with (
        steps.explained(plan, "The table has its own names; only the settling is left."),
        progress.step("validate foreign keys"),
    ):
        settle(plan, run)


def give_place_back(plan: Plan, session: Session, ledger: Ledger, run: MoveRun) -> None:
    names = identity.read_identity(plan, session)
    statements = restoring.switch(plan, names, run.kept)
    for statement in restoring.enter(plan):
        session.execute(statement)
    in_place.check_unreferenced(plan, restoring.stay(run.kept))
    for statement in statements:
        session.execute(statement)
    ledger.advance(run, Phase.BACK, kept=restoring.to_keep(plan, run.kept))


# ----- what it would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move stands, those that settle it."""
    if run is not None and stands(plan, run):
        if statements := old_names.mend(plan, steps.open_session(plan), run.kept):
            yield Step("Mend: all or nothing.", statements)
        validated = exchange.validations(plan, run.kept)
    else:
        in_place.check_pairs(plan)
        found = exchange.find(plan)
        in_place.check_parts(plan, found)
        names = identity.read_identity(plan, steps.open_session(plan))
        yield Step("Move in place: all or nothing.", [*exchange.enter(plan), *exchange.switch(plan, found, names)])
        validated = [sql.validate(*place) for place in exchange.to_keep(plan, found)["validate"]]
    for statement in validated:
        yield Step("Settle: each statement in a transaction of its own.", [statement])


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    names = identity.read_identity(plan, steps.open_session(plan))
    yield Step("Move back: all or nothing.", [*restoring.enter(plan), *restoring.switch(plan, names, run.kept)])
    for place in restoring.to_keep(plan, run.kept)[exchange.KEPT]["validate"]:
        yield Step("Settle: each statement in a transaction of its own.", [sql.validate(*place)])
