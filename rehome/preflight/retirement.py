"""Refusals of a retirement: what a view can't be, and what would be left behind with the table that it replaces."""

from rehome.errors import Irreversible, Refused
from rehome.models import MoveRun, Phase
from rehome.parts import foreign_keys, sync
from rehome.plan.phases import describe
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres.sql import readable
from rehome.postgres.tables import End, ForeignKey, Table
from rehome.preflight import leftovers, names, rights, tables, triggers, writers
from rehome.preflight.fates import Way


def check(plan: Plan, run: MoveRun | None) -> MoveRun:
    """Everything that must hold before a move is retired, but for the comparison; returns the run."""
    refuse_irreversible(plan)
    run = refuse_unsettled(plan, run)
    for pair in plan.pairs:
        tables.refuse_unfit(pair.source)
        triggers.refuse_without_counterpart(pair, plan)
        refuse_generated(pair)
        refuse_other_moves(pair.source, plan)
        for table in (pair.source, pair.target):
            rights.refuse_strangers_table(table, plan.connection)
            rights.refuse_closed_schema(plan.connection, table.schema, "views")
    writers.refuse_unfit_owners(plan)
    names.refuse_of_retirement(plan)
    rights.refuse_strangers_code(plan)
    check_sources(plan)
    for key, end in foreign_keys.counterparts(foreign_keys.to_sources(foreign_keys.read(plan), plan), plan):
        rights.refuse_strangers_key(key, plan)
        refuse_lost_end(key, end, plan)
    return run


def check_sources(plan: Plan) -> None:
    """What would be left behind with the old tables, or hide rows of the views from old code."""
    for pair in plan.pairs:
        tables.refuse_unlogged(pair.target, pair.source)
        tables.refuse_row_security(pair.target)
    leftovers.refuse(Way.RETIRE, plan)


def check_views(plan: Plan, old: Plan) -> None:
    """What would be gone with the views, or keep the old tables from being filled; `old` is the plan with these."""
    for pair in old.pairs:
        tables.refuse_kind(pair.source)
        tables.refuse_row_security(pair.source)
        tables.refuse_rules(pair.source)
        tables.refuse_row_security(pair.target)
    leftovers.refuse(Way.UNRETIRE, plan)


def refuse_irreversible(plan: Plan) -> None:
    if not plan.reversible:
        raise Irreversible(
            f"{plan} can't be retired: no view of {plan.main.target} has the columns of {plan.main.source}, for "
            f"{'; '.join(plan.irreversible)}.",
            "Its old table is frozen, so nothing is carried any more: drop it in the migration that deletes the model.",
        )


def refuse_unsettled(plan: Plan, run: MoveRun | None) -> MoveRun:
    if run is not None and run.phase == Phase.IN_PLACE:
        raise Refused(f"{plan} went in place: {plan.main.source} is a view already.", "There is nothing to retire.")
    if run is None or run.phase != Phase.LIVE:
        raise Refused(
            f"{plan} is not live on database {plan.connection.alias!r}: {describe(run)}.",
            "Run `manage.py migrate` first; only the old table of a live move can be retired.",
        )
    return run


def refuse_other_moves(table: Table, plan: Plan) -> None:
    """A table may be part of two moves; one of them would write to a view."""
    own = {trigger.name for trigger in (*sync.wanted(plan), *sync.leftover(plan))}
    others = [t.name for t in table.triggers if t.is_ours and t.name not in own]
    if others:
        raise Refused(
            f"{table} is part of another move too, whose trigger is {others[0]!r}.",
            "Move that one back first: `manage.py showmoves` lists them.",
        )


def refuse_generated(pair: TablePair) -> None:
    """A view computes such a column of a row that it shows, and not of one that is written to it."""
    for assignment in pair.forward.carried:
        for column in sorted(c for c in assignment.reads if pair.source.column(c).generated):
            raise Refused(
                f"{pair.target}.{assignment.column.name} is made of {pair.source}.{column}, which is generated, and a "
                "view generates nothing for the rows that are written to it.",
                f"In fields={{...}}, compute {assignment.column.name!r} from the columns that {column!r} is generated "
                "from.",
            )


def refuse_lost_end(key: ForeignKey, end: End | None, plan: Plan) -> None:
    """A foreign key can lead to unique columns alone."""
    target = next((pair.target for pair in plan.pairs if str(pair.source) == str(key.end)), None)
    if end is None or target is None or not is_unique(end, target):
        raise Refused(
            f"{key}.{key.name} points at {', '.join(key.end.columns)} of {key.end}, and {target} has no such unique "
            "columns to point at.",
            f"Re-point the field by a migration, or run ALTER TABLE {readable(key.schema, key.table)} "
            f"DROP CONSTRAINT {readable(key.name)}.",
        )


def is_unique(end: End, table: Table) -> bool:
    columns = [c.columns for c in table.constraints if c.kind in "pu" and not c.deferrable]
    columns += [index.columns for index in table.indexes if index.unique]
    return any(set(found) == set(end.columns) for found in columns)


def check_retired(plan: Plan, run: MoveRun | None) -> MoveRun:
    """There is something to unretire, and it is still there; returns the run."""
    if run is None or run.phase != Phase.RETIRED:
        raise Refused(
            f"{plan} is not retired on database {plan.connection.alias!r}: {describe(run)}.", "Nothing is set aside."
        )
    refuse_dropped(run)
    return run


def refuse_dropped(run: MoveRun) -> None:
    if not Record.of(run).aside:
        raise Refused(
            f"The old table of {run.move} was dropped for good by `retiremoves --drop`, which nothing undoes.",
            f"{run.source_table} stays a view of {run.target_table}.",
        )
