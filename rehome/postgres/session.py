"""Runs SQL: transactions, timeouts, lock retries with backoff and jitter, and the one lock for moves."""

import collections
import contextlib
import dataclasses
import datetime
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.db import DatabaseError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Error as DriverError
from psycopg.pq import TransactionStatus

from rehome.errors import LockNotObtained, Refused
from rehome.postgres import asking, conf, holders, settings, sql
from rehome.postgres.locks import PATIENT_MS
from rehome.postgres.sql import Statement
from rehome.postgres.states import RETRIED, TOO_LONG, state_of

LONGEST_PAUSE_S = 2.0
LEFT_WITHIN_S = 2
"""How long a server is asked to end what is at work on a connection that is left."""
TRIES_IN_SILENCE = 3

MORE_MEMORY = sql.SQL(
    "SELECT pg_catalog.set_config('maintenance_work_mem', '256MB', true) "
    "WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) "
    "OPERATOR(pg_catalog.<) pg_catalog.pg_size_bytes('256MB')"
)
TIMEOUTS = ["statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"]
"""None of these may end a move halfway; the second came with PostgreSQL 17."""
ONE_MOVE = 0x7265686F6D65
"""Key of the advisory lock, "rehome" in ASCII."""

Result = TypeVar("Result")

STOPPED = {
    "lock timeout": "A lock was not granted in {tries} tries of {timeout} ms: {holders}. "
    "End that transaction, or run the command again later.",
    "deadlock": "In {tries} tries, this transaction and another waited for locks of each other: {holders}. Run the "
    "command again while fewer sessions write to these tables.",
    "serialization failure": "In {tries} tries, another session changed a row that this transaction had read and was "
    "to change: {holders}. Run the command again while fewer sessions write to these tables.",
    "statement timeout": "In {tries} tries, a statement took longer than its statement_timeout. Run the command again "
    "while the server has less to do.",
}
"""What is said after the last try, by what stopped most of them."""

RUNNING = """
SELECT a.pid, format('pid %%s (%%s)', a.pid,
         concat_ws(', ', nullif(a.application_name, ''), 'user ' || a.usename,
                   'connected since ' || to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS')))
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32 | l.objid::bigint) = %s
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
        self.alone = threading.RLock()
        """Held where no other thread's statement may come between some of this one's."""

    @contextlib.contextmanager
    def only_move(self, move: str) -> Iterator[None]:
        """Hold the database's one lock for moves until the block ends; a lost connection frees it.

        The connection is named after `move` meanwhile, so that everybody can see whose it is. Raises Refused, naming
        the process that holds it, or where a pooler would hand the lock on.
        """
        # In the transaction of a migration, it is that transaction's.
        within = self.connection.in_atomic_block
        settings.refuse_handed_on(self.connection)
        lock = "pg_try_advisory_xact_lock" if within else "pg_try_advisory_lock"
        if not asking.value(self.connection, f"SELECT {lock}(%s)", [ONE_MOVE]):
            raise self.another_runs()
        if within:
            yield
            return
        name = f"rehome, since {datetime.datetime.now(datetime.UTC):%H:%M:%S} UTC: {move}"
        try:
            with self.without_timeouts(), self.settings(application_name=name[:63]):
                self.notice_lost_clients()
                yield
        finally:
            if self.connection.is_usable():
                asking.query(self.connection, "SELECT pg_advisory_unlock(%s)", [ONE_MOVE])

    def running_move(self) -> str | None:
        """Which session is at work on a move of this database now, and since when; None where there is none."""
        holder = asking.query(self.connection, RUNNING, [ONE_MOVE])
        return holder[0][1] if holder else None

    def another_runs(self) -> Refused:
        """Whoever may connect can take the lock, as PostgreSQL gives nobody a right to one: so it tells how to end
        that.
        """
        for pid, who in asking.query(self.connection, RUNNING, [ONE_MOVE]):
            return Refused(
                f"Another move is running in this database: {who}.",
                f"Wait until it has ended; if it is no move, run SELECT pg_terminate_backend({pid}) as that role or as "
                "a superuser.",
            )
        return Refused("Another move was running in this database until just now.", "Run the command again.")

    @contextlib.contextmanager
    def settings(self, **values: str) -> Iterator[None]:
        """Change settings of this connection until the block ends; what this server does not know is left out."""
        before = settings.change(self.connection, values, local=False)
        try:
            with self.left_if_at_work():
                yield
        finally:
            if self.connection.is_usable():
                settings.change(self.connection, before, local=False)

    def notice_lost_clients(self) -> None:
        """Let the server end what runs here soon after this process has died, instead of when it has an answer."""
        with contextlib.suppress(DatabaseError):  # Not every platform can tell; then it notices at the next answer.
            settings.change(self.connection, {"client_connection_check_interval": "1000"}, local=False)

    def without_timeouts(self) -> contextlib.AbstractContextManager[None]:
        """On this connection and until the block ends, no timeout that was set for it, but one for locks: reading the
        catalog waits for one, too. Whatever keeps others waiting sets a shorter one.
        """
        return self.settings(**dict.fromkeys(TIMEOUTS, "0"), lock_timeout=f"{conf.patience_ms()}ms")

    def patient(self) -> contextlib.AbstractContextManager[None]:
        """Until the block ends, a lock is waited for as long as by all tries of a move together."""
        return self.settings(lock_timeout=f"{conf.patience_ms()}ms")

    @contextlib.contextmanager
    def transaction(self, *, isolation: str = "READ COMMITTED", first: Iterable[Statement] = ()) -> Iterator[None]:
        """A transaction that sees what others commit meanwhile, unless `isolation` says otherwise; `first` comes before
        its snapshot, so that what was committed before a lock is granted is seen. Within another it is a savepoint.
        """
        within = self.connection.in_atomic_block
        with self.atomic():
            if within:
                self.execute_all(first)
            else:
                # Otherwise a project's stricter level would keep the rows out that were committed before the lock.
                self.tune(isolation, first)
            yield

    @contextlib.contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction, at whose end the project's search path holds again, or a savepoint in one."""
        outermost = not self.connection.in_atomic_block
        with transaction.atomic(using=self.connection.alias), self.left_if_at_work():
            yield
            if outermost:
                settings.leave(self.connection)

    @contextlib.contextmanager
    def left_if_at_work(self) -> Iterator[None]:
        """A signal between a statement and its answer leaves a connection that takes no other, not even a rollback."""
        try:
            yield
        except KeyboardInterrupt:
            driver = self.connection.connection
            if driver and driver.info.transaction_status == TransactionStatus.ACTIVE:
                with contextlib.suppress(DriverError):
                    driver.cancel_safe(timeout=LEFT_WITHIN_S)
                self.connection.close()
            raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """A read-only transaction in which every query sees the same moment."""
        isolation = "REPEATABLE READ, READ ONLY"
        with self.without_timeouts(), self.transaction(isolation=isolation), settings.guarded(self.connection):
            yield

    def tune(self, isolation: str, first: Iterable[Statement] = ()) -> None:
        """Memory to sort a whole index, no compiler for expressions used once, an error where a policy hides rows."""
        level = sql.SQL(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        local = [sql.set_local(setting, "off") for setting in ("jit", "row_security")]
        self.execute_all([level, *first, MORE_MEMORY, *local])

    def execute(self, statement: Statement) -> int:
        """Run one statement as it is; return the number of rows it touched."""
        with sql.meaning(statement, self.connection), self.connection.cursor() as cursor:
            cursor.execute(statement.as_string(), None)
            touched: int = cursor.rowcount
        return touched

    def execute_all(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            self.execute(statement)

    def rows(self, statement: str | Statement, params: Any = None) -> list[tuple[Any, ...]]:
        """The rows of one statement as it is."""
        if isinstance(statement, str):
            return asking.fetch(self.connection, statement, params)
        with sql.meaning(statement, self.connection):
            return asking.fetch(self.connection, statement.as_string(), params)

    def run(self, *statements: Statement) -> int:
        """Run statements as `attempt` runs a group; return the number of rows that they touched."""
        return self.attempt(lambda: sum(max(self.execute(statement), 0) for statement in statements))

    def run_group(self, group: Group) -> None:
        """Run a group as it says, which is like `run` unless it says otherwise."""
        if group.alone:
            # A concurrent build waits for whole transactions.
            with self.settings(lock_timeout="0"):
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
            with self.atomic():
                # Set on each try: a rollback forgets it.
                self.execute(sql.set_local("lock_timeout", timeout))
                return group()

        return self.retry(once, lock_timeout_ms=timeout)

    def retry_transaction(
        self,
        group: Callable[[], Result],
        *,
        isolation: str = "READ COMMITTED",
        first: Callable[[], Iterable[Statement]] = tuple,
    ) -> Result:
        """Like `attempt`, but each try is a transaction of its own that sees what others commit meanwhile, unless
        `isolation` says otherwise, and lets go of every lock that it has. `group` sets its `lock_timeout`; what `first`
        returns comes before the snapshot of each try.
        """

        def once() -> Result:
            with self.transaction(isolation=isolation, first=first()):
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
        tries, stopped = conf.lock_tries(), collections.Counter[str]()
        for count in range(1, tries + 1):
            try:
                return attempt()
            except OperationalError as error:
                state = state_of(error)
                if state not in known:
                    raise
                refusal = error
            stopped[known[state]] += 1
            self.retries[known[state]] += 1
            if too_long and state in TOO_LONG:
                too_long()
            if count == tries:
                break
            if count > TRIES_IN_SILENCE:
                self.waits(f"a lock: {self.holders()}")
            # Jitter keeps two sessions from meeting again at each of their tries.
            time.sleep(random.random() * min(LONGEST_PAUSE_S, 0.01 * 2**count))  # noqa: S311
        ((cause, times),) = stopped.most_common(1)
        raise LockNotObtained(
            STOPPED[cause].format(tries=times, timeout=lock_timeout_ms, holders=self.holders())
        ) from refusal

    def holders(self) -> str:
        return holders.of_tables(self.connection, self.tables) or "the session that held it has gone by now"
