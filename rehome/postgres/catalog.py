"""Reads pg_catalog into frozen dataclasses; the only module that knows its tables, and it never writes."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres.tables import Column, Constraint, End, ForeignKey, Grant, Index, Sequence, Table, Trigger

TABLE = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner),
       pg_has_role(c.relowner, 'USAGE'), c.relrowsecurity, c.relpersistence::text,
       EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid), c.relispartition
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = to_regclass(%s)
"""

RULES = "SELECT rulename FROM pg_rewrite WHERE ev_class = %s AND rulename <> '_RETURN'"

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, NULL), n.nspname,
       NOT a.attnotnull, CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       a.attidentity::text, a.attgenerated::text,
       coalesce((SELECT format('%%I.%%I', ln.nspname, l.collname) FROM pg_collation l
                   JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = a.attcollation), ''),
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_type e ON e.oid = CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem ELSE t.oid END
  JOIN pg_namespace n ON n.oid = e.typnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""

CONSTRAINTS = """
SELECT c.conname, c.contype::text, regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', ''),
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(num, pos)
               JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num ORDER BY k.pos),
       c.convalidated, c.condeferrable, pg_get_expr(c.conbin, c.conrelid),
       obj_description(c.oid, 'pg_constraint') IS NULL
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_constraint'::regclass AND d.refobjid = c.oid
                          AND d.classid = 'pg_rewrite'::regclass)
       AND (x.indexrelid IS NULL OR NOT x.indisclustered AND NOT x.indisreplident AND i.reltablespace = 0
       AND obj_description(i.oid, 'pg_class') IS NULL
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.oid AND a.attstattarget >= 0))
  FROM pg_constraint c
  LEFT JOIN pg_index x ON x.indexrelid = c.conindid AND x.indrelid = c.conrelid
  LEFT JOIN pg_class i ON i.oid = x.indexrelid
 WHERE c.conrelid = %s AND c.contype IN ('p', 'u', 'x', 'c')
 ORDER BY c.contype, c.conname
"""

INDEXES = """
SELECT i.relname, pg_get_indexdef(i.oid), x.indisunique,
       CASE WHEN x.indexprs IS NULL AND x.indpred IS NULL THEN
         ARRAY(SELECT a.attname::text FROM unnest(x.indkey[0:x.indnkeyatts - 1]) WITH ORDINALITY k(num, pos)
                 JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.num ORDER BY k.pos)
       ELSE ARRAY[]::text[] END,
       NOT x.indisclustered AND NOT x.indisreplident AND i.reltablespace = 0
       AND obj_description(i.oid, 'pg_class') IS NULL
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.oid AND a.attstattarget >= 0)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
 WHERE x.indrelid = %s
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x'))
 ORDER BY i.relname
"""

INDEX = """
SELECT pg_get_indexdef(x.indexrelid), x.indisvalid FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
 WHERE x.indrelid = %s AND i.relname = %s
"""

# Of a partitioned table on either side, the whole speaks for its partitions.
FOREIGN_KEYS = """
SELECT c.conrelid = %(oid)s, pg_get_constraintdef(c.oid), n.nspname, t.relname, c.conname, c.convalidated,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(num, pos)
               JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num ORDER BY k.pos),
       fn.nspname, ft.relname,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(num, pos)
               JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num ORDER BY k.pos),
       format('%%I.%%I', fn.nspname, ft.relname), c.confrelid::bigint, i.relname,
       coalesce(obj_description(c.oid, 'pg_constraint'), '')
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_class ft ON ft.oid = c.confrelid JOIN pg_namespace fn ON fn.oid = ft.relnamespace
  JOIN pg_class i ON i.oid = c.conindid
 WHERE c.contype = 'f'
   AND (c.confrelid = %(oid)s AND c.conparentid = 0
        OR c.conrelid = %(oid)s AND NOT EXISTS (SELECT FROM pg_constraint whole
                                                 WHERE whole.oid = c.conparentid AND whole.conrelid = c.conrelid))
 ORDER BY n.nspname, t.relname, c.conname
"""

TRIGGERS = """
SELECT t.tgname, n.nspname, p.proname, p.prosrc, t.tgenabled IN ('O', 'A'), t.tgtype,
       t.tgqual IS NULL AND t.tgattr = '' AND p.prosecdef AND coalesce(p.proconfig[1], '') ^@ 'search_path=pg_catalog'
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE t.tgrelid = %s AND NOT t.tgisinternal
 ORDER BY t.tgname
"""

GRANTS = """
SELECT coalesce(r.rolname, ''), g.privilege_type, g.is_grantable, granted.on_column
  FROM pg_class c,
       LATERAL (SELECT c.relacl, '' UNION ALL
                SELECT a.attacl, a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped)
       AS granted (list, on_column), aclexplode(granted.list) g LEFT JOIN pg_roles r ON r.oid = g.grantee
 WHERE c.oid = %(oid)s AND g.grantee <> c.relowner
 ORDER BY 4, 1, 2
"""

SEQUENCES = """
SELECT c.oid::bigint, a.attname, n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement,
       s.seqmin, s.seqmax, s.seqcache, s.seqcycle
  FROM pg_attribute a
  LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.classid = CASE WHEN a.attidentity <> ''
         THEN 'pg_class'::regclass ELSE 'pg_attrdef'::regclass END
   AND CASE WHEN a.attidentity <> '' THEN d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
         AND d.deptype = 'i' ELSE d.objid = ad.oid END
  JOIN pg_class c ON c.relkind = 'S'
   AND c.oid = CASE WHEN a.attidentity <> '' THEN d.objid ELSE d.refobjid END
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_sequence s ON s.seqrelid = c.oid
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
"""

# What a connection has set for itself, such as its time zone, can change the value of an expression.
OWN_SETTINGS = """
SELECT format('SELECT set_config(%L, %L, false);', name, setting) FROM pg_settings
 WHERE source IN ('client', 'session') AND context = 'user' AND name NOT IN ('application_name', 'client_encoding')
 ORDER BY name
"""

CHANGING = """
SELECT DISTINCT proname FROM pg_proc
 WHERE proname = ANY(%s) AND (provolatile = 'v' OR provolatile = 's' AND pronargs = 0)
"""

LIST = r'\((?:[^")]|"(?:[^"]|"")*")*\)'
DEFINITION = re.compile(rf'(FOREIGN KEY {LIST}) REFERENCES (?:[^"(]|"(?:[^"]|"")*")+{LIST}(.*)', re.DOTALL)
"""Of a foreign key: what comes before its other end, and what comes after it."""


def query(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Run one reading statement and return all of its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def column(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> list[Any]:
    """The one column of `query`."""
    return [found for (found,) in query(connection, statement, params)]


def value(connection: BaseDatabaseWrapper, statement: str, params: Any = None) -> Any:
    """The one value of `query`."""
    (found,) = column(connection, statement, params)
    return found


def frozen(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """With tuples for PostgreSQL's arrays."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def read_table(connection: BaseDatabaseWrapper, quoted_name: str) -> Table | None:
    """The table (or view) that `quoted_name` means on this connection's search path; None when there is none."""
    found = query(connection, TABLE, [quoted_name])
    if not found:
        return None
    oid = found[0][0]
    parts: list[Any] = [
        tuple(column(connection, RULES, [oid])),
        tuple(Column(*row) for row in query(connection, COLUMNS, [oid])),
        tuple(Constraint(*frozen(row)) for row in query(connection, CONSTRAINTS, [oid])),
        *read_foreign_keys(connection, oid),
        tuple(Index(*frozen(row)) for row in query(connection, INDEXES, [oid])),
        tuple(Trigger(*row) for row in query(connection, TRIGGERS, [oid])),
        read_grants(connection, oid),
        {
            name: dataclasses.replace(Sequence(*row), grants=read_grants(connection, sequence))
            for sequence, name, *row in query(connection, SEQUENCES, [oid])
        },
    ]
    return Table(*found[0], *parts)


def read_foreign_keys(connection: BaseDatabaseWrapper, oid: int) -> Iterable[tuple[ForeignKey, ...]]:
    """Those of a table, and those of others that point at it."""
    rows = [frozen(row) for row in query(connection, FOREIGN_KEYS, {"oid": oid})]
    found = [(own, make_foreign_key(*row)) for own, *row in rows]
    return tuple(key for own, key in found if own), tuple(key for own, key in found if not own)


def make_foreign_key(
    definition: str, schema: str, table: str, name: str, validated: bool, columns: tuple[str, ...],
    other_schema: str, other: str, other_columns: tuple[str, ...], *rest: Any,
) -> ForeignKey:  # fmt: skip
    parts = DEFINITION.fullmatch(definition)
    assert parts is not None  # noqa: S101  PostgreSQL has printed it.
    end = End(other_schema, other, other_columns)
    head, tail = parts[1], parts[2].removesuffix(" NOT VALID")
    return ForeignKey(schema, table, name, head, tail, end, validated, columns, *rest)


def is_validated(connection: BaseDatabaseWrapper, schema: str, table: str, constraint: str) -> bool | None:
    """Whether a constraint's rows have been looked at; None where there is none of the name."""
    question = (
        "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) "
        "AND conname = %s"
    )
    return next(iter(column(connection, question, [schema, table, constraint])), None)


def read_grants(connection: BaseDatabaseWrapper, oid: int) -> tuple[Grant, ...]:
    """What roles other than the owner may do with a table or a sequence."""
    return tuple(Grant(*row) for row in query(connection, GRANTS, {"oid": oid}))


def exists(connection: BaseDatabaseWrapper, name: str) -> bool:
    """Whether `name` means a table or view on this connection's search path."""
    return bool(value(connection, "SELECT to_regclass(%s) IS NOT NULL", [name]))


def is_writable(connection: BaseDatabaseWrapper, table: str) -> bool:
    """Whether this connection may change rows of `table`: no standby, no read-only role or setting."""
    question = "SELECT NOT current_setting('transaction_read_only')::boolean AND has_table_privilege(%s, 'UPDATE')"
    return bool(value(connection, question, [table]))


def extension_schemas(connection: BaseDatabaseWrapper) -> set[str]:
    """Schemas that hold the types, operators and functions of extensions."""
    schemas = "SELECT DISTINCT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
    return set(column(connection, schemas))


def own_settings(connection: BaseDatabaseWrapper) -> list[str]:
    """Statements that set in another session what this one has set for itself."""
    return column(connection, OWN_SETTINGS)


def read_index(connection: BaseDatabaseWrapper, table: Table, name: str) -> list[tuple[Any, ...]]:
    """(CREATE INDEX, whether it is valid, unlike what a failed concurrent build leaves); empty where there is none."""
    return query(connection, INDEX, [table.oid, name])


def changing_functions(connection: BaseDatabaseWrapper, names: Iterable[str]) -> list[str]:
    """Those of the functions that may give another value for the same arguments, within a second or a day."""
    return sorted(column(connection, CHANGING, [list(names)]))


def canonical_type(connection: BaseDatabaseWrapper, declared: str) -> str | None:
    """`varchar(200)` as PostgreSQL prints it, `character varying(200)`; None when there is no such type."""
    modifiers = "".join(re.findall(r"\([^)]*\)", declared)).replace(" ", "")
    array = "[]" if declared.rstrip().endswith("]") else ""
    bare = re.sub(r"\([^)]*\)|\[\d*\]", "", declared).strip()
    printed = value(connection, "SELECT format_type(to_regtype(%s), NULL)", [bare])
    if printed is None:
        return None
    head, space, tail = printed.partition(" with")
    return f"{head}{modifiers}{space}{tail}{array}"
