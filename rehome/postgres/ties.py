"""Everything that the catalog ties to a table: what goes with it when it is dropped, and what keeps it from that.

It begins from pg_depend, so that what this module does not know is read as well, as an `UNKNOWN` tie.
"""

import dataclasses
import enum
from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import asking
from rehome.postgres.tables import OURS, Table


class Kind(enum.StrEnum):
    """Of a tie. Columns, constraints, indexes, defaults, grants and the owner are parts of a `Table`."""

    VIEW = "view"
    FUNCTION = "function"
    FOREIGN_POLICY = "policy of another table"
    FOREIGN_TRIGGER = "trigger of another table"
    FOREIGN_KEY = "foreign key of another table"
    ROW_TYPE = "use of the row type"
    HEIR = "inheritance, partition"
    SEQUENCE = "own sequence"
    SEQUENCE_USER = "default of another table"
    TRIGGER = "trigger"
    RULE = "rule"
    POLICY = "policy"
    ROW_SECURITY = "row-level security"
    PUBLICATION = "publication of the table"
    WIDE_PUBLICATION = "publication of its schema or of all tables"
    SUBSCRIPTION = "subscription"
    STATISTICS = "extended statistics"
    COMMENT = "comment"
    LABEL = "security label"
    REPLICA_IDENTITY = "replica identity"
    STORAGE = "storage parameters"
    TABLESPACE = "tablespace"
    COLUMN_OPTION = "column option"
    EXTENSION = "membership of an extension"
    UNKNOWN = "anything else"


@dataclasses.dataclass(frozen=True)
class Tie:
    kind: Kind
    name: str
    """As PostgreSQL writes it, with its kind where the name alone does not say that."""
    column: str = ""
    """That it is tied to; empty for the whole table."""
    same: str | None = None
    """What the like of it on another table has in common with it; None where there is no like of it."""


# Names by django-pgtrigger end with a hash of the model's label, and so differ between two apps.
# `own` is what DROP TABLE drops in silence, `users` what makes it fail.
TIES = r"""
SELECT asked.oid::bigint, found.* FROM unnest(%(oids)s::oid[]) AS asked (oid), LATERAL (
WITH RECURSIVE own (classid, objid) AS (
  SELECT 'pg_class'::regclass::oid, asked.oid
   UNION
  SELECT d.classid, d.objid FROM own JOIN pg_depend d ON d.refclassid = own.classid AND d.refobjid = own.objid
   WHERE d.deptype IN ('a', 'i', 'P', 'S')
),
users AS (
  SELECT d.classid, d.objid, d.objsubid, d.refclassid, s.oid IS NOT NULL AS draws
    FROM own JOIN pg_depend d ON d.refclassid = own.classid AND d.refobjid = own.objid
    LEFT JOIN pg_class s ON d.refclassid = 'pg_class'::regclass AND s.oid = d.refobjid AND s.relkind = 'S'
   WHERE d.deptype = 'n'
     AND NOT EXISTS (SELECT FROM own AS o WHERE o.classid = d.classid AND o.objid = d.objid)
),
place AS (
  SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = asked.oid
),
tied (kind, name, on_column, same) AS (
  SELECT CASE WHEN u.classid = 'pg_rewrite'::regclass THEN 'view'
              WHEN u.classid = 'pg_proc'::regclass THEN 'function'
              WHEN u.classid = 'pg_policy'::regclass THEN 'policy of another table'
              WHEN u.classid = 'pg_trigger'::regclass THEN 'trigger of another table'
              WHEN u.classid = 'pg_attrdef'::regclass AND u.draws THEN 'default of another table'
              WHEN u.refclassid = 'pg_type'::regclass THEN 'use of the row type'
              WHEN u.classid = 'pg_constraint'::regclass AND k.contype = 'f' THEN 'foreign key of another table'
              WHEN u.classid = 'pg_class'::regclass THEN 'inheritance, partition'
              ELSE 'anything else' END,
         CASE WHEN v.relkind IN ('v', 'm') THEN format('view %%s', v.oid::regclass)
              ELSE pg_describe_object(u.classid, u.objid, u.objsubid) END, '', NULL
    FROM users u
    LEFT JOIN pg_rewrite r ON u.classid = 'pg_rewrite'::regclass AND r.oid = u.objid
    LEFT JOIN pg_class v ON v.oid = r.ev_class
    LEFT JOIN pg_constraint k ON u.classid = 'pg_constraint'::regclass AND k.oid = u.objid
    LEFT JOIN pg_attrdef d ON u.classid = 'pg_attrdef'::regclass AND d.oid = u.objid
    LEFT JOIN pg_proc f ON u.classid = 'pg_proc'::regclass AND f.oid = u.objid
   WHERE coalesce(r.ev_class, k.conrelid, d.adrelid, 0) <> ALL (%(plans)s::oid[])
     AND coalesce(f.proname !~ %(ours)s, true)
     AND NOT EXISTS (SELECT FROM pg_class o WHERE o.oid = d.adrelid AND o.relname ~ %(ours)s)
   UNION ALL
  SELECT CASE c.relkind WHEN 'S' THEN 'own sequence' ELSE 'inheritance, partition' END,
         CASE c.relkind WHEN 'S' THEN format('%%I.%%I', c.relnamespace::regnamespace::text, c.relname)
                        ELSE pg_describe_object(own.classid, own.objid, 0) END, coalesce(a.attname, ''), NULL
    FROM own JOIN pg_class c ON own.classid = 'pg_class'::regclass AND c.oid = own.objid
    LEFT JOIN pg_depend d ON c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid
     AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE c.oid <> asked.oid AND c.relkind IN ('S', 'r', 'p', 'f')
   UNION ALL
  SELECT 'inheritance, partition', format('heir of %%s', inhparent::regclass), '', NULL
    FROM pg_inherits WHERE inhrelid = asked.oid
   UNION ALL
  SELECT CASE WHEN t.tgrelid = asked.oid THEN 'trigger' ELSE 'trigger of another table' END,
         CASE WHEN t.tgrelid = asked.oid THEN t.tgname ELSE pg_describe_object(own.classid, own.objid, 0) END, '',
         CASE WHEN t.tgrelid = asked.oid THEN regexp_replace(t.tgname, '^(pgtrigger_.+)_[0-9a-f]{5}$', '\1') END
    FROM own JOIN pg_trigger t ON own.classid = 'pg_trigger'::regclass AND t.oid = own.objid
   WHERE NOT t.tgisinternal AND t.tgname !~ %(ours)s
   UNION ALL
  SELECT 'rule', r.rulename, '', NULL FROM pg_rewrite r WHERE r.ev_class = asked.oid AND r.rulename <> '_RETURN'
   UNION ALL
  SELECT 'policy', p.polname, '', NULL FROM pg_policy p WHERE p.polrelid = asked.oid
   UNION ALL
  SELECT 'row-level security', '', '', NULL FROM place WHERE relrowsecurity
   UNION ALL
  SELECT CASE WHEN r.oid IS NULL THEN 'publication of its schema or of all tables' ELSE 'publication of the table' END,
         p.pubname, '', p.pubname
    FROM place JOIN pg_publication p ON place.relkind = 'r' AND place.relpersistence = 'p'
    LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = place.oid
   WHERE p.puballtables OR r.oid IS NOT NULL OR EXISTS (
         SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid AND n.pnnspid = place.relnamespace)
   UNION ALL
  SELECT 'subscription', s.subname, '', NULL
    FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid WHERE r.srrelid = asked.oid
   UNION ALL
  SELECT 'extended statistics', e.stxname, '', pg_get_statisticsobjdef_columns(e.oid)
    FROM pg_statistic_ext e WHERE e.stxrelid = asked.oid
   UNION ALL
  SELECT 'comment', d.description, coalesce(a.attname, ''), d.description
    FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND a.attnum > 0
   WHERE d.classoid = 'pg_class'::regclass AND d.objoid = asked.oid AND NOT starts_with(d.description, 'rehome: ')
   UNION ALL
  SELECT 'security label', format('FOR %%I IS %%L', l.provider, l.label), coalesce(a.attname, ''),
         format('%%I %%L', l.provider, l.label)
    FROM pg_seclabel l LEFT JOIN pg_attribute a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND a.attnum > 0
   WHERE l.classoid = 'pg_class'::regclass AND l.objoid = asked.oid
   UNION ALL
  SELECT 'replica identity', identity, '', identity
    FROM (SELECT CASE relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN 'USING INDEX' END
            FROM place WHERE relkind = 'r') AS replica (identity) WHERE identity IS NOT NULL
   UNION ALL
  SELECT 'storage parameters', option, '', option FROM place, unnest(reloptions) AS option WHERE relkind = 'r'
   UNION ALL
  SELECT 'tablespace', t.spcname, '', t.spcname FROM place JOIN pg_tablespace t ON t.oid = place.reltablespace
   UNION ALL
  SELECT 'column option', option, a.attname, option
    FROM place JOIN pg_attribute a ON place.relkind = 'r' AND a.attrelid = place.oid AND a.attnum > 0
     AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid,
         unnest(a.attoptions || CASE WHEN a.attstattarget >= 0 THEN format('statistics %%s', a.attstattarget) END
                || CASE WHEN a.attstorage <> t.typstorage THEN format('storage %%s', a.attstorage) END
                || CASE WHEN a.attcompression <> '' THEN format('compression %%s', a.attcompression) END) AS option
   WHERE option IS NOT NULL
   UNION ALL
  SELECT 'membership of an extension', e.extname, '', NULL
    FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
   WHERE d.classid = 'pg_class'::regclass AND d.objid = asked.oid AND d.deptype = 'e'
   UNION ALL
  SELECT 'anything else', pg_describe_object(own.classid, own.objid, 0), '', NULL
    FROM own WHERE own.classid NOT IN (
         'pg_class'::regclass, 'pg_type'::regclass, 'pg_attrdef'::regclass, 'pg_constraint'::regclass,
         'pg_trigger'::regclass, 'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_publication_rel'::regclass,
         'pg_statistic_ext'::regclass)
)
SELECT DISTINCT kind, name, on_column, same FROM tied
) AS found ORDER BY found.kind, found.name, found.on_column
"""


def read(tables: Iterable[Table], connection: BaseDatabaseWrapper, plans: Iterable[int] = ()) -> dict[int, list[Tie]]:
    """By the oid of its table, as they are by now, whatever the tables were when they were read. What belongs to the
    tables `plans` is left out, and rehome's own triggers and functions.
    """
    oids = [table.oid for table in tables]
    found: dict[int, list[Tie]] = {oid: [] for oid in oids}
    rows = asking.query(connection, TIES, {"oids": oids, "plans": list(plans), "ours": f"^{OURS.pattern}$"})
    for oid, kind, *rest in rows:
        found[oid].append(Tie(Kind(kind), *rest))
    return found
