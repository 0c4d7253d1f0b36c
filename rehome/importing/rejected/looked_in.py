"""Rows that others are looked up among, and for which the server fails to compute what they are found by.

One that comes with the import itself is a reject. An error names any other.
"""

import dataclasses
from collections.abc import Iterable, Iterator

from rehome.errors import ImportFailed, visible
from rehome.importing import lookups
from rehome.importing.declaration import Lookup
from rehome.importing.plan import ImportPlan, Taken, describe_key, find_model
from rehome.importing.rejected.catching import create_function
from rehome.importing.tables import LINE, temporary
from rehome.parts import rows
from rehome.plan.expressions import ROW
from rehome.plan.historical import column_of, get_table
from rehome.plan.plan import Flow
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Table

FAULT = sql.temporary("rehome_fault_of_row")
"""Why the server fails for the row with a primary key, which is given as text; null where it does not."""
DROP = SQL("DROP FUNCTION {} (text)").format(FAULT)


@dataclasses.dataclass(frozen=True)
class LookedIn:
    """A lookup that may fail so. Any field by itself has a text."""

    taken: Taken
    lookup: Lookup
    table: Table
    """Of the rows."""
    key: str
    """The column of their primary key."""

    def fault(self, row: str) -> Statement:
        return SQL("{}({}::text)").format(FAULT, Identifier(row, self.key))

    def create_fault(self, plan: ImportPlan) -> Statement:
        key = SQL("$1::{}").format(SQL(self.table.column(self.key).type))
        row = lookups.among_rows(plan, self.taken, self.lookup, key=key)
        body = SQL("PERFORM * FROM ({}) AS row; RETURN NULL;").format(row)
        return create_function(FAULT, body.as_string(), "text", "SQLERRM")


def find(plan: ImportPlan) -> Iterator[LookedIn]:
    for taken in plan.lookups:
        lookup = taken.lookup
        if lookup and isinstance(lookup.among, str) and (lookup.normalise or not isinstance(lookup.by, str)):
            model = find_model(plan.apps, lookup.among)
            keys = [column_of(field) for field in model._meta.pk_fields]
            if len(keys) == 1:
                yield LookedIn(taken, lookup, get_table(plan.connection, model), *keys)


def reject_own(plan: ImportPlan, flow: Flow, session: Session) -> int:
    """Reject the rows of an import that has brought them in, and that others of it are looked up among; how many."""
    rejected = 0
    for one in find(plan):
        if one.taken in plan.own_lookups:
            session.execute(one.create_fault(plan))
            rejected += session.execute(reject(plan, flow, one))
            session.execute(DROP)
    return rejected


def reject(plan: ImportPlan, flow: Flow, one: LookedIn) -> Statement:
    return SQL(
        "INSERT INTO {rejects} SELECT {line}, '', {why} || {place}, NULL FROM {origin} AS {row} JOIN {target} AS kept "
        "ON {same} WHERE {why} IS NOT NULL ON CONFLICT DO NOTHING"
    ).format(
        rejects=temporary(plan, "rejects"),
        line=Identifier(ROW, LINE),
        why=one.fault("kept"),
        place=Literal(f", and {one.taken.column.name} is looked up in {one.lookup}"),
        origin=sql.name(flow.origin),
        row=Identifier(ROW),
        target=sql.name(flow.destination),
        same=rows.same_key(flow, ROW, "kept"),
    )


def refuse(plan: ImportPlan, others: Iterable[ImportPlan], session: Session) -> None:
    """Raises ImportFailed for such a row of this database, which one of the `others` of this run may bring in.

    Texts that `normalise` does not take are named elsewhere.
    """
    for one in find(plan):
        if isinstance(one.lookup.by, str):
            continue
        other = next((other for other in others if other.target.oid == one.table.oid), None)
        key = other.key if other else (one.key,)
        session.execute(one.create_fault(plan))
        question = SQL(
            "SELECT {why}, {key} FROM {table} AS held WHERE {why} IS NOT NULL ORDER BY {key} LIMIT 1"
        ).format(why=one.fault("held"), key=sql.of("held", key), table=sql.name(one.table))
        for why, *values in session.rows(question):
            row = describe_key(dict(zip(key, values, strict=True)))
            origin = f", which {other} brings in" if other else ""
            raise ImportFailed(
                f"{plan} looks {one.taken.column.name} up in {one.lookup}, and that fails for the row with {row}"
                f"{origin}: {visible(why)}. Nothing is committed; correct that row, or let the lookup make null of it."
            )
        session.execute(DROP)
