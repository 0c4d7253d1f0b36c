"""Which roles set off the triggers between two tables, whatever way their writes take, and what they lack to do so."""

import dataclasses

from rehome.plan.plan import Plan, TablePair
from rehome.postgres import asking
from rehome.postgres.sql import readable
from rehome.postgres.tables import Table

# The two tables; those whose foreign keys let the database itself write to them; and the views and rules that write
# to any of these. A trigger that such a write fires runs as the role that wrote there.
REACHED = """
WITH RECURSIVE reached (oid, events) AS (
  SELECT oid, 'INSERT, UPDATE, DELETE' FROM pg_catalog.pg_class WHERE oid = ANY(%(tables)s)
   UNION
  SELECT next.oid, next.events FROM reached r, LATERAL (
    SELECT k.confrelid, 'UPDATE, DELETE' FROM pg_catalog.pg_constraint k
     WHERE k.conrelid = r.oid AND k.contype = 'f'
       AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
     UNION
    SELECT w.ev_class, 'INSERT, UPDATE, DELETE'
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
     WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refobjid = r.oid
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND w.ev_class <> r.oid
       AND pg_catalog.pg_relation_is_updatable(w.ev_class, true) <> 0
  ) AS next (oid, events)
)
"""
NAMED = """
SELECT DISTINCT CASE WHEN held.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(held.grantee) END
  FROM reached JOIN pg_catalog.pg_class c ON c.oid = reached.oid,
       LATERAL (SELECT coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner)) UNION ALL
                SELECT a.attacl FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped)
       AS granted (list), pg_catalog.aclexplode(granted.list) held
 WHERE held.privilege_type = ANY(pg_catalog.string_to_array(reached.events, ', '))
 ORDER BY 1
"""
# Everybody is a writer without a role of that name, also where no role there is yet has nothing but PUBLIC's rights.
LACKING = """, writers AS (
  SELECT r.oid, r.rolname, w.place
    FROM (SELECT oid, rolname FROM pg_catalog.pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_'
           UNION ALL SELECT 0, '') r,
  LATERAL (
    SELECT format('%%I.%%I', n.nspname, c.relname)
      FROM reached JOIN pg_catalog.pg_class c ON c.oid = reached.oid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE pg_catalog.has_table_privilege(r.oid, reached.oid, reached.events)
        OR pg_catalog.has_any_column_privilege(r.oid, reached.oid, 'INSERT, UPDATE')
     ORDER BY 1 LIMIT 1) AS w (place)
)
SELECT w.rolname, format('%%I.%%I', n.nspname, c.relname), needed.privilege, w.place
  FROM writers w, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
       pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed (privilege)
 WHERE c.oid = ANY(%(tables)s) AND NOT pg_catalog.has_table_privilege(w.oid, c.oid, needed.privilege)
   AND NOT (c.oid = %(granted)s AND pg_catalog.has_table_privilege(w.oid, %(grants)s::oid, needed.privilege))
 UNION ALL
SELECT w.rolname, format('SCHEMA %%I', n.nspname), 'USAGE', w.place
  FROM writers w, pg_catalog.pg_namespace n
 WHERE n.oid IN (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = ANY(%(tables)s))
   AND NOT pg_catalog.has_schema_privilege(w.oid, n.oid, 'USAGE')
 ORDER BY 1, 2, 3
"""


@dataclasses.dataclass(frozen=True)
class Lacking:
    """A right that a role needs so that the triggers can run as that role."""

    role: str
    """Empty for PUBLIC."""
    place: str
    """A table, or a schema with that word, quoted where it must be."""
    privilege: str
    writes: str
    """The table or view where the role may write."""

    @property
    def who(self) -> str:
        return f"the role {self.role!r}" if self.role else "PUBLIC"

    @property
    def cure(self) -> str:
        """Nobody is told to let everybody do more."""
        if not self.role:
            return f"REVOKE INSERT, UPDATE, DELETE ON {self.writes} FROM PUBLIC, and grant them to roles that write"
        return f"GRANT {self.privilege} ON {self.place} TO {readable(self.role)}"


def named(plan: Plan, pair: TablePair) -> tuple[str, ...]:
    """The owners and the roles that hold a grant to write, an empty name for PUBLIC; members of these write as well."""
    return tuple(asking.column(plan.connection, REACHED + NAMED, {"tables": [pair.source.oid, pair.target.oid]}))


def lacking(plan: Plan, pair: TablePair, *, granting: bool = False, view: Table | None = None) -> list[Lacking]:
    """What roles that write lack of the rights to both tables; superusers lack nothing.

    With `granting`, the rights to the source are about to be granted on the target too; with `view`, those to the view
    that stands under the source's name, on the source.
    """
    tables = [pair.source.oid, pair.target.oid]
    places = {"tables": tables, "granted": pair.target.oid if granting else 0, "grants": pair.source.oid}
    if view:
        places |= {"granted": pair.source.oid, "grants": view.oid}
    return [Lacking(*row) for row in asking.query(plan.connection, REACHED + LACKING, places)]


def users(plan: Plan, pair: TablePair, *, granting: bool = False) -> tuple[str, ...] | None:
    """Whose rights and search path the triggers of a pair have: see `triggers.Trigger.users`."""
    return None if lacking(plan, pair, granting=granting) else named(plan, pair)
