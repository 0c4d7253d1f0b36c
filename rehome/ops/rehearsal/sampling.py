"""Who will be in a move's way: the sessions, replicas and slots of the source, looked at again and again, read only."""

import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence

from rehome.errors import one_line
from rehome.ops.rehearsal.report import Blocker, Follower, Program, Seen
from rehome.ops.servers import Server, Session
from rehome.postgres import conf

EVERY_S = 0.5
LONG_S = 5.0
"""A transaction that has lasted so long would stop some tries of a move for a lock."""
READ_ONLY = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"

# A role that is no monitor sees of others' sessions who they are and what they have locked, but not since when.
SESSIONS = """
SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''),
       coalesce(host(a.client_addr), a.client_hostname, 'local'),
       a.backend_xid IS NOT NULL,
       ARRAY(SELECT DISTINCT l.relation::regclass::text FROM pg_locks l
              WHERE l.pid = a.pid AND l.relation = ANY(%(tables)s::oid[]) AND l.locktype = 'relation'
                AND l.mode = 'RowExclusiveLock'),
       EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.relation = ANY(%(tables)s::oid[])
                  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                                 'AccessExclusiveLock')),
       a.application_name ~ '^pg_dump' OR EXISTS (SELECT FROM pg_stat_progress_copy p
                                                   WHERE p.pid = a.pid AND p.command = 'COPY TO'),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8,
       coalesce(a.state, ''),
       coalesce(a.state IS NULL AND a.backend_type IS NULL OR a.state = 'disabled', false),
       coalesce(a.backend_type, '') LIKE 'autovacuum%%'
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
   AND coalesce(a.leader_pid, a.pid) <> pg_backend_pid()
"""
PREPARED = """
SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts
 WHERE database = current_database()
"""
HERE = "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
REPLICAS = f"""
SELECT coalesce(nullif(application_name, ''), 'replica') || coalesce(' on ' || host(client_addr), ''),
       coalesce(pg_wal_lsn_diff({HERE}, coalesce(replay_lsn, flush_lsn, write_lsn)), -1)::bigint
  FROM pg_stat_replication
"""  # noqa: S608
SLOTS = f"""
SELECT slot_name::text, coalesce(pg_wal_lsn_diff({HERE}, restart_lsn), 0)::bigint, active FROM pg_replication_slots
 WHERE NOT temporary
"""  # noqa: S608
WRITTEN = """
SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables
 WHERE relid = ANY(%s::oid[])
"""
OIDS = "SELECT array_remove(array_agg(to_regclass(given)::oid), NULL) FROM unnest(%s::text[]) AS given"


@dataclasses.dataclass(frozen=True)
class Row:
    """One session at one moment."""

    pid: int
    application: str
    role: str
    host: str
    writes: bool
    tables: list[str]
    maintains: bool
    dumps: bool
    seconds: float
    state: str
    hidden: bool
    autovacuum: bool

    def __str__(self) -> str:
        name = self.application or "(no application_name)"
        return f"pid {self.pid} ({name}, user {self.role}, host {self.host}{f', {self.state}' if self.state else ''})"

    @property
    def program(self) -> tuple[str, str, str]:
        return self.application, self.role, self.host


class Sampling:
    """What has been seen so far."""

    def __init__(self, server: Server, tables: Sequence[str]) -> None:
        self.server = server
        self.tables = tables
        """Quoted names of those that move."""
        self.looks = 0
        self.began = time.monotonic()
        self.programs: dict[tuple[str, str, str], set[str]] = collections.defaultdict(set)
        self.counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
        self.blockers: dict[tuple[str, str], Blocker] = {}
        self.followers: dict[tuple[str, str], Follower] = {}
        self.hidden = 0
        self.problem = ""
        self.first = self.last = None

    # ----- one look

    def look(self, session: Session) -> None:
        (oids,) = session.execute(OIDS, [list(self.tables)]).fetchone() or (None,)
        rows = [Row(*row) for row in session.execute(SESSIONS, {"tables": oids or []}).fetchall()]
        self.hidden = max(self.hidden, sum(row.hidden for row in rows))
        for row in rows:
            self.note(row)
        for gid, owner, seconds in session.execute(PREPARED).fetchall():
            self.block(Blocker("prepared transaction", f"{gid!r} (user {owner})", round(seconds, 1)))
        for name, behind in session.execute(REPLICAS).fetchall():
            self.follow(Follower("replica", name, behind, active=True))
        for name, behind, active in session.execute(SLOTS).fetchall():
            self.follow(Follower("slot", name, behind, active=active))
        (self.last,) = session.execute(WRITTEN, [oids or []]).fetchone() or (0,)
        self.first = self.last if self.first is None else self.first
        self.looks += 1

    def note(self, row: Row) -> None:
        if (row.writes or row.tables) and not row.autovacuum:
            self.programs[row.program].update(row.tables)
            self.counts[row.program] += 1
        if row.dumps:
            self.block(Blocker("dump", str(row), round(row.seconds, 1)))
        elif row.maintains:
            self.block(Blocker("maintenance", str(row), round(row.seconds, 1)))
        elif row.seconds > LONG_S and not row.autovacuum:
            self.block(Blocker("long transaction", str(row), round(row.seconds, 1)))

    def block(self, blocker: Blocker) -> None:
        """The longest that was seen of each."""
        name = blocker.who.partition(",")[0]
        known = self.blockers.get((blocker.kind, name))
        if known is None or known.seconds <= blocker.seconds:
            self.blockers[blocker.kind, name] = blocker

    def follow(self, follower: Follower) -> None:
        known = self.followers.get((follower.kind, follower.name))
        behind = max(follower.behind, known.behind if known else 0)
        self.followers[follower.kind, follower.name] = dataclasses.replace(follower, behind=behind)

    # ----- many looks

    def until(self, ended: threading.Event) -> None:
        """A source that goes away meanwhile has been looked at as far as it went. Whatever ends it early is said, for
        nobody who looks on hears of what a thread raises.
        """
        try:
            with reading(self.server) as session:
                self.look(session)
                while not ended.wait(EVERY_S):
                    self.look(session)
                self.look(session)
        except Exception as error:  # noqa: BLE001  A thread that died in silence would have seen nobody.
            self.problem = one_line(error)

    @property
    def seen(self) -> Seen:
        written = (self.last or 0) - (self.first or 0)
        return Seen(
            looks=self.looks,
            seconds=round(time.monotonic() - self.began, 1),
            programs=tuple(
                Program(*program, tables=tuple(sorted(tables)), looks=self.counts[program])
                for program, tables in sorted(self.programs.items())
            ),
            written=written,
            unseen=0 if any(self.programs.values()) else written,
            hidden=self.hidden,
            problem=self.problem,
            blockers=tuple(sorted(self.blockers.values(), key=lambda one: -one.seconds)),
            followers=tuple(self.followers.values()),
        )


@contextlib.contextmanager
def reading(server: Server) -> Iterator[Session]:
    """A session in which nothing can be written, and which waits for no lock without an end."""
    with server.session() as session:
        session.execute(READ_ONLY)
        session.execute("SELECT set_config('lock_timeout', %s, false)", [f"{conf.patience_ms()}ms"])
        yield session


@contextlib.contextmanager
def sampled(server: Server, tables: Sequence[str]) -> Iterator[Sampling]:
    """Look from a thread of its own until the block ends."""
    sampling, ended = Sampling(server, tables), threading.Event()
    thread = threading.Thread(target=sampling.until, args=[ended], daemon=True)
    thread.start()
    try:
        yield sampling
    finally:
        ended.set()
        thread.join()


def look_for(server: Server, tables: Sequence[str], seconds: float) -> Seen:
    """What is seen within so many seconds."""
    with sampled(server, tables) as sampling:
        time.sleep(seconds)  # How long to look was asked for, and nothing ends it earlier.
    return sampling.seen
