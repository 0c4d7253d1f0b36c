"""In place: the table takes its empty twin's names, and a view takes its own; no row is read or written."""

from collections.abc import Iterator

from rehome.errors import MoveFailed
from rehome.models import MoveRun, Phase
from rehome.moves import exchange, exchange_back, resume, steps
from rehome.moves.steps import Step
from rehome.parts import foreign_keys, identity, old_names
from rehome.parts.matching import Counterparts
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.plan.resolve import renew
from rehome.postgres import anatomy, catalog, sql, tables
from rehome.postgres.session import Session
from rehome.postgres.tables import Anatomy
from rehome.preflight import checks, in_place, notices
from rehome.terminal import Progress

# ----- forward


def forward(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Rename the table and put a view in its place; where that is done, validate what is left."""
    if run and run.phase == Phase.PREPARED:
        resume.give_up(plan, ledger, run)
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
            session.run(*old_names.mend(plan, session, Record.of(run)))
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
    checks.refuse_unmoved_references(plan, ledger)
    checks.check_target_empty(plan)
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
    record = Record(in_place=exchange.to_keep(plan, found), ends=foreign_keys.ends(plan))
    names = identity.read_identity(plan, session)
    for statement in exchange.enter(plan):
        session.execute(statement)
    checks.check_target_empty(plan)
    for statement in exchange.switch(plan, found, names):
        session.execute(statement)
    for pair, twin in zip(plan.pairs, twins, strict=True):
        refuse_differences(pair, twin, plan)
    run = ledger.begin(plan, record | identity.to_keep(names, session))
    ledger.advance(run, Phase.IN_PLACE)
    return run


def refuse_differences(pair: TablePair, twin: Anatomy, plan: Plan) -> None:
    """PostgreSQL has the last word on whether the table now is what the twin was, in every name."""
    now = catalog.read_table(plan.connection, sql.name(pair.target).as_string())
    assert now is not None  # noqa: S101  It has just been renamed.
    missing = tables.describe(twin) - tables.describe(anatomy.read_anatomy(now, plan.connection))
    if missing:
        raise MoveFailed(
            f"{plan}: with its new names {pair.source} is not what {pair.target} was: it lacks "
            f"{'; '.join(' '.join(map(str, part)) for part in sorted(missing, key=str))}. Everything is undone; "
            "bring both tables together with ALTER TABLE, or leave in_place=True out."
        )


def settle(plan: Plan, run: MoveRun) -> None:
    """Validate the foreign keys that were added; a failure leaves a move that is complete."""
    session = steps.open_session(plan)
    for statement in exchange.validations(plan, Record.of(run)):
        session.run_patiently(statement)


# ----- backward


def backward(plan: Plan, ledger: Ledger, run: MoveRun) -> None:
    """Drop the view, give the table its own names, and make the empty twin again: at once, at any size."""
    session = steps.open_session(plan)
    returned = run.phase == Phase.BACK
    progress = Progress(f"{plan}: moving back in place, database {plan.connection.alias!r}", steps=2 - returned)
    if not returned:
        in_place.check_back(plan, exchange_back.stay(Record.of(run)))
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
    statements = exchange_back.switch(plan, names, Record.of(run))
    for statement in exchange_back.enter(plan):
        session.execute(statement)
    in_place.check_unreferenced(plan, exchange_back.stay(Record.of(run)))
    for statement in statements:
        session.execute(statement)
    ledger.advance(run, Phase.BACK, record=exchange_back.to_keep(plan, Record.of(run)))


# ----- what it would run on this database now, for `sqlmove`


def forward_steps(plan: Plan, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `forward`; where the move stands, those that settle it."""
    if run is not None and stands(plan, run):
        if statements := old_names.mend(plan, steps.open_session(plan), Record.of(run)):
            yield Step("Mend: all or nothing.", statements)
        validated = exchange.validations(plan, Record.of(run))
    else:
        in_place.check_pairs(plan)
        found = exchange.find(plan)
        in_place.check_parts(plan, found)
        names = identity.read_identity(plan, steps.open_session(plan))
        yield Step("Move in place: all or nothing.", [*exchange.enter(plan), *exchange.switch(plan, found, names)])
        validated = [sql.validate(*place) for place in exchange.to_keep(plan, found).validate]
    for statement in validated:
        yield Step("Settle: each statement in a transaction of its own.", [statement])


def backward_steps(plan: Plan, run: MoveRun) -> Iterator[Step]:
    names = identity.read_identity(plan, steps.open_session(plan))
    yield Step(
        "Move back: all or nothing.", [*exchange_back.enter(plan), *exchange_back.switch(plan, names, Record.of(run))]
    )
    for place in exchange_back.validate(plan, Record.of(run)):
        yield Step("Settle: each statement in a transaction of its own.", [sql.validate(*place)])
