"""Reads tables from pg_catalog into frozen dataclasses, and never writes."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import asking, resolution, rights, settings
from rehome.postgres.tables import (
    Action,
    Column,
    ColumnIndex,
    Constraint,
    End,
    ForeignKey,
    Grant,
    Index,
    IndexKey,
    Sequence,
    Table,
    Terms,
    Trigger,
)

TABLE = """
SELECT c.oid::bigint, c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner),
       pg_has_role(c.relowner, 'USAGE'), c.relrowsecurity, c.relpersistence::text,
       EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid), c.relispartition
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY(%(oids)s)
"""

RULES = "SELECT ev_class::bigint, rulename FROM pg_rewrite WHERE ev_class = ANY(%(oids)s) AND rulename <> '_RETURN'"

COLUMNS = """
SELECT a.attrelid::bigint, a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, NULL), n.nspname,
       NOT a.attnotnull, CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       a.attidentity::text, a.attgenerated::text,
       coalesce((SELECT format('%%I.%%I', ln.nspname, l.collname) FROM pg_collation l
                   JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = a.attcollation), ''),
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END, pg_get_expr(t.typdefaultbin, 0),
       (SELECT x.indclass[array_position(x.indkey::int2[], a.attnum)]::bigint FROM pg_index x
         WHERE x.indrelid = a.attrelid AND x.indisprimary)
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_type e ON e.oid = CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem ELSE t.oid END
  JOIN pg_namespace n ON n.oid = e.typnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = ANY(%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""

EQUALITIES = """
SELECT oc.oid::bigint, format('OPERATOR(%%I.%%s)', os.nspname, o.oprname),
       CASE WHEN os.nspname <> 'pg_catalog' THEN format('%%I.%%I', ts.nspname, ot.typname) ELSE '' END
  FROM pg_opclass oc
  JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
   AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
  JOIN pg_operator o ON o.oid = ao.amopopr JOIN pg_namespace os ON os.oid = o.oprnamespace
  JOIN pg_type ot ON ot.oid = o.oprleft JOIN pg_namespace ts ON ts.oid = ot.typnamespace
 WHERE oc.oid = ANY(%s)
"""

FIRST_OWN_OID = 16384
"""What has a smaller one came with PostgreSQL."""

CONSTRAINTS = """
SELECT c.conrelid::bigint, c.conname, c.contype::text, regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', ''),
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
 WHERE c.conrelid = ANY(%(oids)s) AND c.contype IN ('p', 'u', 'x', 'c')
 ORDER BY c.contype, c.conname
"""

INDEXES = """
SELECT x.indrelid::bigint, i.relname, pg_get_indexdef(i.oid), x.indisunique,
       CASE WHEN x.indexprs IS NULL AND x.indpred IS NULL THEN
         ARRAY(SELECT a.attname::text FROM unnest(x.indkey[0:x.indnkeyatts - 1]) WITH ORDINALITY k(num, pos)
                 JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.num ORDER BY k.pos)
       ELSE ARRAY[]::text[] END,
       NOT x.indisclustered AND NOT x.indisreplident AND i.reltablespace = 0
       AND obj_description(i.oid, 'pg_class') IS NULL
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.oid AND a.attstattarget >= 0)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
 WHERE x.indrelid = ANY(%(oids)s)
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x'))
 ORDER BY i.relname
"""

# Those that facts can say.
COLUMN_INDEXES = """
SELECT i.relname, am.amname, x.indisunique,
       (SELECT jsonb_agg(jsonb_build_object(
                 'column', a.attname,
                 'collation', (SELECT jsonb_build_array(n.nspname, l.collname)
                                 FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                                WHERE l.oid = x.indcollation[k.pos]),
                 'opclass', (SELECT jsonb_build_array(n.nspname, o.opcname)
                               FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
                              WHERE o.oid = x.indclass[k.pos]),
                 'options', (SELECT jsonb_object_agg(option_name, option_value)
                               FROM pg_options_to_table((SELECT own.attoptions FROM pg_attribute own
                                                          WHERE own.attrelid = i.oid AND own.attnum = k.pos + 1))),
                 'descending', x.indoption[k.pos] & 1 = 1,
                 'nulls_first', x.indoption[k.pos] & 2 = 2) ORDER BY k.pos)::text
          FROM generate_series(0, x.indnkeyatts - 1) k(pos)
          JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[k.pos]),
       ARRAY(SELECT a.attname::text FROM generate_series(x.indnkeyatts, x.indnatts - 1) k(pos)
               JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[k.pos] ORDER BY k.pos),
       NOT x.indnullsnotdistinct,
       (SELECT jsonb_object_agg(option_name, option_value)::text FROM pg_options_to_table(i.reloptions)),
       CASE c.contype WHEN 'u' THEN 'UNIQUE' WHEN 'p' THEN 'PRIMARY KEY' ELSE '' END,
       coalesce(c.condeferrable, false), coalesce(c.condeferred, false)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am am ON am.oid = i.relam
  LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.conrelid = x.indrelid AND c.contype IN ('p', 'u', 'x')
 WHERE x.indrelid = %s AND x.indexprs IS NULL AND x.indpred IS NULL AND NOT x.indisexclusion
 ORDER BY i.relname
"""

INDEX = """
SELECT x.indisvalid FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
 WHERE x.indrelid = %s AND i.relname = %s
"""

OWNED = """
SELECT a.attname, n.nspname, s.relname
  FROM pg_depend d JOIN pg_class s ON d.classid = 'pg_class'::regclass AND s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_namespace n ON n.oid = s.relnamespace
  JOIN pg_attribute a ON d.refclassid = 'pg_class'::regclass AND (a.attrelid, a.attnum) = (d.refobjid, d.refobjsubid)
 WHERE d.refobjid = %s AND d.deptype IN ('a', 'i')
"""

BASE = """
SELECT DISTINCT n.nspname, t.relname
  FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
  JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid AND t.oid <> r.ev_class
  JOIN pg_namespace n ON n.oid = t.relnamespace
 WHERE r.ev_class = %s AND t.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

# Of a partitioned table on either side, the whole speaks for its partitions.
FOREIGN_KEYS = """
SELECT asked.oid, c.conrelid = asked.oid, n.nspname, t.relname, c.conname,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(num, pos)
               JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num ORDER BY k.pos),
       ARRAY[fn.nspname, ft.relname]::text[],
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(num, pos)
               JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num ORDER BY k.pos),
       c.confmatchtype = 'f', c.confupdtype::text, c.confdeltype::text,
       ARRAY(SELECT a.attname::text FROM unnest(c.confdelsetcols) WITH ORDINALITY k(num, pos)
               JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num ORDER BY k.pos),
       c.condeferrable, c.condeferred,
       -- PostgreSQL 18 has both.
       coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false),
       coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true),
       c.convalidated, c.confrelid::bigint, i.relname,
       coalesce(obj_description(c.oid, 'pg_constraint'), ''),
       ARRAY(SELECT format('OPERATOR(%%I.%%s)', ons.nspname, o.oprname)
               FROM unnest(c.conpfeqop) WITH ORDINALITY e(oid, pos)
               JOIN pg_operator o ON o.oid = e.oid JOIN pg_namespace ons ON ons.oid = o.oprnamespace ORDER BY e.pos)
  FROM unnest(%(oids)s::bigint[]) AS asked (oid)
  JOIN pg_constraint c ON asked.oid IN (c.conrelid, c.confrelid)
  JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_class ft ON ft.oid = c.confrelid JOIN pg_namespace fn ON fn.oid = ft.relnamespace
  JOIN pg_class i ON i.oid = c.conindid
 WHERE c.contype = 'f'
   AND (c.confrelid = asked.oid AND c.conparentid = 0
        OR c.conrelid = asked.oid AND NOT EXISTS (SELECT FROM pg_constraint whole
                                                 WHERE whole.oid = c.conparentid AND whole.conrelid = c.conrelid))
 ORDER BY n.nspname, t.relname, c.conname
"""

TRIGGERS = """
SELECT t.tgrelid::bigint, t.tgname, n.nspname, p.proname, p.prosrc, t.tgenabled IN ('O', 'A'), t.tgtype,
       t.tgqual IS NULL AND t.tgattr = '', pg_get_userbyid(p.proowner), p.prosecdef, coalesce(p.proconfig, '{}'),
       t.tgenabled::text, pg_get_triggerdef(t.oid),
       ARRAY(SELECT a.attname::text FROM unnest(t.tgattr::int2[]) k(num)
               JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = k.num ORDER BY a.attnum),
       ARRAY(SELECT convert_from(decode(part, 'hex'), getdatabaseencoding())
               FROM regexp_matches(encode(t.tgargs, 'hex'), '((?:(?!00)..)*)00', 'g') WITH ORDINALITY a(parts, pos),
                    unnest(a.parts) AS part ORDER BY pos),
       t.tgtype & 1 = 1 OR t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL, t.tgconstrrelid <> 0,
       coalesce(obj_description(t.oid, 'pg_trigger'), '')
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE t.tgrelid = ANY(%(oids)s) AND NOT t.tgisinternal
 ORDER BY t.tgname
"""

# In two branches, each of which finds its rows of pg_depend by an index.
SEQUENCES = """
SELECT drawn.relation::bigint, c.oid::bigint, drawn.attname, n.nspname, c.relname, format_type(s.seqtypid, NULL),
       s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle
  FROM (SELECT a.attrelid AS relation, a.attname, d.objid AS sequence FROM pg_attribute a
          JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
           AND d.refobjsubid = a.attnum AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
         WHERE a.attrelid = ANY(%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> ''
         UNION ALL
        SELECT a.attrelid, a.attname, d.refobjid FROM pg_attribute a
          JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
          JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid
           AND d.refclassid = 'pg_class'::regclass
         WHERE a.attrelid = ANY(%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '') AS drawn
  JOIN pg_class c ON c.oid = drawn.sequence AND c.relkind = 'S'
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_sequence s ON s.seqrelid = c.oid
"""

# What a connection has set for itself, such as its time zone, can change the value of an expression.
OWN_SETTINGS = """
SELECT pg_catalog.format('SELECT set_config(%L, %L, false);', name, setting) FROM pg_catalog.pg_settings
 WHERE source OPERATOR(pg_catalog.=) ANY ('{client,session}') AND context OPERATOR(pg_catalog.=) 'user'
   AND name OPERATOR(pg_catalog.<>) ALL ('{application_name,client_encoding}')
 ORDER BY name
"""

UNCALLED = """
SELECT n.nspname, p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.proname ~ %s AND p.prorettype = 'trigger'::regtype AND pg_has_role(p.proowner, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgfoid = p.oid)
"""

ACTIONS: dict[str, Action] = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
"""Of a foreign key, as pg_constraint has them."""


def frozen(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """With tuples for PostgreSQL's arrays."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in row)


def read_table(connection: BaseDatabaseWrapper, quoted_name: str) -> Table | None:
    """The table (or view) that `quoted_name` means to the project; None when there is none."""
    oid = resolution.find(connection, quoted_name)
    return None if oid is None else read(connection, oid)


def read_tables(connection: BaseDatabaseWrapper, quoted_names: Iterable[str]) -> list[Table | None]:
    """The same of several, in their order; what `read_table` would ask for each is asked once."""
    oids = resolution.find_all(connection, quoted_names)
    found = {table.oid: table for table in read_all(connection, {oid for oid in oids if oid is not None})}
    return [oid and found.get(oid) or None for oid in oids]


def read(connection: BaseDatabaseWrapper, oid: int) -> Table:
    (table,) = read_all(connection, [oid])
    return table


def read_all(connection: BaseDatabaseWrapper, oids: Iterable[int]) -> list[Table]:
    """Those tables that are there, in this order."""
    asked = list(oids)
    parts = (TABLE, RULES, COLUMNS, CONSTRAINTS, FOREIGN_KEYS, INDEXES, TRIGGERS, SEQUENCES)
    with settings.guarded(connection):
        tables, *found = map(asking.by_oid, asking.fetch_each(connection, [(part, {"oids": asked}) for part in parts]))
        sequences = [sequence for rows in found[-1].values() for sequence, *_ in rows]
        grants = rights.read_grants(connection, [*asked, *sequences])
        return [
            make_table(connection, tables[oid][0], [rows[oid] for rows in found], grants.get(oid, ()), grants)
            for oid in asked
            if tables[oid]
        ]


def make_table(
    connection: BaseDatabaseWrapper,
    facts: tuple[Any, ...],
    parts: Iterable[list[tuple[Any, ...]]],
    grants: tuple[Grant, ...],
    granted: Mapping[int, tuple[Grant, ...]],
) -> Table:
    rules, columns, constraints, keys, indexes, triggers, sequences = parts
    drawn = [(name, Sequence(*row), granted.get(sequence, ())) for sequence, name, *row in sequences]
    made: list[Any] = [
        tuple(name for (name,) in rules),
        make_columns(connection, columns),
        tuple(Constraint(*frozen(row)) for row in constraints),
        *make_foreign_keys(keys),
        tuple(Index(*frozen(row)) for row in indexes),
        tuple(Trigger(*frozen(row)) for row in triggers),
        grants,
        {name: dataclasses.replace(sequence, grants=grants) for name, sequence, grants in drawn},
    ]
    return Table(*facts, *made)


def read_columns(connection: BaseDatabaseWrapper, oid: int) -> tuple[Column, ...]:
    return make_columns(connection, asking.by_oid(asking.query(connection, COLUMNS, {"oids": [oid]}))[oid])


def make_columns(connection: BaseDatabaseWrapper, rows: list[tuple[Any, ...]]) -> tuple[Column, ...]:
    """A key whose operator class came with PostgreSQL is compared by PostgreSQL's own `=`."""
    others = [one for *_, one in rows if one and one >= FIRST_OWN_OID]
    equalities = {one: names for one, *names in asking.query(connection, EQUALITIES, [others])} if others else {}
    return tuple(Column(*row, *equalities.get(one, ())) for *row, one in rows)


def read_foreign_keys(connection: BaseDatabaseWrapper, oid: int) -> Iterable[tuple[ForeignKey, ...]]:
    """Those of a table, and those of others that point at it."""
    return make_foreign_keys(asking.by_oid(asking.query(connection, FOREIGN_KEYS, {"oids": [oid]}))[oid])


def make_foreign_keys(rows: list[tuple[Any, ...]]) -> Iterable[tuple[ForeignKey, ...]]:
    found = [(own, make_foreign_key(*row)) for own, *row in map(frozen, rows)]
    return tuple(key for own, key in found if own), tuple(key for own, key in found if not own)


def make_foreign_key(
    schema: str, table: str, name: str, columns: tuple[str, ...], other: tuple[str, str], there: tuple[str, ...],
    full: bool, on_update: str, on_delete: str, *rest: Any,
) -> ForeignKey:  # fmt: skip
    terms = Terms(full, ACTIONS[on_update], ACTIONS[on_delete], *rest[:5])
    return ForeignKey(schema, table, name, columns, End(*other, there), terms, *rest[5:])


def read_column_indexes(connection: BaseDatabaseWrapper, table: Table) -> dict[str, ColumnIndex]:
    """By name, the indexes of a table over columns alone, those of its constraints too."""
    rows = asking.query(connection, COLUMN_INDEXES, [table.oid])
    found = (make_column_index(table, *row) for row in rows)
    return {index.name: index for index in found}


def make_column_index(
    table: Table, name: str, method: str, unique: bool, keys: str, included: list[str], distinct: bool,
    options: str | None, *constraint: Any,
) -> ColumnIndex:  # fmt: skip
    columns = tuple(
        IndexKey(
            column=key["column"],
            collation=tuple(key["collation"] or ()),
            opclass=tuple(key["opclass"]),
            options=key["options"] or {},
            descending=key["descending"],
            nulls_first=key["nulls_first"],
        )
        for key in json.loads(keys)
    )
    set_options = json.loads(options or "{}")
    place = table.schema, table.name, name
    return ColumnIndex(*place, method, unique, columns, tuple(included), distinct, set_options, *constraint)


def is_validated(connection: BaseDatabaseWrapper, schema: str, table: str, constraint: str) -> bool | None:
    """Whether a constraint's rows have been looked at; None where there is none of the name."""
    question = (
        "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) "
        "AND conname = %s"
    )
    return next(iter(asking.column(connection, question, [schema, table, constraint])), None)


def read_base(connection: BaseDatabaseWrapper, view: Table) -> tuple[str, str] | None:
    """Schema and name of the one table or view that a view reads; None where it reads none or several."""
    found = asking.query(connection, BASE, [view.oid])
    return found[0] if len(found) == 1 else None


def read_owned_sequences(connection: BaseDatabaseWrapper, table: Table) -> set[tuple[str, str, str]]:
    """(column, schema, name) of each sequence that goes with a column of the table."""
    return set(asking.query(connection, OWNED, [table.oid]))


def find_uncalled(connection: BaseDatabaseWrapper, names: str) -> list[tuple[str, str]]:
    """Schema and name of each trigger function, called like this regular expression, that no trigger calls any more and
    that this connection's role may drop.
    """
    return asking.fetch(connection, UNCALLED, [names])


def own_settings(connection: BaseDatabaseWrapper) -> list[str]:
    """Statements that set in another session what this one has set for itself, before rehome sets anything."""
    return [statement for (statement,) in asking.fetch(connection, OWN_SETTINGS)]


def read_validity(connection: BaseDatabaseWrapper, table: Table, index: str) -> bool | None:
    """Whether an index is valid, unlike what a failed concurrent build leaves; None where there is none."""
    return next(iter(asking.column(connection, INDEX, [table.oid, index])), None)
