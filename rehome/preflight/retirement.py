"""Refusals of a retirement: what a view can't be, and what would be left behind with the table that it replaces."""

from rehome.errors import Irreversible, Refused
from rehome.models import MoveRun, Phase
from rehome.parts import foreign_keys, sync
from rehome.plan.phases import describe
from rehome.plan.plan import Plan
from rehome.plan.record import Record
from rehome.postgres import catalog
from rehome.postgres.sql import readable
from rehome.postgres.tables import PREFIX, End, ForeignKey, Table
from rehome.preflight import rights, tables

# Whatever knows the table, or its row type, by its oid would still read what is written to no more.
DEPENDENTS = """
SELECT DISTINCT CASE WHEN d.classid = 'pg_rewrite'::regclass
         THEN (SELECT format('the view %%s', r.ev_class::regclass) FROM pg_rewrite r WHERE r.oid = d.objid)
         ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END
  FROM pg_depend d JOIN pg_class c ON c.oid = %(oid)s
 WHERE (d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
     OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN
          (SELECT t.oid FROM pg_type t WHERE t.oid = c.reltype OR t.typelem = c.reltype AND t.typcategory = 'A'))
   AND (d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass)
     OR d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_type'::regclass)
 ORDER BY 1 LIMIT 1
"""


def check(plan: Plan, run: MoveRun | None) -> MoveRun:
    """Everything that must hold before a move is retired, but for the comparison; returns the run."""
    refuse_irreversible(plan)
    run = refuse_unsettled(plan, run)
    for pair in plan.pairs:
        tables.refuse_unfit(pair.source)
        refuse_other_moves(pair.source, plan)
        refuse_dependents(pair.source, plan)
        for table in (pair.source, pair.target):
            rights.refuse_strangers_table(table, plan.connection)
            rights.refuse_closed_schema(plan.connection, table.schema, "views")
    for key, end in foreign_keys.counterparts(foreign_keys.to_sources(foreign_keys.read(plan), plan), plan):
        rights.refuse_strangers_key(key, plan)
        refuse_lost_end(key, end, plan)
    return run


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
    own = {trigger.name for trigger in sync.wanted(plan)}
    others = [t.name for t in table.triggers if t.name.startswith(PREFIX) and t.name not in own]
    if others:
        raise Refused(
            f"{table} is part of another move too, whose trigger is {others[0]!r}.",
            "Move that one back first: `manage.py showmoves` lists them.",
        )


def refuse_dependents(table: Table, plan: Plan) -> None:
    for dependent in catalog.column(plan.connection, DEPENDENTS, {"oid": table.oid}):
        raise Refused(
            f"{table} can't become a view, because {dependent} depends on the table and would still read it.",
            "Drop it, retire the move, then create it again: it will read the view.",
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
