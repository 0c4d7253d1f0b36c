"""The careful way of an import, where some row can't go in: find all of these, and bring the others in."""

import dataclasses

from django.db import DatabaseError, transaction

from rehome.errors import DoubtfulRows
from rehome.importing import doubts, lookups, merging, tables
from rehome.importing.failures import is_about_rows
from rehome.importing.merging import Counts
from rehome.importing.plan import ImportPlan
from rehome.importing.rejected import constraints, singly
from rehome.importing.tables import LINE
from rehome.importing.uniques import find_uniques
from rehome.plan.plan import Flow
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Identifier, Literal, Statement


class Careful:
    """Imports of one run, in the transaction that is open, after `cells.stage`."""

    def __init__(self, session: Session, *, delete: bool) -> None:
        self.session = session
        self.delete = delete
        self.left: list[tuple[ImportPlan, Flow]] = []
        """The imports so far, whose rejected rows others may lead to."""

    def merge(self, plan: ImportPlan) -> Counts:
        """Bring in the rows that can go in; the others are in the temporary tables of rejects and of what is left."""
        flow = merging.look_up(plan, self.session)
        self.session.execute(create_left(plan, flow))
        self.left.append((plan, flow))
        while True:
            flow = self.take_out(plan)
            try:
                return dataclasses.replace(self.try_all(plan, flow), rejected=self.count_left(plan))
            except (DatabaseError, DoubtfulRows) as error:
                if not is_about_rows(error):
                    raise
                found = singly.try_each(plan, flow, self.session, prepare=loosen(plan, flow, self.session))
                if not found:
                    raise
            with self.session.connection.cursor() as cursor:
                cursor.executemany(singly.reject(plan).as_string(), found)
            self.blame(plan)

    def take_out(self, plan: ImportPlan) -> Flow:
        """Take each row out that can't go in, and those that can't without it; returns the flow of the others."""
        taken_out = True
        while taken_out:
            flow = merging.look_up(plan, self.session)
            self.ask(plan, flow)
            self.session.execute(leave(plan, flow))
            taken_out = self.session.execute(delete_left(plan)) > 0
        return flow

    def ask(self, plan: ImportPlan, flow: Flow) -> None:
        named = [found for found in lookups.find(plan) if found.taken not in plan.own_lookups]
        merging.note_values(plan, flow, named, self.session)
        self.blame(plan)
        for assignment in flow.carried:
            if doubts.is_cut(assignment.column):
                self.session.execute(forget(plan, flow, assignment.column.name))
        now = merging.unlinked(plan, flow)
        for question in [*doubts.of_keys(plan, now), *constraints.of_rows(plan, now, self.left, delete=self.delete)]:
            self.session.execute(merging.note(plan, question))

    def blame(self, plan: ImportPlan) -> None:
        """Say of values that are not found where their row is one that can't go in itself."""
        for found in lookups.find(plan):
            for other, flow in self.left:
                if blamed := doubts.blame(found, plan, other, flow):
                    self.session.execute(blamed)

    def try_all(self, plan: ImportPlan, flow: Flow) -> Counts:
        with transaction.atomic(using=self.session.connection.alias):
            dropped = loosen(plan, flow, self.session)
            if dropped:
                self.session.run(*dropped)
            counts = merging.merge(plan, self.session, delete=self.delete, left=tables.left_name(plan))
            self.session.execute_all(u.restore for u in find_uniques(plan.target) if u.drop in dropped)
        return counts

    def count_left(self, plan: ImportPlan) -> int:
        left = Identifier("pg_temp", tables.left_name(plan))
        return int(self.session.rows(SQL("SELECT count(*) FROM {}").format(left))[0][0])


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
        Identifier(tables.left_name(plan)), Identifier("pg_temp", flow.origin.name)
    )


def leave(plan: ImportPlan, flow: Flow) -> Statement:
    return SQL("INSERT INTO {left} SELECT * FROM {origin} WHERE {line} IN (SELECT {line} FROM {rejects})").format(
        left=Identifier("pg_temp", tables.left_name(plan)),
        origin=Identifier("pg_temp", flow.origin.name),
        line=Identifier(LINE),
        rejects=Identifier("pg_temp", tables.rejects_name(plan)),
    )


def delete_left(plan: ImportPlan) -> Statement:
    return SQL("DELETE FROM {read} WHERE {line} IN (SELECT {line} FROM {rejects})").format(
        read=Identifier("pg_temp", tables.read_name(plan)),
        line=Identifier(LINE),
        rejects=Identifier("pg_temp", tables.rejects_name(plan)),
    )


def forget(plan: ImportPlan, flow: Flow, column: str) -> Statement:
    """Lets no later question stumble over a value that is rejected already."""
    return SQL(
        "UPDATE {origin} AS kept SET {column} = NULL FROM {rejects} AS rejected "
        'WHERE rejected.{line} = kept.{line} AND rejected."column" = {name}'
    ).format(
        origin=Identifier("pg_temp", flow.origin.name),
        column=Identifier(column),
        rejects=Identifier("pg_temp", tables.rejects_name(plan)),
        line=Identifier(LINE),
        name=Literal(column),
    )
