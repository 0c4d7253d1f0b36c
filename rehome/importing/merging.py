"""Writes the rows that arrived to the target: one statement for each kind of change, all in one transaction."""

import dataclasses
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from rehome.errors import DoubtfulRows
from rehome.importing import deleting, lookups, tables, values
from rehome.importing.deleting import Gone
from rehome.importing.plan import ImportPlan
from rehome.importing.tables import Temporary, temporary
from rehome.parts import rows
from rehome.parts.sequences import advance
from rehome.plan.plan import Flow
from rehome.postgres import catalog, sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Statement
from rehome.postgres.tables import Table
from rehome.verify.comparison import Comparison, compare_pair

DEFERRABLE = """
SELECT n.nspname, c.conname, c.contype = 'f' AND c.conrelid = ANY(%s)
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
 WHERE c.condeferrable AND c.conparentid = 0
"""
"""What a transaction may leave to its end, and whether it is a foreign key of certain tables."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts(Gone):
    """What a merge has done to the target."""

    read: int
    inserted: int
    updated: int
    rejected: int = 0
    """Rows that were read and cannot be imported; the other numbers do not count them."""

    @property
    def unchanged(self) -> int:
        return self.read - self.inserted - self.updated


@dataclasses.dataclass(frozen=True)
class ImportReport:
    name: str
    counts: Counts
    comparison: Comparison
    seconds: float
    whole: bool = True
    """Whether every row of the source was read, so that it is known which are gone."""
    told: str = ""
    """What a person has to know of the source, as a sentence; empty where all is as usual."""
    missing: int = 0
    """Rows of the file of rejects whose keys the source does not have."""

    def as_json(self) -> dict[str, Any]:
        return {
            "import": self.name,
            **dataclasses.asdict(self.counts),
            "unchanged": self.counts.unchanged,
            "whole": self.whole,
            "seconds": round(self.seconds, 3),
        }


def merge(
    plan: ImportPlan,
    session: Session,
    *,
    delete: bool = False,
    delete_all: bool = False,
    left: Statement | None = None,
) -> Counts:
    """Insert what is new, update what has changed, and count or delete what is gone, in the transaction that is open.

    Constraints are checked before it returns. Equal rows are not touched. `left` names the temporary table of rows that
    the source has and that cannot be imported. Raises DoubtfulRows for what PostgreSQL would accept in silence: a value
    that is not found or would be rounded, a key that several rows have.
    """
    flow = look_up(plan, session)
    read = refuse_doubts(plan, flow, lookups.find(plan, own=False), session)
    gone = deleting.settle(plan, flow, session, left, delete=delete, every=delete_all)
    inserted, updated = insert_and_link(plan, flow, session) if plan.own_lookups else update_and_insert(flow, session)
    session.execute(check_now(plan, session) if delete else sql.check_now())
    advance(plan.target, flow.carried, session)
    return Counts(read=read, inserted=inserted, updated=updated, **dataclasses.asdict(gone))


def check_now(plan: ImportPlan, session: Session) -> Statement:
    """Ask what the end of the transaction would ask, but whether rows of imports that follow in this run lead to rows
    that are deleted: they may be gone themselves, or lead to others by then.
    """
    others = list(plan.later - {plan.target.oid})
    found = session.rows(DEFERRABLE, [others]) if others else []
    if not any(waits for _, _, waits in found):
        return sql.check_now()
    return sql.check_some_now(sql.Identifier(schema, name) for schema, name, waits in found if not waits)


def refuse_doubts(plan: ImportPlan, flow: Flow, named: Iterable[lookups.Found], session: Session) -> int:
    """How many rows arrived, if none of them is in doubt."""
    ((doubtful, read),) = session.rows(values.any_doubt(plan, flow, named))
    if doubtful or (not values.is_unique(plan) and session.rows(values.key_twice(plan, flow))[0][0]):
        raise DoubtfulRows(f"{plan}: some row cannot be imported.")
    return int(read)


def update_and_insert(flow: Flow, session: Session) -> tuple[int, int]:
    """How many rows were inserted and updated.

    The update comes first: it need not look at the rows that are new, and frees unique values that they take over.
    """
    updated = update(flow, session)
    return session.execute(rows.insert_missing(flow)), updated


def insert_and_link(plan: ImportPlan, flow: Flow, session: Session) -> tuple[int, int]:
    """The same where rows refer to one another: all of them are inserted before any refers to another, and have the
    values by which they are found.
    """
    linked, now = count_linked(plan, flow, session), unlinked(plan, flow)
    changes = lookups.find_by_changes(plan) and bool(tables.beside_key(now))
    if changes:
        session.execute_all([tables.drop(temporary(plan, "changed")), tables.create_changed(plan, now)])
    changed = update(now, session) if changes else 0
    inserted = session.execute(rows.insert_missing(now))
    flow = look_up(plan, session)
    refuse_doubts(plan, flow, lookups.find(plan), session)
    again = session.rows(tables.count_changed_again(plan, flow))[0][0] if changes else 0
    return inserted, changed + update(flow, session) - again - linked


def update(flow: Flow, session: Session) -> int:
    return session.execute(statement) if (statement := tables.update_changed(flow)) else 0


def look_up(plan: ImportPlan, session: Session) -> Flow:
    """From the rows as they arrived, or as they are after their lookups."""
    if not plan.lookups:
        return plan.flow(read_temporary(plan, "read"))
    found = temporary(plan, "found")
    with as_it_arrived(plan, session):
        session.execute_all([tables.drop(found), tables.create_found(plan, lookups.find(plan)), tables.analyze(found)])
    return plan.flow(read_temporary(plan, "found"))


def as_it_arrived(plan: ImportPlan, session: Session) -> AbstractContextManager[None]:
    """What is looked up arrived in this format, and times in this zone."""
    return session.settings(datestyle="ISO, YMD", TimeZone=plan.source.timezone_name)


def read_temporary(plan: ImportPlan, name: Temporary) -> Table:
    table = catalog.read_table(plan.connection, temporary(plan, name).as_string())
    assert table is not None  # noqa: S101  It was made on this connection.
    return table


def unlinked(plan: ImportPlan, flow: Flow) -> Flow:
    """Without the columns that refer to rows of this same import."""
    own = {taken.column.name for taken in plan.own_lookups}
    return dataclasses.replace(flow, assignments=tuple(a for a in flow.assignments if a.column.name not in own))


def count_linked(plan: ImportPlan, flow: Flow, session: Session) -> int:
    """New rows that refer to rows of the target: they are inserted without the reference, and updated later."""
    leads = SQL(" OR ").join(sql.present([t.arrives_in]) for t in plan.own_lookups)
    statement = SQL(
        "SELECT count(*) FROM {} AS new WHERE ({}) AND NOT EXISTS (SELECT FROM {} AS held WHERE {})"
    ).format(sql.name(flow.origin), leads, sql.name(flow.destination), rows.same_key(flow, "new", "held"))
    return int(session.rows(statement)[0][0])


def compare(plan: ImportPlan, session: Session, *, read: int) -> Comparison:
    """After `merge`, compare every row and column that arrived with the target's; `read` is their number."""
    flow = look_up(plan, session)
    ((there,),) = session.rows(SQL("SELECT count(*) FROM {}").format(sql.name(flow.destination)))
    # With as many rows as arrived, none of the target's has to be left out, nor looked for.
    return compare_arrived(plan, flow, session, SQL("true") if there == read else tables.was_read(flow))


def verify(plan: ImportPlan, session: Session, *, limit: int = 10) -> Comparison:
    """The same in a transaction of its own; rows of the target that are gone at the source are extra."""
    flow = look_up(plan, session)
    every = tables.imported(plan, "arrived") if not plan.partial else tables.was_read(flow)
    return compare_arrived(plan, flow, session, every, limit=limit)


def compare_arrived(plan: ImportPlan, flow: Flow, session: Session, every: Statement, limit: int = 10) -> Comparison:
    session.execute(tables.create_arrived(plan, flow, every))
    arrived = read_temporary(plan, "arrived")
    found = compare_pair(plan.pair(flow.origin, arrived), session, limit)
    session.execute(SQL("DROP VIEW {}").format(temporary(plan, "arrived")))
    named = tuple(dataclasses.replace(one, table=str(plan.target)) for one in found.differences)
    return dataclasses.replace(found, differences=named)
