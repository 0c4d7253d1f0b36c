"""Holds a copy back while the server has other things to do; a signal that can't be read counts as too high."""

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from django.db import DatabaseError, DataError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import Refused
from rehome.postgres import asking, conf, holders, settings
from rehome.postgres.session import Session

POLL_S = 1.0
WRITERS_SEEN_FOR_S = 2.0
"""Sessions report what they wrote about once a second."""

# A role that may not see another's session sees its pid, but neither state nor kind; a background worker has no state.
SESSIONS = """
SELECT count(*) FILTER (WHERE state = 'active'),
       count(*) FILTER (WHERE state IS NULL AND backend_type IS NULL OR state = 'disabled')
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND leader_pid IS DISTINCT FROM pg_backend_pid()
"""

# Base backups and archivers replay nothing.
LAG = """
SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)),
       count(*) FILTER (WHERE replay_lsn IS NULL AND write_lsn IS NULL),
       pg_size_bytes(%s), pg_size_pretty(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)))
  FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'
"""

# Everybody sees the locks of everybody, and a lock that a writer has or waits for says that it writes now.
WRITERS = """
SELECT (SELECT sum(pg_stat_get_tuples_inserted(t) + pg_stat_get_tuples_updated(t) + pg_stat_get_tuples_deleted(t))
          FROM unnest(%(tables)s::oid[]) AS t),
       (SELECT count(DISTINCT pid) FROM pg_locks
         WHERE relation = ANY(%(tables)s::oid[]) AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid())
"""
MOST_WRITERS = 3
"""Beside how many the copy still slows down. It keeps a quarter of the time, or it would never end."""


class Courtesy:
    """Makes the copy one writer among others: while n sessions write to the tables, it takes 1/(n+1) of the time.

    Without any there is no pause. A session is counted while its transaction is open, so the largest number that was
    seen of late stands for those that were between two transactions.
    """

    def __init__(self, session: Session, tables: Iterable[int]) -> None:
        self.session = session
        self.tables = list(tables)
        self.written = None
        self.seen: collections.deque[tuple[float, int]] = collections.deque()
        """When writers were seen in the last seconds, and how many."""
        self.began = time.monotonic()

    @property
    def writers(self) -> int:
        """How many write, as far as it was seen at the last pause."""
        return max((number for _, number in self.seen), default=0)

    def pause(self) -> None:
        """Between two batches: as long as the last one took, for each session that writes."""
        now = time.monotonic()
        ((written, writing),) = self.session.rows(WRITERS, {"tables": self.tables})
        if writing or self.written not in (None, written):
            self.seen.append((now, min(max(writing, 1), MOST_WRITERS)))
        self.written = written
        while self.seen and now - self.seen[0][0] >= WRITERS_SEEN_FOR_S:
            self.seen.popleft()
        if self.writers:
            # Not for anything: this is the time that they get.
            time.sleep(self.writers * (now - self.began))

    def resume(self) -> None:
        """Call it before the next batch: what was waited for since the pause is no part of it."""
        self.began = time.monotonic()


def wait(session: Session, say: Callable[[str], object]) -> None:
    """Return once nothing is too high; `say` is called with the reason again and again until then."""
    while reason := too_high(session):
        say(reason)
        time.sleep(POLL_S)  # Neither load nor lag tells when it has fallen.


def too_high(session: Session) -> str:
    """What to wait for; empty when there is nothing."""
    return too_many_sessions(session) or too_much_lag(session)


def too_many_sessions(session: Session) -> str:
    limit = conf.max_sessions()
    if limit is None:
        return ""
    ((active, hidden),) = session.rows(SESSIONS)
    if hidden:
        return (
            f"{hidden} sessions whose state this role can't see "
            "(GRANT pg_read_all_stats shows them; track_activities = off hides them)"
        )
    return f"{active} active sessions, more than {limit} (REHOME_MAX_SESSIONS)" if active > limit else ""


def too_much_lag(session: Session) -> str:
    limit = conf.max_lag()
    if limit is None:
        return ""
    try:
        ((lag, hidden, allowed, pretty),) = session.rows(LAG, [limit])
    except DataError as error:
        raise Refused(f"REHOME_MAX_LAG is {limit!r}, which is no size.", "Set it to one, such as 64MB.") from error
    if hidden:
        return f"{hidden} replicas whose position this role can't see (GRANT pg_read_all_stats shows them)"
    return f"a replica that is {pretty} behind, more than {limit} (REHOME_MAX_LAG)" if (lag or 0) > allowed else ""


@contextlib.contextmanager
def watched(connection: BaseDatabaseWrapper, say: Callable[[str], object]) -> Iterator[None]:
    """Until the block ends, call `say` with the sessions that the statement of `connection` waits for."""
    pid = asking.value(connection, "SELECT pg_backend_pid()")
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(connection, pid, say, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def watch(connection: BaseDatabaseWrapper, pid: int, say: Callable[[str], object], ended: threading.Event) -> None:
    onlooker = connection.copy()
    # Without a second connection, because there are too many already, the work continues and nothing is said.
    with contextlib.suppress(DatabaseError), contextlib.closing(onlooker), settings.own(onlooker, held=True):
        while not ended.wait(POLL_S):
            if blocking := holders.blocking(onlooker, pid):
                say(blocking)
