"""Looks at what one session holds and waits for, from a second connection, and what a span of such looks says."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import one_line
from rehome.ops.rehearsal.report import Lock
from rehome.postgres import asking, holders, pooling, settings

EVERY_S = 0.1
SLOWER = 1000
"""A run that takes long is looked at less often, so that its looks stay few: never more than one in so many parts."""

# What keeps a writer waiting; the last one keeps a reader waiting as well.
HELD = """
SELECT format('%%I.%%I', n.nspname, c.relname), bool_or(l.mode = 'AccessExclusiveLock')
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE l.pid = %s AND l.granted AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'v', 'm')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
   AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
 GROUP BY 1
"""
KNOWN = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
DOING = """
SELECT coalesce(a.state, ''), coalesce(a.wait_event_type, ''), coalesce(a.wait_event, ''),
       coalesce((SELECT extract(epoch FROM clock_timestamp() - min(l.waitstart))::float8
                   FROM pg_locks l WHERE l.pid = a.pid AND NOT l.granted), 0)
  FROM pg_stat_activity a WHERE a.pid = %s
"""
SIZE = "SELECT pg_database_size(current_database())"
LOG = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"


@dataclasses.dataclass(frozen=True)
class Look:
    at: float
    """By the clock of `time.monotonic`."""
    held: frozenset[tuple[str, bool]]
    """(table, False) for each that others can't write to, and (table, True) for each that they can't read."""
    waited: float
    """How long the session has waited so far for a lock that it is not granted; 0 where it waits for none."""
    doing: str
    """What it waits for besides locks, as PostgreSQL names it: `IO DataFileRead`; empty where it computes."""
    size: int = 0


class Onlooker:
    """Looks again and again, from a thread of its own, until its block ends."""

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        *,
        every_s: float = EVERY_S,
        sizes: bool = False,
        looked: Callable[[Look, "Onlooker"], object] | None = None,
    ) -> None:
        self.connection = connection
        self.every_s = every_s
        self.sizes = sizes
        """Whether the size of the database is looked at as well, for which every file of it is."""
        self.looked = looked
        self.looks: list[Look] = []
        self.known: frozenset[str] = frozenset()
        """Tables that were there when looking began: nobody uses those that come later yet."""
        self.problem = ""
        """Why looking ended early."""
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> "Onlooker":
        self.began = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.ended.set()
        self.thread.join()

    @property
    def pid(self) -> int | None:
        driver = self.connection.connection
        return None if driver is None or driver.closed else pooling.known_process(driver)

    def run(self) -> None:
        """Where there are too many connections already, nothing is seen, and the work continues."""
        self.own = self.connection.copy()  # Here, for Django lets the thread alone use it that made it.
        try:
            with contextlib.closing(self.own), settings.own(self.own, held=True):
                self.known = frozenset(asking.column(self.own, KNOWN))
                while not self.ended.wait(max(self.every_s, (time.monotonic() - self.began) / SLOWER)):
                    if (pid := self.pid) is not None:
                        self.looks.append(self.look(pid))
                        if self.looked:
                            self.looked(self.looks[-1], self)
        except DatabaseError as error:
            self.problem = one_line(error)

    def look(self, pid: int) -> Look:
        held = asking.query(self.own, HELD, [pid])
        found = asking.query(self.own, DOING, [pid])
        state, kind, event, waited = found[0] if found else ("", "", "", 0.0)
        doing = "Client ClientRead" if state.startswith("idle") else f"{kind} {event}".strip()
        size = asking.value(self.own, SIZE) if self.sizes else 0
        # Whoever keeps readers out keeps writers out, too.
        keys = {(table, one) for table, closed in held if table in self.known for one in (False, closed)}
        return Look(time.monotonic(), frozenset(keys), waited, doing, size)

    def blocking(self) -> str:
        """Whom the session waits for; only from within `looked`, for the connection is the thread's."""
        return holders.blocking(self.own, self.pid) if self.pid else ""


def between(looks: Sequence[Look], began: float, ended: float) -> list[Look]:
    return [look for look in looks if began <= look.at <= ended]


def locks(looks: Sequence[Look]) -> tuple[Lock, ...]:
    """By table and by whom it keeps out, the longest time that it was held from one look to the next that lacks it."""
    longest: dict[tuple[str, bool], float] = {}
    since: dict[tuple[str, bool], float] = {}
    for look in looks:
        for gone in since.keys() - look.held:
            note(longest, gone, look.at - since.pop(gone))
        for key in look.held:
            since.setdefault(key, look.at)
    for key, at in since.items():
        note(longest, key, looks[-1].at - at)
    return tuple(
        Lock(table, "everybody" if closed else "writers", round(seconds, 2))
        for (table, closed), seconds in sorted(longest.items(), key=lambda one: (-one[1], one[0]))
        if closed or longest.get((table, True)) != seconds
    )


def note(longest: dict[Any, float], key: Any, seconds: float) -> None:
    longest[key] = max(seconds, longest.get(key, 0.0))


def waited(looks: Iterable[Look]) -> float:
    """The longest wait for one lock."""
    return round(max((look.waited for look in looks), default=0.0), 2)


def waited_in_all(looks: Sequence[Look]) -> float:
    pairs: Iterator[tuple[Look, Look]] = zip(looks, looks[1:], strict=False)
    return round(sum((after.at - before.at for before, after in pairs if after.waited), 0.0), 2)


def growth(looks: Sequence[Look], before: int) -> int:
    return max((look.size - before for look in looks), default=0)
