"""The roles that may write to a move's tables: which the connection may become, their settings, their rights."""

import dataclasses
from collections.abc import Iterable

from rehome.postgres import asking
from rehome.postgres.session import Session
from rehome.postgres.sql import SQL, Literal, Statement

PUBLIC = "PUBLIC"
KEY = "change of key"
"""An UPDATE of the primary key."""
KINDS = ("INSERT", "UPDATE", KEY, "DELETE")
Need = tuple[str, str, str]
"""A table, a view or a sequence, a privilege, and a column; without one, the whole table."""

# A login without a grant of its own counts where its settings may lead its writes elsewhere than those of its group.
WRITERS = """
WITH named AS (SELECT c.oid, c.relowner, c.relacl FROM unnest(%(names)s::text[]) AS given (name)
                 JOIN pg_class c ON c.oid = to_regclass(given.name)),
     granted AS (SELECT relowner AS role FROM named
                  UNION SELECT g.grantee
                   FROM named, LATERAL (SELECT named.relacl UNION ALL
                                        SELECT attacl FROM pg_attribute WHERE attrelid = named.oid AND NOT attisdropped)
                        AS granted (list), aclexplode(granted.list) g
                  WHERE g.privilege_type IN ('INSERT', 'UPDATE', 'DELETE'))
SELECT r.rolname, pg_has_role(session_user, r.oid, %(become)s),
       r.rolname = current_user OR r.oid IN (SELECT relowner FROM named)
  FROM pg_roles r
 WHERE r.rolname = current_user OR r.oid IN (SELECT role FROM granted)
    OR r.rolcanlogin AND NOT r.rolsuper
       AND (pg_has_role(r.oid, 'pg_write_all_data', 'USAGE')
            OR EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setrole = r.oid)
               AND EXISTS (SELECT FROM granted WHERE role <> 0 AND pg_has_role(r.oid, role, 'USAGE')))
 UNION ALL SELECT 'PUBLIC', false, false WHERE EXISTS (SELECT FROM granted WHERE role = 0)
 ORDER BY 1
"""

# What a login of the role begins with; a timeout is the probe's own.
SETTINGS = """
SELECT DISTINCT ON (own.name) own.name, own.value
  FROM pg_db_role_setting s
 CROSS JOIN LATERAL (SELECT split_part(item, '=', 1), substr(item, strpos(item, '=') + 1) FROM unnest(s.setconfig) item)
       AS own (name, value)
  LEFT JOIN pg_settings known ON lower(known.name) = lower(own.name)
 WHERE s.setrole = (SELECT oid FROM pg_roles WHERE rolname = %s)
   AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
   AND (known.context = 'user' OR known.name IS NULL AND own.name LIKE '%%.%%') AND own.name NOT LIKE '%%timeout'
   AND lower(own.name) NOT IN ('role', 'session_authorization')
 ORDER BY own.name, s.setdatabase DESC
"""

NUMBER = "SELECT CASE WHEN %(role)s = 'PUBLIC' THEN 0 ELSE (SELECT oid FROM pg_roles WHERE rolname = %(role)s) END"
RIGHTS = """
WITH own AS (SELECT attname, attnum, attrelid FROM pg_attribute
              WHERE attrelid = to_regclass(%(name)s) AND attnum > 0 AND NOT attisdropped)
SELECT coalesce(has_schema_privilege(%(role)s::oid, c.relnamespace, 'USAGE'), false),
       coalesce(has_table_privilege(%(role)s::oid, c.oid, 'DELETE'), false),
       ARRAY(SELECT attname::text FROM own WHERE has_column_privilege(%(role)s::oid, attrelid, attnum, 'SELECT')),
       ARRAY(SELECT attname::text FROM own WHERE has_column_privilege(%(role)s::oid, attrelid, attnum, 'INSERT')),
       ARRAY(SELECT attname::text FROM own WHERE has_column_privilege(%(role)s::oid, attrelid, attnum, 'UPDATE'))
  FROM pg_class c WHERE c.oid = to_regclass(%(name)s)
"""

IS_MEMBER = "SELECT 1 FROM pg_roles WHERE pg_has_role(%s::oid, oid, 'USAGE') AND rolname = ANY(%s)"
LACKING = """
SELECT concat(privilege, ' (' || quote_ident(nullif(part, '')) || ')', ' on ', place)
  FROM unnest(%(places)s::text[], %(privileges)s::text[], %(columns)s::text[]) AS needed (place, privilege, part)
 WHERE NOT CASE WHEN privilege = 'USAGE' THEN has_sequence_privilege(%(role)s::oid, place, 'USAGE, UPDATE')
                WHEN part <> '' THEN has_column_privilege(%(role)s::oid, place, part, privilege)
                ELSE has_table_privilege(%(role)s::oid, place, privilege) END
"""


@dataclasses.dataclass(frozen=True)
class Writer:
    """A role that may write to one of the tables, by a grant or as its owner."""

    role: str
    usable: bool
    """Whether this connection may become it."""
    trusted: bool = False
    """Whether it is the connection's own role or an owner, whose rights nobody else's code may have."""
    settings: tuple[tuple[str, str], ...] = ()
    """That its sessions begin with, by name."""
    before: str = "none"
    """The role that the connection has set."""


@dataclasses.dataclass(frozen=True)
class Rights:
    """What a role may do under one name."""

    schema: bool
    delete: bool
    select: frozenset[str]
    insert: frozenset[str]
    update: frozenset[str]

    def kinds(self, key: Iterable[str]) -> list[str]:
        """Which kinds of writes the role may do, where `key` is the table's."""
        others = self.update - set(key)
        found = {"INSERT": self.insert, "UPDATE": others, KEY: self.update - others, "DELETE": self.delete}
        return [kind for kind, may in found.items() if may and self.schema]


def find_writers(session: Session, names: list[str]) -> list[Writer]:
    """Of tables and views by their quoted names; the connection's own role is among them."""
    modern = session.connection.connection.info.server_version >= 160000
    # Since version 16 a membership says by itself whether SET ROLE is allowed.
    return [
        Writer(*row)
        for row in asking.query(session.connection, WRITERS, {"names": names, "become": "SET" if modern else "MEMBER"})
    ]


def number_of(session: Session, role: str) -> int | None:
    """Of a role, or 0 of PUBLIC. What is asked of a name fails where somebody has dropped the role a moment ago."""
    number: int | None = asking.value(session.connection, NUMBER, {"role": role})
    return number


def read_rights(session: Session, role: str, name: str) -> Rights:
    """None at all where the role has been dropped meanwhile."""
    ((schema, delete, *columns),) = asking.query(
        session.connection, RIGHTS, {"role": number_of(session, role), "name": name}
    )
    return Rights(schema, delete, *map(frozenset, columns))


def with_settings(session: Session, writer: Writer) -> Writer:
    """With what its sessions begin with: a search path of its own leads what a write fires elsewhere."""
    settings = tuple(asking.query(session.connection, SETTINGS, [writer.role]))
    return dataclasses.replace(
        writer, settings=settings, before=asking.value(session.connection, "SELECT current_setting('role')")
    )


def set_config(setting: str, value: str) -> Statement:
    """Qualified, since the search path may be another role's."""
    return SQL("pg_catalog.set_config({}, {}, true)").format(Literal(setting), Literal(value))


def is_member(session: Session, role: str, grantees: list[str]) -> bool:
    """Whether the role has what is granted to one of `grantees`, of which an empty one is PUBLIC."""
    if "" in grantees or role == PUBLIC:
        return "" in grantees
    return bool(asking.query(session.connection, IS_MEMBER, [number_of(session, role), grantees]))


def find_lacking(session: Session, role: str, needed: list[Need]) -> list[str]:
    """Those that a role lacks, as `INSERT on public.thing` or `INSERT (name) on public.thing`."""
    places, privileges, columns = ([one[part] for one in needed] for part in range(3))
    asked = {"role": number_of(session, role), "places": places, "privileges": privileges, "columns": columns}
    return asking.column(session.connection, LACKING, asked)
