"""What other roles may do with the source, they may do with the target."""

import dataclasses
from collections.abc import Mapping

from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres.sql import SQL, Identifier, Statement
from rehome.postgres.tables import Grant, Table

ALL = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


def missing(pair: TablePair) -> list[Grant]:
    """Grants on the source, in the target's columns, that the target does not have yet."""
    columns = {"": "", **columns_there(pair)}
    carried = [renamed(privilege, columns) for privilege in pair.source.grants if privilege.column in columns]
    return [privilege for privilege in (*rights_of_owner(pair), *carried) if privilege not in pair.target.grants]


def columns_there(pair: TablePair) -> dict[str, str]:
    """By the source's column: the target's that is made of it alone."""
    return {column: a.column.name for a in pair.forward.carried if len(a.reads) == 1 for column in a.reads}


def holds(table: Table, wanted: Grant) -> bool:
    """Whether a role may do what `wanted` says with a table or a view."""
    return wanted.grantee == table.owner or any(
        (held.grantee, held.privilege, held.column) == (wanted.grantee, wanted.privilege, wanted.column)
        and held.grantable >= wanted.grantable
        for held in table.grants
    )


def rights_of_owner(pair: TablePair) -> list[Grant]:
    """The source's owner needs no grant there, and the target may belong to whoever ran the migrations."""
    if pair.source.owner == pair.target.owner:
        return []
    return [Grant(pair.source.owner, privilege, grantable=True, column="") for privilege in ALL]


def to_keep(plan: Plan) -> Record:
    """The grants that `carry` adds and those that the target has before."""
    return Record(
        grants={str(pair.target): tuple(missing(pair)) for pair in plan.pairs},
        grants_before={str(pair.target): pair.target.grants for pair in plan.pairs},
    )


def carry(plan: Plan) -> list[Statement]:
    return [grant("TABLE", place(pair.target), privilege) for pair in plan.pairs for privilege in missing(pair)]


def revert(record: Record, plan: Plan) -> list[Statement]:
    """Take away from the target what `carry` added.

    That also takes a weaker grant of the same privilege, so what was there before, and that nobody revoked
    since, is given again.
    """
    statements = []
    for pair in plan.pairs:
        standing = {(g.grantee, g.privilege, g.column) for g in pair.target.grants}
        added = record.grants.get(str(pair.target), ())
        before = record.grants_before.get(str(pair.target), ())
        statements += [revoke(place(pair.target), privilege) for privilege in added]
        statements += [
            grant("TABLE", place(pair.target), privilege)
            for privilege in before
            if (privilege.grantee, privilege.privilege, privilege.column) in standing
        ]
    return statements


def follow(view: Table, table: Table) -> list[Statement]:
    """What was granted or revoked on a view since it took the place of `table`, whose name is the view's again."""
    gone = [privilege for privilege in table.grants if privilege not in view.grants]
    new = [privilege for privilege in view.grants if privilege not in table.grants]
    return [
        *(revoke(place(table), privilege) for privilege in gone),
        *(grant("TABLE", place(table), privilege) for privilege in new),
    ]


def place(table: Table) -> Statement:
    return Identifier(table.schema, table.name)


def grantee(privilege: Grant) -> Statement:
    return Identifier(privilege.grantee) if privilege.grantee else SQL("PUBLIC")


def what(privilege: Grant) -> Statement:
    if not privilege.column:
        return SQL(privilege.privilege)
    return SQL("{} ({})").format(SQL(privilege.privilege), Identifier(privilege.column))


def grant(kind: str, object_name: Statement, privilege: Grant) -> Statement:
    """`kind` is TABLE or SEQUENCE."""
    return SQL("GRANT {} ON {} {} TO {}{}").format(
        what(privilege),
        SQL(kind),
        object_name,
        grantee(privilege),
        SQL(" WITH GRANT OPTION" if privilege.grantable else ""),
    )


def revoke(object_name: Statement, privilege: Grant) -> Statement:
    return SQL("REVOKE {} ON TABLE {} FROM {} CASCADE").format(what(privilege), object_name, grantee(privilege))


def renamed(privilege: Grant, columns: Mapping[str, str]) -> Grant:
    return dataclasses.replace(privilege, column=columns.get(privilege.column, privilege.column))
