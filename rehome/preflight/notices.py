"""What stays with the old table and does no harm there: a sentence for each, with what to do."""

import functools
import re
from collections.abc import Iterator

from rehome.parts.matching import Counterparts
from rehome.plan.plan import Plan, TablePair
from rehome.postgres import catalog
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import PREFIX, Table

VIEWS = """
SELECT DISTINCT v.oid::regclass::text
  FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
 WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %s
   AND v.oid <> d.refobjid
 ORDER BY 1
"""

FUNCTIONS = """
SELECT p.oid::regprocedure::text
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE NOT starts_with(p.proname, %(ours)s) AND p.pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
   AND (l.lanname NOT IN ('c', 'internal') AND p.prosrc ~ %(word)s
        OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                      AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s))
 ORDER BY 1
"""

PUBLICATIONS = """
SELECT pubname FROM pg_publication_tables AS source WHERE (schemaname, tablename) = (%s, %s)
   AND NOT EXISTS (SELECT FROM pg_publication_tables AS target
                    WHERE target.pubname = source.pubname AND (schemaname, tablename) = (%s, %s))
 ORDER BY 1
"""

PUBLISHED = "SELECT p.pubname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE prrelid = %s"

REPLICA_IDENTITY = """
SELECT CASE relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'USING INDEX' END FROM pg_class
 WHERE oid = %s AND relreplident NOT IN ('d', (SELECT relreplident FROM pg_class WHERE oid = %s))
"""

OPTIONS = """
SELECT option FROM pg_class, unnest(reloptions) AS option WHERE oid = %s
EXCEPT SELECT option FROM pg_class, unnest(reloptions) AS option WHERE oid = %s
 ORDER BY 1
"""


def find(plan: Plan) -> list[str]:
    """One sentence for each thing, with its remedy; reads the catalog alone."""
    return [notice for pair in plan.pairs for notice in find_in(pair, plan)]


def find_in(pair: TablePair, plan: Plan) -> Iterator[str]:
    names = functools.partial(catalog.column, plan.connection)
    source, target = pair.source, pair.target
    for view in names(VIEWS, [source.oid]):
        yield f"view {view} reads {source}; create it again over {target} before the old table goes."
    for function in names(FUNCTIONS, word(source, source.oid)):
        yield f"function {function} names {source}; let it name {target} before the old table goes."
    for publication in names(PUBLICATIONS, [source.schema, source.name, target.schema, target.name]):
        yield (
            f"publication {publication} sends what is written to {source}; for subscribers of the new table run "
            f"ALTER PUBLICATION {readable(publication)} ADD TABLE {place(target)}."
        )
    for identity in names(REPLICA_IDENTITY, [source.oid, target.oid]):
        yield f"{source} has REPLICA IDENTITY {identity}; give {target} the same with ALTER TABLE."
    if options := names(OPTIONS, [source.oid, target.oid]):
        yield (
            f"{source} has storage parameters of its own; run "
            f"ALTER TABLE {place(target)} SET ({', '.join(options)}) if they were meant for the rows."
        )


def word(table: Table, oid: int) -> dict[str, object]:
    """To look for functions that have the table's name in their body, or depend on `oid`."""
    return {"word": rf"\m{re.escape(table.name)}\M", "ours": PREFIX, "oid": oid}


def find_in_place(pair: TablePair, found: Counterparts, plan: Plan) -> Iterator[str]:
    """What a renamed table keeps, and may be a surprise under its new name."""
    source, target = pair.source, pair.target
    for part in found.own:
        yield f"{part} of {source} stays under its name, for {target} had no such definition."
    for function in catalog.column(plan.connection, FUNCTIONS, word(source, 0)):
        yield f"function {function} names {source}, a view by now; let it name {target} before the view goes."
    for publication in catalog.column(plan.connection, PUBLISHED, [source.oid]):
        yield (
            f"publication {publication} sends what is written to {source} under the name {target} by now; rename the "
            "table of each subscriber too."
        )
