"""What other roles may do with the source, they may do with the target."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, name
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
    """The source's owner needs no grant there, and the target may belong to the role that ran the migrations."""
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
    return [grant("TABLE", name(pair.target), privilege) for pair in plan.pairs for privilege in missing(pair)]


def revert(record: Record, plan: Plan) -> list[Statement]:
    """Take away from the target what `carry` added."""
    statements = []
    for pair in plan.pairs:
        added, before = (kept.get(str(pair.target), ()) for kept in (record.grants, record.grants_before))
        statements += take_away(pair.target, added, before)
    return statements


def take_away(table: Table, added: Iterable[Grant], before: Iterable[Grant]) -> list[Statement]:
    """Revoke what was added to a table.

    That also takes a weaker grant of the same privilege, so what was there before, and was not revoked
    since, is granted again.
    """
    return [
        *(revoke("TABLE", name(table), privilege) for privilege in standing(added, table.grants)),
        *(grant("TABLE", name(table), privilege) for privilege in standing(before, table.grants)),
    ]


def standing(given: Iterable[Grant], held: Iterable[Grant]) -> list[Grant]:
    """Those that have not been revoked since; a role that is gone has none."""
    known = {(one.grantee, one.privilege, one.column) for one in held}
    return [one for one in given if (one.grantee, one.privilege, one.column) in known]


def change(kind: str, place: Statement, before: Collection[Grant], after: Collection[Grant]) -> list[Statement]:
    """Of what has the grants `before`, and is to have those `after`."""
    return [
        *(revoke(kind, place, privilege) for privilege in before if privilege not in after),
        *(grant(kind, place, privilege) for privilege in after if privilege not in before),
    ]


def grant_on_key(table: Table, column: str, privilege: Grant) -> Statement:
    """On the sequence that a column is to draw from, by whatever name Django and PostgreSQL give to it."""
    return SQL("DO $$ BEGIN EXECUTE replace({}, {}, pg_get_serial_sequence({}, {})); END $$").format(
        Literal(grant("SEQUENCE", Identifier("its"), privilege).as_string()),
        Literal('"its"'),
        Literal(name(table).as_string()),
        Literal(column),
    )


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


def revoke(kind: str, object_name: Statement, privilege: Grant) -> Statement:
    return SQL("REVOKE {} ON {} {} FROM {} CASCADE").format(what(privilege), SQL(kind), object_name, grantee(privilege))


def renamed(privilege: Grant, columns: Mapping[str, str]) -> Grant:
    return dataclasses.replace(privilege, column=columns.get(privilege.column, privilege.column))
