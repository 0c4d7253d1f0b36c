"""The server: room on its disk, room for keys and transactions, and settings that a move should not meet."""

from collections.abc import Iterator

from psycopg import sql

from rehome.ops import space
from rehome.ops.readiness.day import Day
from rehome.ops.readiness.line import Line, no, ok, unknown
from rehome.ops.readiness.proofs import NO_MOVE
from rehome.ops.rehearsal import page, sampling
from rehome.ops.servers import Session

FREE = 1.5
"""How much more than was needed in the rehearsal has to be free."""
FULL = 0.8
"""The share of its keys after which a table is not moved before its key is wider."""
DANGEROUS = {
    "fsync": "a crash of the machine could lose the database",
    "full_page_writes": "a crash of the machine could damage the database",
}
SAME = (
    *("shared_buffers", "maintenance_work_mem", "work_mem", "max_wal_size", "max_parallel_maintenance_workers"),
    *("synchronous_commit", "synchronous_standby_names", "wal_level", "archive_mode"),
)
"""What decides how long a move takes."""

KEYS = """
SELECT a.attname, format_type(a.atttypid, NULL),
       (SELECT s.seqmax FROM pg_sequence s WHERE s.seqrelid = pg_get_serial_sequence(%(table)s, a.attname)::regclass),
       pg_get_serial_sequence(%(table)s, a.attname)
  FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY(x.indkey)
 WHERE x.indrelid = %(table)s::regclass AND x.indisprimary
   AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
"""
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
AGES = """
SELECT c.oid::regclass::text, age(c.relfrozenxid), mxid_age(c.relminmxid),
       current_setting('autovacuum_freeze_max_age')::int, current_setting('autovacuum_multixact_freeze_max_age')::int
  FROM pg_class c WHERE c.oid IN (SELECT to_regclass(given) FROM unnest(%s::text[]) AS given)
"""
DATABASE_AGE = """
SELECT greatest(age(datfrozenxid), mxid_age(datminmxid)) FROM pg_database WHERE datname = current_database()
"""
WRAPAROUND = 1_000_000_000
"""Half of what a server can still number before it stops taking writes."""


def disk(day: Day) -> Line:
    """SQL knows no free disk: only where the server's folder is here can it be asked."""
    if not day.moves:
        return ok("disk", NO_MOVE)
    found = day.rehearsal
    forward = found.stage("forward") if found else None
    if forward is None:
        return unknown("disk", "what the move needs was not measured", "Rehearse it: `manage.py rehearsemoves`.")
    needed = int((forward.disk + forward.wal) * FREE)
    with sampling.reading(day.server) as session:
        free = space.free(session)
    parts = f"{page.size(forward.disk)} of tables, {page.size(forward.wal)} of log, and a half"
    told = f"the move needs {page.size(needed)}: {parts}"
    if free is None:
        return unknown("disk", told, "Look at the server's disk with `df -h`, and run this again with --accept disk.")
    if free < needed:
        return no("disk", f"{told}; {page.size(free)} are free", "Free space on the server's disk, or make it larger.")
    return ok("disk", f"{told}; {page.size(free)} are free")


def keys(day: Day) -> Line:
    """Both tables number their rows in common, so the narrower one decides."""
    with sampling.reading(day.server) as session:
        shares = [share for pair in day.pairs for share in read_shares(session, pair)]
    full = [(share, told) for share, told in shares if share >= FULL]
    if full:
        todo = "Make the key, and every foreign key to it, a bigint before the move."
        return no("keys", "; ".join(told for _, told in full), todo)
    if not shares:
        return ok("keys", "no key of these tables is a number")
    return ok("keys", f"the fullest is {max(shares)[1]}")


def read_shares(session: Session, pair: tuple[str, str]) -> Iterator[tuple[float, str]]:
    used, limits = 0, []
    for table in filter(None, pair):
        for column, kind, seqmax, sequence in session.execute(KEYS, {"table": table}).fetchall():
            used = max(used, largest(session, table, column), last_of(session, sequence))
            limits.append((min(LARGEST[kind], seqmax or LARGEST[kind]), f"{table}.{column} ({kind})"))
    if limits:
        limit, told = min(limits)
        yield used / limit, f"{told}, {100 * used / limit:.0f} % used"


def largest(session: Session, table: str, column: str) -> int:
    query = sql.SQL("SELECT coalesce(max({}), 0) FROM {}").format(sql.Identifier(column), sql.SQL(table))
    (found,) = session.execute(query).fetchone() or (0,)
    return int(found)


def last_of(session: Session, sequence: str | None) -> int:
    if sequence is None:
        return 0
    (found,) = session.execute("SELECT coalesce(pg_sequence_last_value(%s::regclass), 0)", [sequence]).fetchone() or (
        0,
    )
    return int(found)


def wraparound(day: Day) -> Line:
    """A vacuum against it gives way to nobody, so it must not begin during the move."""
    with sampling.reading(day.server) as session:
        found = session.execute(AGES, [day.tables]).fetchall()
        (age,) = session.execute(DATABASE_AGE).fetchone() or (0,)
    old = [table for table, xids, mxids, most_xids, most_mxids in found if xids > most_xids or mxids > most_mxids]
    if old:
        what = f"{', '.join(old)} will be vacuumed against wraparound, which would block the move"
        return no("wraparound", what, f"Run VACUUM (FREEZE) {', '.join(old)}, and wait until it has ended.")
    if age > WRAPAROUND:
        return no(
            "wraparound", f"the database is {age:,} transactions old", "Run VACUUM (FREEZE) on the whole database."
        )
    return ok("wraparound", f"the database is {age:,} transactions old")


def settings(day: Day) -> Line:
    own = day.facts.settings
    if day.where.in_recovery:
        return no("settings", "this server is a standby, on which nothing can be migrated", "Run it on the primary.")
    if own.get("transaction_read_only") == "on" or own.get("default_transaction_read_only") == "on":
        return no("settings", "default_transaction_read_only is on", "Turn it off for the role that migrates.")
    if wrong := [name for name in DANGEROUS if own.get(name) == "off"]:
        what = "; ".join(f"{name} is off: {DANGEROUS[name]}" for name in wrong)
        return no("settings", what, f"Run ALTER SYSTEM RESET {wrong[0]} and SELECT pg_reload_conf().")
    if day.rehearsal and day.rehearsal.copy:
        there = day.rehearsal.copy.settings
        others = [
            f"{name} {own.get(name)}, rehearsed {there.get(name)}" for name in SAME if own.get(name) != there.get(name)
        ]
        if others:
            todo = "Set the rehearsal's server alike and rehearse again; or --accept settings."
            return unknown("settings", "; ".join(others), todo)
    return ok(
        "settings", "none that a move should not meet" + (", and those of the rehearsal" if day.rehearsal else "")
    )
