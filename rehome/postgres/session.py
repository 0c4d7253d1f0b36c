"""Runs SQL: transactions, timeouts, lock retries with backoff and jitter, and the one lock for moves."""

import collections
import contextlib
import dataclasses
import datetime
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.db import DatabaseError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import LockNotObtained, Refused
from rehome.postgres import catalog, conf, sql
from rehome.postgres.locks import PATIENT_MS
from rehome.postgres.sql import Statement
from rehome.postgres.states import RETRIED, TOO_LONG, state_of

LONGEST_PAUSE_S = 2.0
TRIES_IN_SILENCE = 3

MORE_MEMORY = sql.SQL(
    "SELECT set_config('maintenance_work_mem', '256MB', true) "
    "WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes('256MB')"
)
TIMEOUTS = ["statement_timeout", "lock_timeout", "transaction_timeout", "idle_in_transaction_session_timeout"]
"""None of these may end a move halfway; the third came with PostgreSQL 17."""
ONE_MOVE = 0x7265686F6D65
"""Key of the advisory lock, "rehome" in ASCII."""

Result = TypeVar("Result")

# A role that isn't a monitor sees of another role's session the pid, the user and the application alone.
HOLDERS = """
SELECT format('pid %%s (%%s) uses %%s', a.pid,
         concat_ws(', ', nullif(a.application_name, ''), 'user ' || a.usename, a.state,
                   'since ' || to_char(a.xact_start, 'HH24:MI:SS')),
         string_agg(DISTINCT l.relation::regclass::text, ', '))
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.relation::bigint = ANY(%s) AND l.granted AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY a.pid, a.application_name, a.usename, a.state, a.xact_start
 ORDER BY a.xact_start LIMIT 3
"""

RUNNING = """
SELECT format('pid %%s (%%s)', a.pid,
         concat_ws(', ', nullif(a.application_name, ''), 'user ' || a.usename,
                   'connected since ' || to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS')))
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32 | l.objid::bigint) = %s
"""

CHANGE_SETTINGS = """
SELECT name, setting, set_config(name, value, false)
  FROM pg_settings JOIN unnest(%s::text[], %s::text[]) AS wanted (name, value) USING (name)
"""


@dataclasses.dataclass(frozen=True)
class Group:
    """Statements that succeed or fail together."""

    statements: Sequence[Statement]
    alone: bool = False
    """Whether they can't be run in a transaction."""
    patient: bool = False
    """Whether they keep no writer waiting while they wait themselves: they outlast an autovacuum."""
    unless: Callable[[], bool] | None = None
    """Asked before they are run: they are left out where it says so."""
    note: str = ""
    """When they are run, for a person who reads them."""


class Session:
    """Statements of one move on one connection."""

    def __init__(self, connection: BaseDatabaseWrapper, tables: Iterable[int] = ()) -> None:
        self.connection = connection
        self.tables = list(tables)
        """Whose lock holders are named when a lock is not obtained."""
        self.retries: collections.Counter[str] = collections.Counter()
        """How often something was tried again, by what had stopped it."""
        self.waits: Callable[[str], object] = lambda reason: None
        """Called with what is being waited for."""

    @contextlib.contextmanager
    def only_move(self, move: str) -> Iterator[None]:
        """Hold the database's one lock for moves until the block ends; a lost connection frees it.

        The connection is named after `move` meanwhile, so that everybody can see whose it is. Raises Refused, naming
        the process that holds it.
        """
        if not catalog.value(self.connection, "SELECT pg_try_advisory_lock(%s)", [ONE_MOVE]):
            who = self.running_move() or "a process that has ended by now"
            raise Refused(f"Another move is running in this database: {who}.", "Wait until it has ended.")
        name = f"rehome, since {datetime.datetime.now(datetime.UTC):%H:%M:%S} UTC: {move}"
        try:
            with self.without_timeouts(), self.settings(application_name=name[:63]):
                self.notice_lost_clients()
                yield
        finally:
            if self.connection.is_usable():
                self.rows("SELECT pg_advisory_unlock(%s)", [ONE_MOVE])

    def running_move(self) -> str | None:
        """Which session is at work on a move of this database now, and since when; None where there is none."""
        holder = self.rows(RUNNING, [ONE_MOVE])
        return holder[0][0] if holder else None

    @contextlib.contextmanager
    def settings(self, **values: str) -> Iterator[None]:
        """Change settings of this connection until the block ends; what this server does not know is left out."""
        before = self.rows(CHANGE_SETTINGS, [list(values), list(values.values())])
        try:
            yield
        finally:
            if self.connection.is_usable():
                self.rows(CHANGE_SETTINGS, [[name for name, _, _ in before], [value for _, value, _ in before]])

    def notice_lost_clients(self) -> None:
        """Let the server end what runs here soon after this process has died, instead of when it has an answer."""
        with contextlib.suppress(DatabaseError):  # Not every platform can tell; then it notices at the next answer.
            self.rows("SELECT set_config('client_connection_check_interval', '1s', false)")

    def without_timeouts(self) -> contextlib.AbstractContextManager[None]:
        """On this connection and until the block ends, no timeout that was set for it.

        Whatever keeps others waiting sets its own for locks; a concurrent build, which waits for them, has none.
        """
        return self.settings(**dict.fromkeys(TIMEOUTS, "0"))

    @contextlib.contextmanager
    def transaction(self, *, isolation: str = "READ COMMITTED") -> Iterator[None]:
        """A transaction that sees what others commit meanwhile, unless `isolation` says otherwise."""
        with transaction.atomic(using=self.connection.alias):
            # Otherwise a project's stricter level would keep the rows out that were committed before the lock.
            self.tune(isolation)
            yield

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """A read-only transaction in which every query sees the same moment."""
        with self.without_timeouts(), self.transaction(isolation="REPEATABLE READ, READ ONLY"):
            yield

    def tune(self, isolation: str) -> None:
        """Memory to sort a whole index, no compiler for expressions used once, an error where a policy hides rows."""
        level = sql.SQL(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        local = [sql.set_local(setting, "off") for setting in ("jit", "row_security")]
        self.execute_all([level, MORE_MEMORY, *local])

    def execute(self, statement: Statement) -> int:
        """Run one statement as it is; return the number of rows it touched."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement.as_string(), None)
            touched: int = cursor.rowcount
        return touched

    def execute_all(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            self.execute(statement)

    def rows(self, statement: str | Statement, params: Any = None) -> list[tuple[Any, ...]]:
        text = statement if isinstance(statement, str) else statement.as_string()
        return catalog.query(self.connection, text, params)

    def run(self, *statements: Statement) -> int:
        """Run statements as `attempt` runs a group; return the number of rows that they touched."""
        return self.attempt(lambda: sum(max(self.execute(statement), 0) for statement in statements))

    def run_group(self, group: Group) -> None:
        """Run a group as it says, which is like `run` unless it says otherwise."""
        if group.alone:
            self.execute_group(group)
        else:
            self.attempt(lambda: self.execute_group(group), lock_timeout_ms=PATIENT_MS if group.patient else None)

    def execute_group(self, group: Group) -> None:
        """Run its statements in the transaction that is open, or in none."""
        self.execute_all(group.statements)

    def attempt(self, group: Callable[[], Result], *, lock_timeout_ms: int | None = None) -> Result:
        """Call `group` all or nothing, and again while a lock that its statements ask for is not granted.

        Inside a transaction the group is a savepoint; otherwise it is a transaction of its own. Raises
        LockNotObtained after the last try.
        """
        timeout = lock_timeout_ms or conf.lock_timeout_ms()

        def once() -> Result:
            with transaction.atomic(using=self.connection.alias):
                # Set on each try: a rollback forgets it.
                self.execute(sql.set_local("lock_timeout", timeout))
                return group()

        return self.retry(once, lock_timeout_ms=timeout)

    def retry_transaction(self, group: Callable[[], Result], *, isolation: str = "READ COMMITTED") -> Result:
        """Like `attempt`, but each try is a transaction of its own that sees what others commit meanwhile, unless
        `isolation` says otherwise, and lets go of every lock that it has. `group` sets its `lock_timeout`.
        """

        def once() -> Result:
            with self.transaction(isolation=isolation):
                return group()

        return self.retry(once, lock_timeout_ms=conf.lock_timeout_ms())

    def retry(
        self, attempt: Callable[[], Result], *, lock_timeout_ms: int, too_long: Callable[[], object] | None = None
    ) -> Result:
        """Call `attempt`, a transaction or savepoint of its own, again while another session stops it, with pauses
        between. With `too_long`, which is called then, a statement timeout is no failure either. Raises LockNotObtained
        after the last try.
        """
        known = RETRIED | (TOO_LONG if too_long else {})
        tries = conf.lock_tries()
        for count in range(1, tries + 1):
            try:
                return attempt()
            except OperationalError as error:
                state = state_of(error)
                if state not in known:
                    raise
                refusal = error
            self.retries[known[state]] += 1
            if too_long and state in TOO_LONG:
                too_long()
            if count == tries:
                break
            if count > TRIES_IN_SILENCE:
                self.waits(f"a lock: {self.holders()}")
            # Jitter keeps two sessions from meeting again at each of their tries.
            time.sleep(random.random() * min(LONGEST_PAUSE_S, 0.01 * 2**count))  # noqa: S311
        raise LockNotObtained(
            f"A lock was not granted in {tries} tries of {lock_timeout_ms} ms: {self.holders()}. "
            "End that transaction, or run the command again later."
        ) from refusal

    def holders(self) -> str:
        holders = catalog.column(self.connection, HOLDERS, [self.tables])
        return "; ".join(holders) or "the session that held it has gone by now"
