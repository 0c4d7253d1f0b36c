"""What other roles may do with the source, they may do with the target."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.plan import roles as roles_of
from rehome.plan.plan import Plan, TablePair
from rehome.plan.record import Record
from rehome.postgres import acl, rights
from rehome.postgres.sql import SQL, Identifier, Statement, name
from rehome.postgres.tables import Grant, Privilege, Table

ALL: tuple[Privilege, ...] = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
Right = tuple[str, Privilege, str]
"""Grantee, privilege and column."""


def missing(pair: TablePair) -> list[Grant]:
    """Grants on the source, in the target's columns, that the target does not have yet."""
    columns = columns_there(pair)
    carried = [one for privilege in pair.source.grants for one in there(privilege, columns)]
    return [privilege for privilege in (*rights_of_owner(pair), *carried) if not holds(pair.target, privilege)]


def columns_there(pair: TablePair) -> dict[str, tuple[str, ...]]:
    """By the source's column: those of the target's that are made of it alone."""
    found: dict[str, tuple[str, ...]] = {}
    for assignment in pair.forward.carried:
        if len(assignment.reads) == 1:
            (column,) = assignment.reads
            found[column] = (*found.get(column, ()), assignment.column.name)
    return found


def there(given: Grant, columns: Mapping[str, Collection[str]]) -> list[Grant]:
    """The same right on the other table, whose `columns` are given by those of this one; none to a column it lacks."""
    if not given.column:
        return [given]
    return [dataclasses.replace(given, column=column) for column in columns.get(given.column, ())]


def holds(table: Table, wanted: Grant) -> bool:
    """Whether a role may do what `wanted` says with a table or a view, whoever granted it."""
    return wanted.grantee == table.owner or any(
        (held.grantee, held.privilege) == (wanted.grantee, wanted.privilege)
        and held.column in {"", wanted.column}
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
    return [s for pair in plan.pairs for s in give("TABLE", name(pair.target), missing(pair))]


def revert(record: Record, plan: Plan) -> list[Statement]:
    """Take away from the target what `carry` added."""
    statements = []
    for pair in plan.pairs:
        added, before = (kept.get(str(pair.target), ()) for kept in (record.grants, record.grants_before))
        statements += take_away(pair.target, added, before)
    return statements


def take_away(table: Table, added: Iterable[Grant], before: Iterable[Grant]) -> list[Statement]:
    """Revoke what was added to a table; what was there before stays, unless it was revoked since."""
    given, had = levels(added), levels(before)
    after = [
        dataclasses.replace(
            held, grantable=held.grantable and (had.get(right(held), False) or not given.get(right(held)))
        )
        for held in table.grants
        if right(held) in had or right(held) not in given
    ]
    # What was passed on under a grant option that came with the move ends with it.
    ended = set(after) - set(in_order(after))
    return change("TABLE", name(table), table.grants, [one for one in after if one not in ended or right(one) in had])


def right(grant: Grant) -> Right:
    return grant.grantee, grant.privilege, grant.column


def levels(granted: Iterable[Grant]) -> dict[Right, bool]:
    """By right: whether its holder may pass it on, whoever granted it."""
    found: dict[Right, bool] = {}
    for one in granted:
        found[right(one)] = found.get(right(one), False) or one.grantable
    return found


def roles(rights: Iterable[Right]) -> str:
    """Whose they are, for a sentence."""
    return ", ".join(sorted({grantee or "PUBLIC" for grantee, *_ in rights}))


def standing(given: Iterable[Grant], held: Iterable[Grant]) -> list[Grant]:
    """Those that have not been revoked since; a role that is gone has none."""
    known, passed_on = levels(held), {(right(one), one.grantor) for one in held}
    return [
        dataclasses.replace(
            one,
            grantable=one.grantable and known[right(one)],
            grantor=one.grantor if (right(one), one.grantor) in passed_on else "",
        )
        for one in given
        if right(one) in known
    ]


def of_roles_there(given: Iterable[Grant], connection: BaseDatabaseWrapper) -> list[Grant]:
    """Those of roles that exist: one may have been dropped, or be missing where a dump was restored."""
    listed = list(given)
    roles = {"", *rights.find_roles(connection, {one.grantee for one in listed})}
    return [one for one in listed if one.grantee in roles]


def find_gone(record: Record, connection: BaseDatabaseWrapper) -> list[str]:
    """A sentence for each role that had rights when a run kept them, and is not on this server."""
    named = {one.grantee for one in roles_of.grants_in(record)} - {""}
    return [
        f"The role {role!r} had rights when this move ran and is not on this server: its rights are left out."
        for role in sorted(named.difference(rights.find_roles(connection, named)))
    ]


def in_order(granted: Iterable[Grant]) -> list[Grant]:
    """Whoever passed a right on has had it before; what nobody listed could pass on comes from the owner."""
    ordered: list[Grant] = []
    left = list(dict.fromkeys(granted))
    while left:
        ready = [one for one in left if not one.grantor or any(allows(other, one) for other in ordered)]
        ordered += ready or [dataclasses.replace(one, grantor="") for one in left]
        left = [one for one in left if one not in ready] if ready else []
    return list(dict.fromkeys(ordered))


def allows(held: Grant, passed_on: Grant) -> bool:
    """Whether it was under the grant option `held` that the other was passed on."""
    same = (held.grantee, held.privilege) == (passed_on.grantor, passed_on.privilege)
    return same and held.grantable and held.column in {"", passed_on.column}


# ----- statements


def exactly(kind: str, place: Statement, wanted: Iterable[Grant] = ()) -> list[Statement]:
    """Nobody but the owner has another right to a new object, whatever default privileges say."""
    return [acl.withdraw(kind, place), *give(kind, place, wanted)]


def give(kind: str, place: Statement, wanted: Iterable[Grant]) -> list[Statement]:
    return [grant(kind, place, privilege) for privilege in in_order(wanted)]


def change(kind: str, place: Statement, before: Collection[Grant], after: Collection[Grant]) -> list[Statement]:
    """Of what has the grants `before`, and is to have those `after`.

    A REVOKE takes along what was passed on, and with a right to the table that to its columns: what is to stay of these
    is granted again. It forgets the columns that a right to the whole table was passed on for; so whoever passed it on
    is given the right to these as well, for PostgreSQL to take that away with what hangs on it.
    """
    held, wanted = levels(before), levels(after)
    lost = [one for one in before if right(one) not in wanted]
    weaker = [one for one in held if held[one] and wanted.get(one) is False]
    gone = taken_along(before, [*weaker, *(right(one) for one in lost if not one.grantor)])
    revoked = [one for one in lost if not one.grantor or right(one) not in gone]
    granted = [
        one
        for one in in_order(after)
        if (right(one) in gone and right(one) not in weaker) or one.grantable > held.get(right(one), -1)
    ]
    hanging = [
        Grant(one.grantor, one.privilege, grantable=True, column=one.column)
        for one in before
        if one.column and one.grantor and (one.grantor, one.privilege, "") in gone
    ]
    return [
        *(grant(kind, place, one) for one in hanging),
        *(revoke(kind, place, one) for one in (*hanging, *revoked)),
        *(revoke(kind, place, Grant(*one[:2], True, one[2]), option="GRANT OPTION FOR ") for one in weaker),
        *(grant(kind, place, one) for one in granted),
    ]


def taken_along(before: Collection[Grant], revoked: Iterable[Right]) -> set[Right]:
    """What is lost when some rights, or the options to pass them on, are revoked."""
    gone = set(revoked)
    while (
        more := {
            right(one)
            for one in before
            for who, privilege, column in gone
            if one.privilege == privilege and (one.grantor == who or (one.grantee == who and not column))
        }
        - gone
    ):
        gone |= more
    return gone


def exactly_on_key(table: Table, column: str, wanted: Iterable[Grant]) -> Statement:
    """`exactly` for the sequence that a column of a new table draws from, by whatever name it has."""
    option = {False: SQL(""), True: SQL(" WITH GRANT OPTION")}
    rights = [(SQL(one.privilege), SQL("{}{}").format(to(one.grantee), option[one.grantable])) for one in wanted]
    return acl.only_on_key(table, column, rights)


def grant(kind: str, place: Statement, privilege: Grant) -> Statement:
    """`kind` is TABLE, SEQUENCE or FUNCTION."""
    statement = SQL("GRANT {} ON {} {} TO {}{}").format(
        what(privilege.privilege, privilege.column),
        SQL(kind),
        place,
        to(privilege.grantee),
        SQL(" WITH GRANT OPTION" if privilege.grantable else ""),
    )
    return acl.as_grantor(statement, privilege.grantor) if privilege.grantor else statement


def revoke(kind: str, place: Statement, lost: Grant, *, option: str = "") -> Statement:
    statement = SQL("REVOKE {}{} ON {} {} FROM {} CASCADE").format(
        SQL(option), what(lost.privilege, lost.column), SQL(kind), place, to(lost.grantee)
    )
    return acl.as_grantor(statement, lost.grantor) if lost.grantor else statement


def to(grantee: str) -> Statement:
    return Identifier(grantee) if grantee else SQL("PUBLIC")


def what(privilege: str, column: str) -> Statement:
    return SQL("{} ({})").format(SQL(privilege), Identifier(column)) if column else SQL(privilege)


def renamed(privilege: Grant, columns: Mapping[str, str]) -> Grant:
    return dataclasses.replace(privilege, column=columns.get(privilege.column, privilege.column))
