"""Whose rights the triggers of a move have: refuses owners that could not have them, and code that would notice."""

from collections.abc import Sequence

from rehome.errors import Refused
from rehome.parts import lent, writers
from rehome.parts.writers import Lacking
from rehome.plan.plan import GONE, Plan, TablePair
from rehome.postgres import asking
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import Table

OWNERS = """
SELECT r.rolname, r.rolsuper, pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
 WHERE c.oid = %s
"""
# Whether the connected role can make the owner the owner of a function, which PostgreSQL 16 asks another option for.
MAY_GIVE = """
SELECT current_user, r.rolsuper, pg_catalog.pg_has_role(%s, CASE WHEN pg_catalog.current_setting('server_version_num')
         ::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
  FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


def refuse_owners_that_lend(plan: Plan, *, granting: bool) -> None:
    for pair in plan.pairs:
        refuse_strange_owners(pair, writers.lacking(plan, pair, granting=granting), plan)


def refuse_unfit_owners(plan: Plan) -> None:
    """What is made for a table belongs to its owner, whoever migrates."""
    for pair in plan.pairs:
        for table in (pair.source, pair.target):
            if table.oid != GONE:
                refuse_unfit_owner(table, plan)


def refuse_unfit_owner(table: Table, plan: Plan) -> None:
    [(owner, _, creates)] = asking.query(plan.connection, OWNERS, [table.oid])
    [(role, is_super, gives)] = asking.query(plan.connection, MAY_GIVE, [owner])
    if not (creates or is_super):
        raise Refused(
            f"The functions of triggers belong to the owner of {table}, {owner!r}, who may not create functions in "
            f"schema {table.schema}.",
            f"Run GRANT CREATE ON SCHEMA {readable(table.schema)} TO {readable(owner)}.",
        )
    if not gives:
        raise Refused(
            f"The role {role!r} may not make {owner!r}, the owner of {table}, the owner of a function.",
            f"Run GRANT {readable(owner)} TO {readable(role)} WITH SET TRUE, or run the migration as {owner!r}.",
        )


def refuse_strange_owners(pair: TablePair, lacking: list[Lacking], plan: Plan) -> None:
    """Two owners keep two tables in sync where each may write to both, and neither lends others a superuser's rights.

    Where a role lacks rights to either table, the triggers have an owner's.
    """
    owners = {pair.source.owner: pair.source, pair.target.owner: pair.target}
    if len(owners) == 1:
        return
    another = f"ALTER TABLE {place(pair.target)} OWNER TO {readable(pair.source.owner)}"
    for one in lacking:
        if one.role in owners:
            raise Refused(
                f"{pair.source} belongs to {pair.source.owner!r} and {pair.target} to {pair.target.owner!r}: triggers "
                f"keep them in sync with their owners' rights, and {one.role!r} lacks {one.privilege} on {one.place}.",
                f"Run {one.cure}, or {another}.",
            )
    if not lacking:
        return
    for table in owners.values():
        [(owner, is_super, _)] = asking.query(plan.connection, OWNERS, [table.oid])
        if is_super:
            raise Refused(
                f"{table} belongs to the superuser {owner!r}, whose rights the triggers would lend to "
                f"{lacking[0].who}, which lacks {lacking[0].privilege} on {lacking[0].place}.",
                f"Run {another}, or {lacking[0].cure}.",
            )


def refuse_lent_rights(
    plan: Plan, *, granting: bool = False, copying: bool = False, views: Sequence[Table] = ()
) -> None:
    """Where a role that writes lacks rights, the triggers have the owner's, and so has what they set off: nobody else
    may decide what that is, and it may not notice.
    """
    for found in lent.find(plan, granting=granting, copying=copying, views=views):
        raise Refused(found.problem, found.hint)
