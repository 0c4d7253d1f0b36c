"""Says what a long statement waits for, seen from a second connection."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome import catalog

POLL_S = 1.0

# Another role's session shows its pid, its user and its application alone.
BLOCKERS = """
SELECT string_agg(format('pid %%s (%%s)', a.pid,
         concat_ws(', ', nullif(a.application_name, ''), 'user ' || a.usename, a.state,
                   'since ' || to_char(a.xact_start, 'HH24:MI:SS'))), '; ')
  FROM pg_stat_activity a WHERE a.pid = ANY(pg_blocking_pids(%s))
"""


@contextlib.contextmanager
def watched(connection: BaseDatabaseWrapper, say: Callable[[str], object]) -> Iterator[None]:
    """Until the block ends, call `say` with the sessions that the statement of `connection` waits for."""
    ((pid,),) = catalog.query(connection, "SELECT pg_backend_pid()")
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
    # Without a second connection, because there are too many already, the work goes on without a word.
    with contextlib.suppress(DatabaseError), contextlib.closing(onlooker):
        while not ended.wait(POLL_S):
            ((blockers,),) = catalog.query(onlooker, BLOCKERS, [pid])
            if blockers:
                say(blockers)
