"""Retire: the old table becomes a view of the new one, with its rows set aside, and can come back."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from rehome import catalog, grants, repointing, sql, steps, sync, verify, views, writes
from rehome.catalog import Table
from rehome.errors import MoveFailed, Refused
from rehome.ledger import Ledger
from rehome.models import MoveRun, Phase
from rehome.plan import Plan, TablePair
from rehome.preflight import retirement
from rehome.progress import Progress
from rehome.repointing import End, Key
from rehome.resolve import make_plan
from rehome.session import Session, Statement
from rehome.sql import SQL, Identifier
from rehome.steps import Step
from rehome.triggers import trigger_name


def retire(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Compare every row, then let views take the old tables' places in one short transaction.

    Raises Refused or MoveFailed with nothing changed. Where the move is retired, only what a crash left is made up for.
    """
    retired = run is not None and run.phase == Phase.RETIRED
    if run is None or not retired:
        run = retirement.check(plan, run)
    session = steps.open_session(plan)
    progress = Progress(f"{plan}: retiring, database {plan.connection.alias!r}", steps=1 if retired else 3)
    if not retired:
        with progress.step("compare every row"):
            refuse_unequal(plan, ledger, run, session)
        with (
            progress.step("put views in the old tables' places"),
            steps.explained(plan, "Nothing has been retired.", again="the command"),
            session.transaction(),
        ):
            keys = repointing.read(plan)
            kept = {**run.kept, **to_keep(plan, run, keys)}
            session.run(*replace_by_views(plan, keys))
            ledger.advance(run, Phase.RETIRED, kept=kept)
    with progress.step("validate foreign keys"), steps.explained(plan, "The move is retired.", again="the command"):
        settle(ledger, run, session)


def stands(plan: Plan, run: MoveRun | None) -> bool:
    """Whether the old name is still a view; tables that were made anew since the run are a move of their own."""
    return run is not None and run.phase == Phase.RETIRED and plan.main.source.kind == "v"


def is_unfinished(run: MoveRun) -> bool:
    """Whether a crash left foreign keys to add or to validate, behind the commit of either way."""
    return "unvalidated" in run.kept or (run.phase == Phase.LIVE and "foreign_keys" in run.kept)


def refuse_unequal(plan: Plan, ledger: Ledger, run: MoveRun, session: Session) -> None:
    report = verify.verify(plan, session, run.kept)
    ledger.record_verification(run, report.as_json())
    if not report.ok:
        raise Refused(
            f"{plan} is not in order, and retiring its old table would hide that.",
            f"Run `manage.py verifymoves {plan.move.target}`, which says what is wrong and how to cure it.",
        )


def to_keep(plan: Plan, run: MoveRun, keys: list[Key]) -> dict[str, Any]:
    """What `bring_back` needs, as JSON."""
    granted = dict(run.kept["grants"])
    for table, added in grants.to_keep(plan)["grants"].items():
        granted[table] = [*granted.get(table, []), *added]
    own, incoming = repointing.own(keys, plan), repointing.incoming(keys, plan)
    return {
        "grants": granted,
        "aside": {str(pair.source): trigger_name("aside", pair) for pair in plan.pairs},
        "foreign_keys": [key.as_json() for key in own],
        "unvalidated": [key.as_json() for key in incoming if key.validated],
        "ends": {
            str(pair.source): {
                "schema": pair.target.schema,
                "table": pair.target.name,
                "columns": {a.column.name: next(iter(a.reads)) for a in pair.backward.assignments if a.plain},
            }
            for pair in plan.pairs
        },
    }


def replace_by_views(plan: Plan, keys: list[Key]) -> list[Statement]:
    """All locks first: nobody waits for longer than the catalog takes to change."""
    incoming = repointing.counterparts(repointing.incoming(keys, plan), plan)
    return [
        sql.lock([table for pair in plan.pairs for table in (pair.source, pair.target)], "ACCESS EXCLUSIVE"),
        sync.insist(plan),
        *(repointing.drop(key) for key in repointing.own(keys, plan)),
        *(statement for key, end in incoming if end for statement in repointing.move(key, end)),
        *sync.take_off(plan),
        *grants.carry(plan),
        *(rename(pair.source, trigger_name("aside", pair)) for pair in plan.pairs),
        *(statement for pair in plan.pairs for statement in views.create(pair, plan.search_path)),
    ]


def rename(table: Table, new: str) -> Statement:
    return SQL("ALTER TABLE {} RENAME TO {}").format(sql.name(table), Identifier(new))


def settle(ledger: Ledger, run: MoveRun, session: Session) -> None:
    """Validate the foreign keys that were added, as far as they are still there; blocks nobody."""
    for key in map(repointing.from_json, run.kept.get("unvalidated", [])):
        if repointing.stands(session, key):
            session.run(sql.validate(key.schema, key.table, key.name))
    ledger.advance(run, Phase(run.phase), kept=without(run.kept, "unvalidated"))


def without(kept: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in kept.items() if name not in names}


# ----- and back


def bring_back(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Fill the old tables with what was written since, and give them their names, triggers and foreign keys again.

    Raises Refused, or MoveFailed with the move as retired as before. Where the move is live already, only what a
    crash left is made up for.
    """
    back = run is not None and run.phase == Phase.LIVE
    if run is None or not back:
        run = check_retired(plan, run)
    progress = Progress(f"{plan}: bringing back, database {plan.connection.alias!r}", steps=1 if back else 3)
    old = plan if back else plan_of_old(plan, run, aside=False)
    session = steps.open_session(old)
    if not back:
        with steps.explained(plan, "The move is still retired.", again="the command"):
            with progress.step("fill the old tables"), session.transaction(isolation="REPEATABLE READ"):
                for statement in refill(plan_of_old(plan, run, aside=True)):
                    session.execute(statement)
            with progress.step("compare every row, put the old tables in the views' places"), session.transaction():
                return_in_transaction(plan, old, session, ledger, run)
    with progress.step("foreign keys"), steps.explained(plan, "The old tables are back.", again="the command"):
        restore_keys(old, ledger, run, session)


def refill(plan: Plan) -> list[Statement]:
    filled = [statement for pair in plan.pairs for statement in sql.refill(pair)]
    # What is checked at the end of a transaction would forbid the ALTER TABLEs that follow.
    return [*filled, SQL("SET CONSTRAINTS ALL IMMEDIATE")]


def return_in_transaction(plan: Plan, old: Plan, session: Session, ledger: Ledger, run: MoveRun) -> None:
    """Who reads a view waits until the commit, who reads a target does not."""
    session.run(*replace_views(plan, old, run))
    for statement in refill(old):
        session.execute(statement)
    comparison = verify.compare(old, session)
    if not comparison.equal:
        shown = "; ".join(map(str, comparison.differences))
        raise MoveFailed(
            f"{plan}: {shown or 'the old table'} can't be made what the target is. Everything is undone, and the "
            "move is still retired. Correct the rows that are named in the target, then run the command again."
        )
    session.run(*sync.install(old))
    keys = [*map(repointing.from_json, run.kept["foreign_keys"]), *repointing.returning(repointing.read(plan), plan)]
    unvalidated = [key.as_json() for key in keys if key.validated]
    ledger.advance(run, Phase.LIVE, kept={**without(run.kept, "aside", "ends"), "unvalidated": unvalidated})


def replace_views(plan: Plan, old: Plan, run: MoveRun) -> list[Statement]:
    """The views are dropped before their targets are locked: a writer has them in this order too."""
    aside = [dataclasses.replace(p.source, name=run.kept["aside"][str(p.source)]) for p in old.pairs]
    return [
        *(statement for pair in plan.pairs for statement in views.drop(pair)),
        sql.lock([pair.target for pair in plan.pairs], "SHARE ROW EXCLUSIVE"),
        *(rename(table, pair.source.name) for table, pair in zip(aside, old.pairs, strict=True)),
        *(s for view, pair in zip(plan.pairs, old.pairs, strict=True) for s in grants.follow(view.source, pair.source)),
    ]


def restore_keys(plan: Plan, ledger: Ledger, run: MoveRun, session: Session) -> None:
    """Each in a transaction of its own; until then the target's foreign keys speak for both tables."""
    for key in map(repointing.from_json, run.kept.get("foreign_keys", [])):
        if not repointing.stands(session, key):
            session.run(*repointing.add(key, find_end(key, ledger)))
    for key in repointing.returning(repointing.read(plan), plan):
        session.run(*repointing.move(key, key.home))
    settle(ledger, run, session)
    ledger.advance(run, Phase.LIVE, kept=without(run.kept, "foreign_keys"))


def find_end(key: Key, ledger: Ledger) -> End:
    """Where a foreign key leads whose own end may have become a view meanwhile."""
    table = catalog.read_table(ledger.connection, Identifier(key.end.schema, key.end.table).as_string())
    run = ledger.successor(str(key.end))
    if table is None or table.kind != "v" or run is None or "ends" not in run.kept:
        return key.end
    end = run.kept["ends"][str(key.end)]
    return End(end["schema"], end["table"], tuple(end["columns"][column] for column in key.end.columns))


def check_retired(plan: Plan, run: MoveRun | None) -> MoveRun:
    """There is something to bring back, and it is still there; returns the run."""
    if run is None or run.phase != Phase.RETIRED:
        phase = f"its phase is {run.phase!r}" if run else "it never ran here"
        raise Refused(f"{plan} is not retired on database {plan.connection.alias!r}: {phase}.", "Nothing to undo.")
    if not run.kept["aside"]:
        raise Refused(
            f"The old table of {plan} was dropped for good by `retiremoves --drop`, which nothing undoes.",
            f"{plan.main.source} stays a view of {plan.main.target}.",
        )
    return run


def plan_of_old(plan: Plan, run: MoveRun, *, aside: bool) -> Plan:
    """The move between the old tables, under the names they have `aside` or under their own, and the targets."""
    found = {}
    for pair in plan.pairs:
        name = run.kept["aside"][str(pair.source)]
        table = catalog.read_table(plan.connection, Identifier(pair.source.schema, name).as_string())
        if table is None:
            raise Refused(
                f"{pair.source.schema}.{name}, where the rows of {pair.source} were set aside, is gone.",
                "Restore it under that name from a backup; what was written since is filled in.",
            )
        found[pair.source_model._meta.db_table] = table if aside else under(table, pair.source.name)
    return make_plan(plan.move, plan.apps, plan.connection, found)


def under(table: Table, name: str) -> Table:
    return dataclasses.replace(table, name=name)


# ----- and for good


def drop(plan: Plan, ledger: Ledger, run: MoveRun | None) -> None:
    """Drop the rows that were set aside; the views stay, and there is no way back."""
    run = check_retired(plan, run)
    progress = Progress(f"{plan}: dropping, database {plan.connection.alias!r}", steps=1)
    session = steps.open_session(plan)
    with (
        progress.step("drop what was set aside"),
        steps.explained(plan, "Nothing has been dropped.", again="the command"),
        session.transaction(),
    ):
        session.run(*drop_aside(plan, run))
        ledger.advance(run, Phase.RETIRED, kept=without(run.kept, "foreign_keys") | {"aside": {}})


def drop_aside(plan: Plan, run: MoveRun) -> list[Statement]:
    """A sequence that the view's new rows are numbered by is the view's from now on."""
    old = plan_of_old(plan, run, aside=True)
    return [
        *(statement for pair in old.pairs for statement in keep_sequences(pair, plan)),
        SQL("DROP TABLE {}").format(SQL(", ").join(sql.name(pair.source) for pair in old.pairs)),
        *writes.forget(plan),
    ]


def keep_sequences(pair: TablePair, plan: Plan) -> Iterator[Statement]:
    view = next(standing.source for standing in plan.pairs if standing.target.oid == pair.target.oid)
    for column, sequence in pair.source.sequences.items():
        place = Identifier(sequence.schema, sequence.name)
        default = view.column(column).default or ""
        if place.as_string() in default or f"'{sequence.name}'" in default:
            yield SQL("ALTER SEQUENCE {} OWNED BY {}").format(place, Identifier(view.schema, view.name, column))


# ----- what each would run on this database now


def retire_steps(plan: Plan, ledger: Ledger, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `retire`."""
    retirement.check(plan, run)
    keys = repointing.read(plan)
    yield Step("Retire: all or nothing.", replace_by_views(plan, keys))
    for key in repointing.incoming(keys, plan):
        if key.validated:
            yield Step(
                "Settle: each statement in a transaction of its own.", [sql.validate(key.schema, key.table, key.name)]
            )


def bring_back_steps(plan: Plan, ledger: Ledger, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `bring_back`."""
    run = check_retired(plan, run)
    old = plan_of_old(plan, run, aside=False)
    yield Step("Fill: all or nothing.", refill(plan_of_old(plan, run, aside=True)))
    yield Step("Bring back: all or nothing.", [*replace_views(plan, old, run), *refill(old), *sync.install(old)])
    own = [*map(repointing.from_json, run.kept["foreign_keys"])]
    returning = repointing.returning(repointing.read(plan), plan)
    for statements in (
        *(repointing.add(key, find_end(key, ledger)) for key in own),
        *(repointing.move(key, key.home) for key in returning),
        *([sql.validate(key.schema, key.table, key.name)] for key in [*own, *returning] if key.validated),
    ):
        yield Step("Foreign keys: each in a transaction of its own.", statements)


def drop_steps(plan: Plan, ledger: Ledger, run: MoveRun | None) -> Iterator[Step]:
    """The statements of `drop`."""
    yield Step("Drop: all or nothing.", drop_aside(plan, check_retired(plan, run)))
