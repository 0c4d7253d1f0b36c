"""The merge where some rows cannot be imported: it finds all of these, and imports the others."""

import dataclasses
from collections.abc import Iterable

from django.db import DatabaseError, transaction

from rehome.errors import DoubtfulRows
from rehome.importing import lookups, merging, values
from rehome.importing.failures import is_about_rows
from rehome.importing.plan import ImportPlan
from rehome.importing.rejected import constraints, looked_in, normalising, one_by_one
from rehome.importing.tables import LINE, temporary
from rehome.importing.uniques import find_uniques
from rehome.plan.plan import Flow
from rehome.postgres import sql
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement
from rehome.postgres.tables import Column


class SkippingMerge:
    """The merges of one run, in the transaction that is open, after `text_staging.stage`."""

    def __init__(self, session: Session, *, delete: bool, delete_all: bool) -> None:
        self.session = session
        self.delete = delete
        self.delete_all = delete_all
        self.left: list[tuple[ImportPlan, Flow]] = []
        """The imports so far; rows of later ones may refer to their rejected rows."""

    def merge(self, plan: ImportPlan) -> merging.Counts:
        """Import the good rows; the others stay in the temporary tables `rejects` and `left`."""
        flow = self.look_up(plan)
        self.session.execute(create_left(plan, flow))
        self.left.append((plan, flow))
        while True:
            flow = self.take_out(plan)
            try:
                ((rejected,),) = self.session.rows(SQL("SELECT count(*) FROM {}").format(temporary(plan, "left")))
                return dataclasses.replace(self.try_all(plan, flow), rejected=rejected)
            except (DatabaseError, DoubtfulRows) as error:
                if not is_about_rows(error):
                    raise
                found = one_by_one.try_each(plan, flow, self.session, prepare=loosen(plan, flow, self.session))
                if not found:
                    self.refuse_known(plan)
                    raise
            with self.session.connection.cursor() as cursor:
                cursor.executemany(values.reject(plan, SQL("VALUES (%s, %s, %s, %s)")).as_string(), found)
            self.blame(plan)

    def look_up(self, plan: ImportPlan) -> Flow:
        """As `merging.look_up`. Raises ImportFailed for what no row of the source is to blame for."""
        try:
            with transaction.atomic(using=self.session.connection.alias):
                return merging.look_up(plan, self.session)
        except DatabaseError as error:
            if is_about_rows(error):
                self.refuse_known(plan)
            raise

    def refuse_known(self, plan: ImportPlan) -> None:
        with merging.as_it_arrived(plan, self.session):
            looked_in.refuse(plan, [other for other, _ in self.left], self.session)
            normalising.refuse_known(plan, self.session)

    def take_out(self, plan: ImportPlan) -> Flow:
        """Take out each row that cannot be imported, or that refers to such a row; returns the flow of the others."""
        while True:
            flow = merging.look_up(plan, self.session)
            self.ask(plan, flow)
            self.session.execute(leave(plan, flow))
            if not self.session.execute(delete_left(plan)):
                return flow

    def ask(self, plan: ImportPlan, flow: Flow) -> None:
        self.reject(plan, values.ask_values(flow, lookups.find(plan, own=False)))
        self.blame(plan)
        self.session.execute_all(forget(plan, flow, a.column) for a in flow.carried if values.is_cut(a.column))
        now = merging.unlinked(plan, flow)
        self.reject(plan, values.ask_keys(plan, now))
        with merging.as_it_arrived(plan, self.session):
            self.reject(plan, normalising.ask_own(plan, now))
        self.reject(plan, constraints.ask_beside(plan, now, self.left))
        self.reject(plan, constraints.ask_constraints(plan, now, self.left, delete=self.delete))

    def reject(self, plan: ImportPlan, questions: Iterable[Statement]) -> None:
        self.session.execute_all(values.reject(plan, question) for question in questions)

    def blame(self, plan: ImportPlan) -> None:
        """Correct the reason of values that are found in a row which cannot be imported itself."""
        changes = (normalising.blame(found, plan, *left) for found in lookups.find(plan) for left in self.left)
        with merging.as_it_arrived(plan, self.session):
            self.session.execute_all(filter(None, changes))

    def try_all(self, plan: ImportPlan, flow: Flow) -> merging.Counts:
        with transaction.atomic(using=self.session.connection.alias):
            if dropped := loosen(plan, flow, self.session):
                self.session.run(*dropped)
            left = temporary(plan, "left")
            counts = merging.merge(plan, self.session, delete=self.delete, delete_all=self.delete_all, left=left)
            self.session.execute_all(u.rebuild for u in find_uniques(plan.target) if u.drop in dropped)
        return counts


def loosen(plan: ImportPlan, flow: Flow, session: Session) -> list[Statement]:
    """Drops the unique constraints whose values rows exchange, which PostgreSQL would check after each row."""
    now = merging.unlinked(plan, flow)
    columns = {a.column.name for a in now.carried}
    return [
        unique.drop
        for unique in find_uniques(plan.target)
        if unique.drop
        and not unique.waits
        and set(unique.columns) <= columns
        and session.rows(constraints.exchanged(now, unique))[0][0]
    ]


# ----- SQL


def create_left(plan: ImportPlan, flow: Flow) -> Statement:
    return SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT * FROM {} WITH NO DATA").format(
        temporary(plan, "left"), sql.name(flow.origin)
    )


def is_rejected(plan: ImportPlan) -> Statement:
    return SQL("{0} IN (SELECT {0} FROM {1})").format(Identifier(LINE), temporary(plan, "rejects"))


def leave(plan: ImportPlan, flow: Flow) -> Statement:
    return SQL("INSERT INTO {} SELECT * FROM {} WHERE {}").format(
        temporary(plan, "left"), sql.name(flow.origin), is_rejected(plan)
    )


def delete_left(plan: ImportPlan) -> Statement:
    return SQL("DELETE FROM {} WHERE {}").format(temporary(plan, "read"), is_rejected(plan))


def forget(plan: ImportPlan, flow: Flow, column: Column) -> Statement:
    """Set a value that the target would cut to null, so that no later question finds it again, nor takes it for a key.
    Any other may be the key of a row that is there, and is not gone.
    """
    return SQL(
        "UPDATE {origin} AS kept SET {column} = NULL FROM {rejects} AS rejected "
        'WHERE rejected.{line} = kept.{line} AND rejected."column" = {name} AND {inexact}'
    ).format(
        origin=sql.name(flow.origin),
        column=Identifier(column.name),
        rejects=temporary(plan, "rejects"),
        line=Identifier(LINE),
        name=Literal(column.name),
        inexact=values.is_inexact(Identifier("kept", column.name), column),
    )
