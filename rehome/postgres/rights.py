"""Reads who owns what, and what other roles may do with it."""

from collections.abc import Iterable
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import asking
from rehome.postgres.tables import Grant

MAKER = """
SELECT format('%%I.%%I', n.nspname, c.relname), c.relkind = 'r', r.rolname,
       r.rolsuper OR r.oid = me.oid OR NOT me.rolsuper AND pg_has_role(me.oid, r.oid, 'MEMBER')
       OR EXISTS (SELECT FROM pg_class t WHERE t.oid = ANY(%(tables)s) AND t.relname <> c.relname
                     AND pg_has_role(r.oid, t.relowner, 'MEMBER'))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner, pg_roles me
 WHERE c.oid = %(oid)s AND me.rolname = current_user
"""

GRANTS = """
SELECT c.oid::bigint, coalesce(r.rolname, ''), g.privilege_type, g.is_grantable, granted.on_column,
       CASE WHEN g.grantor = c.relowner THEN '' ELSE pg_get_userbyid(g.grantor) END
  FROM pg_class c,
       LATERAL (SELECT c.relacl, '' UNION ALL
                SELECT a.attacl, a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped)
       AS granted (list, on_column), aclexplode(granted.list) g LEFT JOIN pg_roles r ON r.oid = g.grantee
 WHERE c.oid = ANY(%(oids)s) AND g.grantee <> c.relowner
 ORDER BY 5, 2, 3, 6
"""

ROUTINE_GRANTS = """
SELECT p.oid::bigint, coalesce(r.rolname, ''), g.privilege_type, g.is_grantable, '',
       CASE WHEN g.grantor = p.proowner THEN '' ELSE pg_get_userbyid(g.grantor) END
  FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
  LEFT JOIN pg_roles r ON r.oid = g.grantee
 WHERE p.oid = ANY(%(oids)s) AND g.grantee <> p.proowner
 ORDER BY 2, 6
"""

OWNERS = {
    "FUNCTION": "SELECT oid::bigint, pg_get_userbyid(proowner) FROM pg_proc WHERE oid = to_regprocedure(%s)",
    "SEQUENCE": "SELECT oid::bigint, pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%s)",
    "TABLE": "SELECT oid::bigint, pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%s)",
}


class Maker(NamedTuple):
    place: str
    is_table: bool
    """Whether it is a plain one."""
    owner: str
    trusted: bool
    """Whether the owner is a superuser, the connection's role, or an owner of one of the project's tables."""


def read_maker(connection: BaseDatabaseWrapper, oid: int, tables: Iterable[int]) -> Maker:
    """Whose a table or view is; `tables` are those of the project."""
    return Maker(*asking.query(connection, MAKER, {"oid": oid, "tables": list(tables)})[0])


def read_grants(connection: BaseDatabaseWrapper, oids: Iterable[int]) -> dict[int, tuple[Grant, ...]]:
    """By table or sequence, what roles other than the owner may do with it."""
    rows = asking.query(connection, GRANTS, {"oids": list(oids)})
    return {oid: tuple(Grant(*row) for row in granted) for oid, granted in asking.by_oid(rows).items()}


def read_rights(connection: BaseDatabaseWrapper, kind: str, place: str) -> tuple[str, tuple[Grant, ...]] | None:
    """(owner, what roles other than the owner may do); None where there is nothing of that kind and name."""
    for oid, owner in asking.query(connection, OWNERS[kind], [place]):
        granted = asking.query(connection, ROUTINE_GRANTS if kind == "FUNCTION" else GRANTS, {"oids": [oid]})
        return owner, tuple(Grant(*row) for _, *row in granted)
    return None


def find_roles(connection: BaseDatabaseWrapper, names: Iterable[str]) -> list[str]:
    """Those that are there."""
    return asking.column(connection, "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) ORDER BY 1", [list(names)])


def read_roles(
    connection: BaseDatabaseWrapper, names: Iterable[str], oids: Iterable[int] = ()
) -> tuple[str, dict[int, str]]:
    """What tells the server from others, and by oid the names of those roles that are there."""
    server = asking.value(connection, "SELECT system_identifier::text FROM pg_control_system()")
    known = "SELECT oid::bigint, rolname FROM pg_roles WHERE rolname = ANY(%s) OR oid::bigint = ANY(%s)"
    return server, dict(asking.query(connection, known, [list(names), list(oids)]))


def is_writable(connection: BaseDatabaseWrapper, table: int) -> bool:
    """Whether this connection may change rows of `table`: no standby, no read-only role or setting."""
    question = "SELECT NOT current_setting('transaction_read_only')::boolean AND has_table_privilege(%s::oid, 'UPDATE')"
    return bool(asking.value(connection, question, [table]))
