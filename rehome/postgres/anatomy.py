"""What a table consists of beside its catalog.Table, for a rename that leaves no old name behind."""

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import catalog
from rehome.postgres.tables import Anatomy, Table

COMMENTS = """
SELECT coalesce(a.attname, ''), d.description
  FROM pg_description d LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND a.attnum > 0
 WHERE d.classoid = 'pg_class'::regclass AND d.objoid = %s
"""

# PostgreSQL 18 names them; older servers have none here.
NOT_NULLS = """
SELECT a.attname, c.conname
  FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
 WHERE c.conrelid = %s AND c.contype = 'n'
"""

BORROWED = """
SELECT DISTINCT a.attname, s.oid::regclass::text
  FROM pg_attribute a
  JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
 WHERE a.attrelid = %s
   AND (NOT EXISTS (SELECT FROM pg_depend o
                     WHERE o.classid = 'pg_class'::regclass AND o.objid = s.oid AND o.deptype = 'a'
                       AND (o.refclassid, o.refobjid, o.refobjsubid) = ('pg_class'::regclass, a.attrelid, a.attnum))
        OR EXISTS (SELECT FROM pg_depend u
                    WHERE u.classid = 'pg_attrdef'::regclass AND u.objid <> ad.oid
                      AND (u.refclassid, u.refobjid) = ('pg_class'::regclass, s.oid)))
"""

DEPENDENTS = """
SELECT DISTINCT CASE WHEN d.classid = 'pg_rewrite'::regclass
                     THEN (SELECT format('view %%s', r.ev_class::regclass) FROM pg_rewrite r WHERE r.oid = d.objid)
                     ELSE pg_describe_object(d.classid, d.objid, 0) END
  FROM pg_class c
  JOIN pg_depend d ON (d.refclassid, d.refobjid) IN (('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype))
 WHERE c.oid = %s AND d.deptype = 'n' AND d.classid <> 'pg_constraint'::regclass
   AND NOT (d.classid = 'pg_rewrite'::regclass
            AND EXISTS (SELECT FROM pg_rewrite r WHERE r.oid = d.objid AND r.ev_class = c.oid))
   AND NOT (d.classid = 'pg_attrdef'::regclass
            AND EXISTS (SELECT FROM pg_attrdef a WHERE a.oid = d.objid AND a.adrelid = c.oid))
 ORDER BY 1
"""

BELONGINGS = """
SELECT format('policy %%I', polname) FROM pg_policy WHERE polrelid = %(oid)s
 UNION ALL SELECT format('statistics %%I', stxname) FROM pg_statistic_ext WHERE stxrelid = %(oid)s
 UNION ALL SELECT format('place in publication %%I', pubname)
             FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE prrelid = %(oid)s
 ORDER BY 1
"""


def read_anatomy(table: Table, connection: BaseDatabaseWrapper) -> Anatomy:
    comments, not_nulls = (dict(catalog.query(connection, query, [table.oid])) for query in (COMMENTS, NOT_NULLS))
    return Anatomy(table, comments, not_nulls)


def find_borrowed(table: Table, connection: BaseDatabaseWrapper) -> list[tuple[str, str]]:
    """(column, sequence) of each default that draws from a sequence which is not the column's alone."""
    return [(column, sequence) for column, sequence in catalog.query(connection, BORROWED, [table.oid])]


def find_dependents(table: Table, connection: BaseDatabaseWrapper) -> list[str]:
    """What keeps a table or view from being dropped, but for foreign keys, in words."""
    return catalog.column(connection, DEPENDENTS, [table.oid])


def find_belongings(table: Table, connection: BaseDatabaseWrapper) -> list[str]:
    """What would be dropped with a table without a word, and no migration makes again."""
    return catalog.column(connection, BELONGINGS, {"oid": table.oid})
