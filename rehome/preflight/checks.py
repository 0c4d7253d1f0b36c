"""Refuses, with a hint, before anything is written: one refusal a function, cheapest first."""

from collections.abc import Collection

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Irreversible, Refused
from rehome.models import MoveRun, Phase
from rehome.parts import foreign_keys
from rehome.plan.declaration import Declaration
from rehome.plan.historical import get_model, get_table
from rehome.plan.ledger import Ledger
from rehome.plan.phases import LIVE, describe
from rehome.plan.plan import GONE, Plan
from rehome.plan.record import Record
from rehome.postgres import asking, sql
from rehome.postgres.sql import SQL, Identifier
from rehome.postgres.tables import Table
from rehome.preflight import leftovers, names, questions, records, rights, rows, tables, triggers, writers
from rehome.preflight.fates import Way

OLDEST_SERVER = 15


def check_connection(connection: BaseDatabaseWrapper) -> None:
    """Refuse a connection on which no move can be made: an unfit server, an open transaction."""
    check_server(connection)
    rights.refuse_closed_ledger(connection)


def refuse_open_transaction(plan: Plan) -> None:
    """In the transaction of an atomic migration, such as squashmigrations writes, only what has no rows is moved."""
    if not plan.connection.in_atomic_block:
        return
    cure = "Write `atomic = False` into the Migration class of that file, which squashmigrations leaves out."
    tables = [table for pair in plan.pairs for table in (pair.source, pair.target)]
    filled = [table for table in tables if table.kind == "r" and table.owned and has_rows(table, plan)]
    if filled:
        raise Refused(f"{plan} has rows in {filled[0]}, and its migration runs in one transaction.", cure)
    level = asking.value(plan.connection, "SELECT pg_catalog.current_setting('transaction_isolation')")
    if level != "read committed":
        raise Refused(f"{plan} runs in the transaction of its migration, which is {level.upper()}.", cure)


def has_rows(table: Table, plan: Plan) -> bool:
    return table.oid != GONE and bool(asking.value(plan.connection, sql.has_rows(table).as_string()))


def check_server(connection: BaseDatabaseWrapper) -> None:
    """Refuse what no plan can be made for: another engine, an old server."""
    if connection.vendor != "postgresql":
        raise Refused(
            f"Database {connection.alias!r} is {connection.vendor}; rehome moves models on PostgreSQL.",
            "Leave this migration out of that database with a router's allow_migrate.",
        )
    connection.ensure_connection()
    version = connection.connection.info.server_version
    if version < OLDEST_SERVER * 10000:
        raise Refused(
            f"Database {connection.alias!r} runs PostgreSQL {version // 10000}; rehome needs {OLDEST_SERVER}.",
            f"Upgrade the server to PostgreSQL {OLDEST_SERVER} or newer first.",
        )


def check_forward(plan: Plan, ledger: Ledger, *, beside_writers: bool = False) -> None:
    """Everything that must hold before the first write of a move."""
    check_definitions(plan, ledger, beside_writers=beside_writers)
    check_rows(plan)


def check_definitions(plan: Plan, ledger: Ledger, *, beside_writers: bool = False) -> None:
    """What must hold whether there are rows or not."""
    for pair in plan.pairs:
        tables.refuse_same_table(pair, plan)
        tables.refuse_other_moves(pair)
        for table in (pair.source, pair.target):
            tables.refuse_unfit(table)
        tables.refuse_unlogged(pair.target, pair.source)
        triggers.refuse_triggers(pair, plan)
    triggers.refuse_effects(plan)
    refuse_unasked_freeze(plan)
    check_rights(plan)
    names.refuse_of_move(plan)
    if beside_writers or plan.reversible:
        # Beside writers, the triggers come before the target has the source's grants.
        writers.refuse_owners_that_lend(plan, granting=not beside_writers)
        writers.refuse_lent_rights(plan, granting=not beside_writers, copying=beside_writers)
    for pair in plan.pairs:
        for model, table in ((pair.source_model, pair.source), (pair.target_model, pair.target)):
            tables.refuse_drift(model, table, plan.connection, wide=table is pair.target)
            tables.refuse_unfit_key(model, table)
        tables.refuse_dropped_keys(pair)
        tables.refuse_unfilled(pair)
        tables.refuse_misfits(pair)
    leftovers.refuse_ties(Way.FORWARD, plan)
    refuse_unmoved_references(plan, ledger)


def refuse_unasked_freeze(plan: Plan) -> None:
    """A forgotten `backwards` would make the source read-only for good."""
    if plan.irreversible and not plan.move.irreversible:
        raise Refused(
            f"{plan} has no way back: {'; '.join(plan.irreversible)}.",
            f"Say there how the target's row gives the value; or write Move(..., irreversible=True), after which "
            f"{plan.main.source} is read-only and the move can't go back.",
        )


def check_rows(plan: Plan) -> None:
    check_target_empty(plan)
    for pair in plan.pairs:
        rows.refuse_uncomputable(pair, plan)
        rows.refuse_nulls(pair, plan)
        rows.refuse_long_values(pair, plan)
        rows.refuse_violations(pair, plan)
        rows.refuse_duplicates(pair, plan)
        rows.refuse_orphans(pair, plan)
        rows.refuse_false_inverses(pair, plan)


def check_beside_writers(plan: Plan, ledger: Ledger) -> None:
    """Everything that must hold before the first write of a move online."""
    for pair in plan.pairs:
        tables.refuse_always_generated(pair)
    check_forward(plan, ledger, beside_writers=True)


def check_rights(plan: Plan) -> None:
    for pair in plan.pairs:
        for table in (pair.source, pair.target):
            rights.refuse_strangers_table(table, plan.connection)
            rights.refuse_closed_schema(plan.connection, table.schema, "functions")
    writers.refuse_unfit_owners(plan)
    rights.refuse_strangers_code(plan)
    rights.refuse_closed_tables(plan)


def check_target_empty(plan: Plan) -> None:
    for pair in plan.pairs:
        if asking.value(plan.connection, sql.has_rows(pair.target).as_string()):
            raise Refused(
                f"{pair.target} is not empty.",
                f"Move or delete its rows first: after the move its rows are those of {pair.source}.",
            )


def check_backward(plan: Plan, ledger: Ledger) -> MoveRun:
    """Everything that must hold before the first write of the way back; returns the run to undo."""
    run = check_live(plan, ledger)
    tables.refuse_moved_on(plan)
    check_rights(plan)
    rights.refuse_closed_referrers(plan)
    check_unreferenced(plan)
    refuse_later_moves(plan, run)
    records.check_sequences(plan, Record.of(run))
    check_emptied(plan)
    return run


def check_emptied(plan: Plan) -> None:
    """Whatever would be gone with the target's rows, or keep the source from taking them."""
    for pair in plan.pairs:
        tables.refuse_unlogged(pair.source, pair.target)
        tables.refuse_row_security(pair.source)
        tables.refuse_rules(pair.source)
    leftovers.refuse_ties(Way.BACK, plan)
    check_nothing_lost(plan)


def refuse_later_moves(
    plan: Plan,
    run: MoveRun,
    stay: Collection[tuple[str, str, str]] = (),
    undone: Collection[str] = (),
) -> None:
    """A move that was made on top of this one goes back first: its table would be left with foreign keys to a table
    without rows, or with names that mean another. `undone` are moves that will have gone back by then.
    """
    for later in Ledger(plan.connection.alias).standing_after(run):
        keys = foreign_keys.to_targets(plan, stay)
        targets = {target for _, target in Record.of(later).tables}
        names = [f"its foreign key {key.name}" for key in keys if key.table in targets]
        if later.source_table == run.target_table:
            names.append("it")
        if names and later.move not in undone:
            raise Refused(
                f"{later.move} has moved since, and {names[0]} relies on {plan.main.target}.",
                f"Move {later.target_table} back first: `manage.py showmoves` names its migration.",
            )


def check_unreferenced(plan: Plan, stay: Collection[tuple[str, str, str]] = ()) -> None:
    """Rows of other tables that point at a target would be left without it; the foreign keys `stay` keep theirs."""
    for key in foreign_keys.to_targets(plan, stay):
        column = Identifier(key.columns[0])
        rows.refuse_rows(
            plan,
            SQL("SELECT {0} FROM {1} WHERE {0} IS NOT NULL").format(column, Identifier(key.schema, key.table)),
            f"{key}.{key.columns[0]} still points at rows {{rows}} of {key.end}.",
            "Roll back the migrations that made it point there first.",
        )


def check_live(plan: Plan, ledger: Ledger) -> MoveRun:
    """There is something to undo, and a way to undo it; returns the run."""
    if not plan.reversible:
        raise Irreversible(
            f"{plan} can't go back: {'; '.join(plan.irreversible)}.",
            "A way back is declared before a move runs. With `migrate --fake` the migration counts as unapplied, and "
            "both tables stay as they are.",
        )
    run = ledger.current(plan)
    if run is None or run.phase not in {*LIVE, Phase.IN_PLACE}:
        raise Refused(
            f"{plan} is not live on database {plan.connection.alias!r}: {describe(run)}.",
            "Use `migrate --fake` if only Django's record is wrong.",
        )
    return run


def refuse_ended(move: Declaration, apps: Apps, connection: BaseDatabaseWrapper) -> None:
    """Where nothing is left of the source, only a target without rows goes back."""
    table = get_table(connection, get_model(apps, move.target))
    if asking.value(connection, sql.has_rows(table).as_string()):
        raise Irreversible(
            f"{move} has ended on database {connection.alias!r}: there is no table to which the rows of {table} could "
            "go back.",
            "Restore a backup from before its end; or delete these rows first, if they may be lost.",
        )


def check_nothing_lost(plan: Plan, known: leftovers.Known | None = None) -> None:
    """Values of columns that only the target has would be gone with its rows; those that are `known` go otherwise."""
    leftovers.refuse_columns(Way.BACK, plan, known)
    for pair in plan.pairs:
        key = [there for _, there in pair.forward.key]
        for lost in pair.lost:
            rows.refuse_rows(
                plan,
                questions.written_values(pair.target, key, lost),
                f"{pair.target}.{lost.column.name} has values that {pair.source} can't hold, in rows {{rows}}.",
                f"Set them to what they were when the rows came, or list {lost.column.name!r} in discard to lose them.",
            )


def refuse_unmoved_references(plan: Plan, ledger: Ledger) -> None:
    for reference in plan.references:
        if not ledger.live_out_of(reference.source_table, reference.target_table):
            raise Refused(
                f"{reference.field} points at {reference.target}, but the rows of {reference.source} "
                f"have not been moved there.",
                f"Move {reference.source} to {reference.target} first, and add that migration to the dependencies.",
            )
