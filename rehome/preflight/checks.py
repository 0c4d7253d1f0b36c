"""Refuses, with a hint, before anything is written: one refusal a function, cheapest first."""

from collections.abc import Collection

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Irreversible, Refused
from rehome.models import MoveRun, Phase
from rehome.parts import foreign_keys
from rehome.plan.ledger import Ledger
from rehome.plan.phases import LIVE, describe
from rehome.plan.plan import Plan
from rehome.postgres import catalog, sql
from rehome.postgres.sql import SQL, Identifier
from rehome.preflight import questions, rights, rows, tables

OLDEST_SERVER = 15


def check_connection(connection: BaseDatabaseWrapper) -> None:
    """Refuse a connection on which no move can be made: an unfit server, an open transaction."""
    check_server(connection)
    rights.refuse_closed_ledger(connection)
    if connection.in_atomic_block:
        raise Refused("This migration runs in a transaction of its own.", "Set atomic = False on the Migration class.")


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


def check_forward(plan: Plan, ledger: Ledger) -> None:
    """Everything that must hold before the first write of a move."""
    for pair in plan.pairs:
        tables.refuse_same_table(pair, plan)
        tables.refuse_other_moves(pair)
        for table in (pair.source, pair.target):
            tables.refuse_unfit(table)
        tables.refuse_unlogged_target(pair)
    check_rights(plan)
    for pair in plan.pairs:
        for model, table in ((pair.source_model, pair.source), (pair.target_model, pair.target)):
            tables.refuse_drift(model, table, plan.connection)
            tables.refuse_unfit_key(model, table)
        tables.refuse_dropped_keys(pair)
        tables.refuse_misfits(pair)
    refuse_unmoved_references(plan, ledger)
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
    check_forward(plan, ledger)


def check_rights(plan: Plan) -> None:
    for pair in plan.pairs:
        for table in (pair.source, pair.target):
            rights.refuse_strangers_table(table, plan.connection)
            rights.refuse_closed_schema(plan.connection, table.schema, "functions")
    rights.refuse_open_schemas(plan)
    rights.refuse_closed_tables(plan)


def check_target_empty(plan: Plan) -> None:
    for pair in plan.pairs:
        if catalog.value(plan.connection, sql.has_rows(pair.target).as_string()):
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
    check_nothing_lost(plan)
    return run


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
            "Give Move(...) a backwards={...} expression for it.",
        )
    run = ledger.current(plan)
    if run is None or run.phase not in {*LIVE, Phase.IN_PLACE}:
        raise Refused(
            f"{plan} is not live on database {plan.connection.alias!r}: {describe(run)}.",
            "Use `migrate --fake` if only Django's record is wrong.",
        )
    return run


def check_nothing_lost(plan: Plan) -> None:
    """Values of columns that only the target has would be gone with its rows."""
    for pair in plan.pairs:
        key = [there for _, there in pair.forward.key]
        for lost in pair.lost:
            rows.refuse_rows(
                plan,
                questions.written_values(pair.target, key, lost),
                f"{pair.target}.{lost.column.name} has values that {pair.source} can't hold, in rows {{rows}}.",
                f"Give a backwards={{...}} expression that reads {lost.column.name!r}, "
                "or list it in discard to lose them.",
            )


def refuse_unmoved_references(plan: Plan, ledger: Ledger) -> None:
    for reference in plan.references:
        if not ledger.live_out_of(reference.source_table, reference.target_table):
            raise Refused(
                f"{reference.field} points at {reference.target}, but the rows of {reference.source} "
                f"have not been moved there.",
                f"Move {reference.source} to {reference.target} first, and add that migration to the dependencies.",
            )
