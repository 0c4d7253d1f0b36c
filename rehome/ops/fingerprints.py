"""What a database holds, in few numbers: rows and a checksum of every table, sequences, and how many objects of each
kind. Computed by the server; no row comes here.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from psycopg import sql

from rehome.ops.servers import Session

PROBE = "rehome"
"""A text whose hash says whether another server computes the same ones."""
OF_PROJECT = """
  n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(temp|toast_temp)_'
  AND NOT EXISTS (SELECT FROM pg_depend d
                   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
TABLES = """
SELECT n.nspname, c.relname, pg_relation_size(c.oid),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
              ORDER BY a.attname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {of_project}
   AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())
 ORDER BY n.nspname, c.relname
""".replace("{of_project}", OF_PROJECT)
SEQUENCES = """
SELECT format('%I.%I', n.nspname, c.relname), s.seqstart, s.seqincrement, n.nspname, c.relname
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relpersistence <> 't' AND {of_project}
 ORDER BY 1
""".replace("{of_project}", OF_PROJECT)
OBJECTS = """
SELECT kind, count(*) FROM (
  SELECT CASE c.relkind WHEN 'r' THEN 'tables' WHEN 'p' THEN 'partitioned tables' WHEN 'v' THEN 'views'
           WHEN 'm' THEN 'materialized views' WHEN 'f' THEN 'foreign tables' WHEN 'S' THEN 'sequences'
           ELSE 'indexes' END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I') AND c.relpersistence <> 't' AND {of_project}
     AND NOT (c.relkind IN ('i', 'I') AND EXISTS (
           SELECT FROM pg_index x JOIN pg_depend d ON d.objid = x.indrelid AND d.deptype = 'e'
            WHERE x.indexrelid = c.oid AND d.classid = 'pg_class'::regclass))
  UNION ALL
  SELECT CASE k.contype WHEN 'p' THEN 'primary keys' WHEN 'u' THEN 'unique constraints' WHEN 'f' THEN 'foreign keys'
           WHEN 'c' THEN 'checks' ELSE 'exclusion constraints' END
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE k.contype IN ('p', 'u', 'f', 'c', 'x') AND {of_project}
  UNION ALL
  SELECT 'triggers' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE NOT t.tgisinternal AND {of_project}
  UNION ALL
  SELECT 'policies' FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE {of_project}
  UNION ALL
  SELECT 'functions' FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace
   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(temp|toast_temp)_'
     AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = c.oid AND d.deptype = 'e')
) AS found (kind) GROUP BY kind
""".replace("{of_project}", OF_PROJECT)
LARGE_OBJECTS = "SELECT count(*) FROM pg_largeobject_metadata"
LARGE_OBJECTS_SUM = (
    "SELECT coalesce(sum(hashtextextended(oid || ' ' || md5(lo_get(oid)), 0)), 0)::text FROM pg_largeobject_metadata"
)

Told = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Of one database at one moment."""

    tables: Mapping[str, tuple[int, str]]
    """By its quoted name, the rows of a table and their checksum."""
    sequences: Mapping[str, tuple[int, int]]
    """How often each would have been drawn from to come where it was before and after the tables were read: another
    session draws from one meanwhile, and no snapshot holds it.
    """
    objects: Mapping[str, int]
    """How many there are of each kind."""
    probe: str

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.tables.values())

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Fingerprint":
        pairs = {name: {one: tuple(pair) for one, pair in data[name].items()} for name in ("tables", "sequences")}
        return cls(pairs["tables"], pairs["sequences"], data["objects"], data["probe"])


def take(session: Session, told: Told = lambda table: None) -> Fingerprint:
    """In the transaction that is open, whose snapshot counts; `told` is called with the name of each table."""
    # A policy must not hide rows, nor a limit end it; several workers of the server help where it has them.
    for name, value in (("row_security", "off"), ("statement_timeout", "0"), ("jit", "off")):
        session.execute("SELECT set_config(%s, %s, true)", [name, value])
    before = read_sequences(session)
    tables = dict(read_tables(session, told))
    objects = {str(kind): int(number) for kind, number in session.execute(OBJECTS)}
    (probe,) = session.execute("SELECT hashtextextended(%s, 0)::text", [PROBE]).fetchone() or ("",)
    return Fingerprint(tables, {name: (drawn, drawn) for name, drawn in before.items()}, objects, probe)


def with_sequences(fingerprint: Fingerprint, before: Mapping[str, int], session: Session) -> Fingerprint:
    """The same, with where the sequences were before, and where they are now: whoever read them in between has read
    something between.
    """
    later = read_sequences(session)
    pairs = {name: (first, later.get(name, first)) for name, first in before.items()}
    return dataclasses.replace(fingerprint, sequences=pairs)


def read_tables(session: Session, told: Told) -> Iterable[tuple[str, tuple[int, str]]]:
    for schema, table, _, columns in session.execute(TABLES).fetchall():
        name = sql.Identifier(schema, table)
        told(f"{schema}.{table}")
        row = sql.SQL(", ").join(sql.Identifier("t", column) for column in columns)
        query = sql.SQL(
            'SELECT count(*), coalesce(sum(hashtextextended(ROW({})::text COLLATE "C", 0)), 0)::text FROM ONLY {} AS t'
        ).format(row, name)
        yield name.as_string(), session.execute(query).fetchone()  # type: ignore[misc]
    (number,) = session.execute(LARGE_OBJECTS).fetchone() or (0,)
    if number:
        (checksum,) = session.execute(LARGE_OBJECTS_SUM).fetchone() or ("",)
        yield "large objects", (number, checksum)


def read_sequences(session: Session) -> dict[str, int]:
    """How often each would have been drawn from since its start."""
    found = {}
    for name, start, increment, schema, sequence in session.execute(SEQUENCES).fetchall():
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, sequence))
        last, called = session.execute(query).fetchone() or (start, False)
        found[name] = (last - start) // increment + called
    return found


def differences(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """A sentence for each; empty where nothing differs."""
    if expected.probe != found.probe:
        return ["This server computes other checksums than the one that was dumped, so that rows can't be compared."]
    return [
        *differences_of_tables(expected.tables, found.tables),
        *differences_of_sequences(expected.sequences, found.sequences),
        *(
            f"{kind}: {expected.objects.get(kind, 0)} expected, {found.objects.get(kind, 0)} found"
            for kind in sorted({*expected.objects, *found.objects})
            if expected.objects.get(kind, 0) != found.objects.get(kind, 0)
        ),
    ]


def differences_of_tables(
    expected: Mapping[str, tuple[int, str]], found: Mapping[str, tuple[int, str]]
) -> Iterable[str]:
    for name in sorted({*expected, *found}):
        if name not in found:
            yield f"{name} is missing"
        elif name not in expected:
            yield f"{name} was not there"
        elif expected[name][0] != found[name][0]:
            yield f"{name}: {expected[name][0]:,} rows expected, {found[name][0]:,} found"
        elif expected[name] != found[name]:
            yield f"{name}: as many rows, {found[name][0]:,}, with other values"


def differences_of_sequences(
    expected: Mapping[str, tuple[int, int]], found: Mapping[str, tuple[int, int]]
) -> Iterable[str]:
    for name, (first, last) in expected.items():
        drawn = found.get(name, (None, None))[0]
        if drawn is None:
            yield f"sequence {name} is missing"
        elif not min(first, last) <= drawn <= max(first, last):
            yield f"sequence {name}: drawn from {drawn:,} times, {first:,} expected"
