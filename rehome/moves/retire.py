"""Retire: the old table becomes a view of the new one, with its rows set aside, and can come back."""

from collections.abc import Iterator

from rehome.errors import MoveFailed, Refused
from rehome.models import MoveRun, Phase
from rehome.moves import steps
from rehome.moves.steps import Step
from rehome.parts import aside, foreign_keys, grants, rows, standins, sync, writes
from rehome.parts.foreign_keys import Key
from rehome.plan import resolve
from rehome.plan.ledger import Ledger
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import locks, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import Statement
from rehome.preflight import retirement, tables
from rehome.terminal import Progress
from rehome.verify import comparison, report

AGAIN = "the command"


def stands(plan: Plan, run: MoveRun | None) -> bool:
    """Whether the move is retired; tables that were made anew since the run are a move of their own."""
    return (
        run is not None
        and run.phase == Phase.RETIRED
        and (plan.main.source.kind == "v" or resolve.is_source(plan, run))
    )


def needs_work(plan: Plan, run: MoveRun) -> bool:
    """Whether a crash left foreign keys undone behind the commit of either way, or a view is not what it was."""
    record = Record.of(run)
    undone = record.unvalidated is not None or (run.phase == Phase.LIVE and record.foreign_keys is not None)
    return undone or (stands(plan, run) and bool(standins.find_defects(plan, record)))


def retire(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Compare every row, then let views take the old tables' places in one short transaction.

    Raises Refused or MoveFailed with nothing changed. Where the move is retired, its views are mended, and what a
    crash left is made up for.
    """
    if run is not None and stands(plan, run):
        return finish(plan, ledger, run)
    run = retirement.check(plan, run)
    session = steps.open_session(plan)
    progress = Progress(f"{plan}: retiring, database {plan.connection.alias!r}", steps=3)
    with progress.step("compare every row"):
        refuse_unequal(plan, ledger, run, session)
    with (
        progress.step("put views in the old tables' places"),
        steps.explained(plan, "Nothing has been retired.", again=AGAIN),
        session.transaction(),
    ):
        keys = foreign_keys.read(plan)
        session.run(*replace_by_views(plan, keys))
        ledger.advance(run, Phase.RETIRED, record=Record.of(run) | to_keep(plan, run, keys))
    with progress.step("validate foreign keys"), steps.explained(plan, "The move is retired.", again=AGAIN):
        settle(ledger, run, session)
    return None


def finish(plan: Plan, ledger: Ledger, run: MoveRun) -> None:
    session = steps.open_session(plan)
    progress = Progress(f"{plan}: retired, database {plan.connection.alias!r}", steps=1)
    with progress.step("views and foreign keys"), steps.explained(plan, "The move is retired.", again=AGAIN):
        session.run(*standins.mend(plan, Record.of(run)))
        settle(ledger, run, session)


def refuse_unequal(plan: Plan, ledger: Ledger, run: MoveRun, session: Session) -> None:
    found = report.verify(plan, session, Record.of(run))
    ledger.record_verification(run, found.as_json())
    if not found.ok:
        raise Refused(
            f"{plan} is not in order, and retiring its old table would hide that.",
            f"Run `manage.py verifymoves {plan.move.target}`, which says what is wrong and how to cure it.",
        )


def to_keep(plan: Plan, run: MoveRun, keys: list[Key]) -> Record:
    """When the views stand, what `bring_back` and the verification need."""
    granted = dict(Record.of(run).grants)
    for table, added in grants.to_keep(plan).grants.items():
        granted[table] = (*granted.get(table, ()), *added)
    return Record(
        aside=aside.to_keep(plan),
        grants=granted,
        foreign_keys=tuple(key.as_json() for key in foreign_keys.own(keys, plan)),
        unvalidated=tuple(key.as_json() for key in foreign_keys.incoming(keys, plan) if key.validated),
        ends=foreign_keys.ends(plan),
        views=standins.to_keep(plan),
    )


def replace_by_views(plan: Plan, keys: list[Key]) -> list[Statement]:
    """All locks first: nobody waits for longer than the catalog takes to change."""
    incoming = foreign_keys.counterparts(foreign_keys.incoming(keys, plan), plan)
    return [
        *locks.lock(steps.tables_of(plan), "ACCESS EXCLUSIVE"),
        sync.insist(plan),
        *(foreign_keys.drop(key) for key in foreign_keys.own(keys, plan)),
        *(statement for key, end in incoming if end for statement in foreign_keys.move(key, end)),
        *sync.take_off(plan),
        *grants.carry(plan),
        *aside.put_away(plan),
        *standins.create(plan),
    ]


def settle(ledger: Ledger, run: MoveRun, session: Session) -> None:
    """Validate the foreign keys that were added, as far as they are still there; blocks nobody."""
    for key in map(foreign_keys.from_json, Record.of(run).unvalidated or ()):
        if foreign_keys.stands(session, key):
            session.run_patiently(sql.validate(key.schema, key.table, key.name))
    ledger.advance(run, Phase(run.phase), record=Record.of(run).keeping(unvalidated=None))


# ----- and back


def bring_back(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Fill the old tables with what was written since, and give them their names, triggers and foreign keys again.

    Raises Refused, or MoveFailed with the move as retired as before. Where the move is live already, only what a
    crash left is made up for.
    """
    back = run is not None and run.phase == Phase.LIVE
    if run is None or not back:
        run = retirement.check_retired(plan, run)
        tables.refuse_moved_on(plan)
    progress = Progress(f"{plan}: bringing back, database {plan.connection.alias!r}", steps=1 if back else 3)
    old = plan if back else resolve.plan_of(plan, run, own_names=True)
    session = steps.open_session(old)
    if not back:
        with steps.explained(plan, "The move is still retired.", again=AGAIN):
            with progress.step("fill the old tables"), session.transaction(isolation="REPEATABLE READ"):
                for statement in refill(resolve.plan_of(plan, run, own_names=False)):
                    session.execute(statement)
            with progress.step("compare every row, put the old tables in the views' places"), session.transaction():
                return_in_transaction(plan, old, session, ledger, run)
    with progress.step("foreign keys"), steps.explained(plan, "The old tables are back.", again=AGAIN):
        restore_keys(old, ledger, run, session)


def refill(plan: Plan) -> list[Statement]:
    filled = [rows.refill(pair) for pair in plan.pairs]
    # What is checked at the end of a transaction would forbid the ALTER TABLEs that follow.
    return [*filled, sql.SQL("SET CONSTRAINTS ALL IMMEDIATE")]


def return_in_transaction(plan: Plan, old: Plan, session: Session, ledger: Ledger, run: MoveRun) -> None:
    """Who reads a view waits until the commit, who reads a target does not."""
    session.run(*replace_views(plan, old))
    for statement in refill(old):
        session.execute(statement)
    found = comparison.compare(old, session)
    if not found.equal:
        shown = "; ".join(map(str, found.differences))
        raise MoveFailed(
            f"{plan}: {shown or 'the old table'} can't be made what the target is. Everything is undone, and the "
            "move is still retired. Correct the rows that are named in the target, then run the command again."
        )
    session.run(*sync.install(old))
    unvalidated = tuple(key.as_json() for key in [*own_keys(run), *returning_keys(plan)] if key.validated)
    record = Record.of(run).keeping(aside=None, ends={}, views={}, unvalidated=unvalidated)
    ledger.advance(run, Phase.LIVE, record=record)


def replace_views(plan: Plan, old: Plan) -> list[Statement]:
    """The views are dropped before their targets are locked: a writer has them in this order too."""
    views = {str(pair.source): pair.source for pair in plan.pairs if pair.source.kind == "v"}
    return [
        *standins.drop(plan),
        *locks.lock([pair.target for pair in plan.pairs], "SHARE ROW EXCLUSIVE"),
        *aside.put_back(old),
        *(s for p in old.pairs if str(p.source) in views for s in grants.follow(views[str(p.source)], p.source)),
    ]


def restore_keys(plan: Plan, ledger: Ledger, run: MoveRun, session: Session) -> None:
    """Each in a transaction of its own; until then the target's foreign keys speak for both tables."""
    for key in own_keys(run):
        if not foreign_keys.stands(session, key):
            session.run(*foreign_keys.add(key, foreign_keys.find_end(key, ledger)))
    for key in returning_keys(plan):
        session.run(*foreign_keys.move(key, key.home))
    settle(ledger, run, session)
    ledger.advance(run, Phase.LIVE, record=Record.of(run).keeping(foreign_keys=None))


def own_keys(run: MoveRun) -> list[Key]:
    return [foreign_keys.from_json(record) for record in Record.of(run).foreign_keys or ()]


def returning_keys(plan: Plan) -> list[Key]:
    return foreign_keys.returning(foreign_keys.read(plan), plan)


# ----- and for good


def drop(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Drop the rows that were set aside; the views stay, and there is no way back."""
    run = retirement.check_retired(plan, run)
    progress = Progress(f"{plan}: dropping, database {plan.connection.alias!r}", steps=1)
    session = steps.open_session(plan)
    with (
        progress.step("drop what was set aside"),
        steps.explained(plan, "Nothing has been dropped.", again=AGAIN),
        session.transaction(),
    ):
        session.run(*drop_aside(plan, run))
        ledger.advance(run, Phase.RETIRED, record=Record.of(run).keeping(foreign_keys=None, aside={}))


def drop_aside(plan: Plan, run: MoveRun) -> list[Statement]:
    """A sequence that the view's new rows are numbered by is the view's from now on."""
    old = resolve.plan_of(plan, run, own_names=False)
    return [
        *standins.mend(plan, Record.of(run)),
        *(
            statement
            for named, pair in zip(plan.pairs, old.pairs, strict=True)
            for statement in standins.keep_sequences(named.source, pair.source)
        ),
        sql.SQL("DROP TABLE {}").format(sql.SQL(", ").join(sql.name(pair.source) for pair in old.pairs)),
        *writes.forget(plan),
    ]


# ----- what each would run on this database now


def retire_steps(plan: Plan, ledger: Ledger, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `retire`."""
    if run is not None and stands(plan, run):
        statements = standins.mend(plan, Record.of(run))
        yield from [Step("Mend: all or nothing.", statements)] if statements else []
        return
    retirement.check(plan, run)
    keys = foreign_keys.read(plan)
    yield Step("Retire: all or nothing.", replace_by_views(plan, keys))
    yield from validate_steps(foreign_keys.incoming(keys, plan))


def bring_back_steps(plan: Plan, ledger: Ledger, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `bring_back`."""
    run = retirement.check_retired(plan, run)
    old = resolve.plan_of(plan, run, own_names=True)
    yield Step("Fill: all or nothing.", refill(resolve.plan_of(plan, run, own_names=False)))
    yield Step("Bring back: all or nothing.", [*replace_views(plan, old), *refill(old), *sync.install(old)])
    for key in own_keys(run):
        yield Step("Foreign keys: each all or nothing.", foreign_keys.add(key, foreign_keys.find_end(key, ledger)))
    for key in returning_keys(plan):
        yield Step("Foreign keys: each all or nothing.", foreign_keys.move(key, key.home))
    yield from validate_steps([*own_keys(run), *returning_keys(plan)])


def validate_steps(keys: list[Key]) -> Iterator[Step]:
    for key in keys:
        if key.validated:
            validated = sql.validate(key.schema, key.table, key.name)
            yield Step("Settle: each statement in a transaction of its own.", [validated])


def drop_steps(plan: Plan, ledger: Ledger, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `drop`."""
    yield Step("Drop: all or nothing.", drop_aside(plan, retirement.check_retired(plan, run)))
