"""What a table consists of beside its catalog.Table, for a rename that leaves no old name behind."""

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import asking
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


def read_anatomy(table: Table, connection: BaseDatabaseWrapper) -> Anatomy:
    comments, not_nulls = (dict(asking.query(connection, query, [table.oid])) for query in (COMMENTS, NOT_NULLS))
    return Anatomy(table, comments, not_nulls)


def find_borrowed(table: Table, connection: BaseDatabaseWrapper) -> list[tuple[str, str]]:
    """(column, sequence) of each default that draws from a sequence which is not the column's alone."""
    return [(column, sequence) for column, sequence in asking.query(connection, BORROWED, [table.oid])]
