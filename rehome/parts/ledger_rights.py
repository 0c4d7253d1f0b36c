"""Who may do what with the records of moves and imports: their owner, and whoever was let on purpose.

Whoever migrates writes there, so he is a member of the owner of the moved tables. A role that verifies alone needs no
more than to read it. To read is nobody's right but by a grant to the role itself.
"""

from collections.abc import Iterator

from rehome.models import ImportRun, MoveRun
from rehome.parts import grants
from rehome.parts.defect import Defect
from rehome.plan.plan import Plan
from rehome.postgres import asking, catalog, sql
from rehome.postgres.sql import Statement, place, readable
from rehome.postgres.tables import Grant, Table

MEMBERS = "SELECT rolname FROM pg_roles WHERE pg_has_role(oid, %s, 'USAGE')"


def find_defects(plan: Plan) -> Iterator[Defect]:
    for table, beyond in find(plan):
        who = grants.roles(map(grants.right, beyond))
        named = ", ".join(sorted({readable(one.grantee) if one.grantee else "PUBLIC" for one in beyond}))
        revoke = f"Run REVOKE ALL ON {place(table)} FROM {named} as {table.owner!r}."
        yield Defect(f"{table} gives privileges to {who}, who should have none.", "" if table.owned else revoke)


def repair(plan: Plan) -> list[Statement]:
    return [
        statement
        for table, beyond in find(plan)
        if table.owned
        for statement in grants.change(
            "TABLE", sql.name(table), table.grants, [one for one in table.grants if one not in beyond]
        )
    ]


def find(plan: Plan) -> Iterator[tuple[Table, list[Grant]]]:
    """Each record with the grants that nobody gave on purpose: to everybody, or to write moves to a role that could run
    none.
    """
    owner = plan.main.target.owner
    for model in (MoveRun, ImportRun):
        if table := catalog.read_table(plan.connection, model._meta.db_table):
            beyond = [one for one in table.grants if not one.grantee]
            writing = [one for one in table.grants if one.grantee and one.privilege != "SELECT" and model is MoveRun]
            if writing:
                members = asking.column(plan.connection, MEMBERS, [owner])
                beyond += [one for one in writing if one.grantee not in members]
            if beyond:
                yield table, beyond
