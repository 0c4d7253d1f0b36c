"""Sessions of old and new code that begin, wait and end at exact points of a move, each on a thread of its own."""

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg

from tests.rehome.support.clients import connect
from tests.rehome.support.lab import Lab
from tests.waiting import LIMIT_S, until


class Session:
    """One transaction, whose statements are sent in order while the test goes on."""

    def __init__(self, lab: Lab) -> None:
        self.connection = connect(lab)
        self.thread = ThreadPoolExecutor(1)
        self.refusal: str | None = None
        self.pending: Future[None] | None = None

    @property
    def pid(self) -> int:
        return self.connection.info.backend_pid

    def send(self, *statements: str) -> None:
        self.pending = self.thread.submit(self.run, statements)

    def run(self, statements: Iterable[str]) -> None:
        """The first refusal is kept; what comes after it fails as well, as it would for anybody."""
        for statement in statements:
            try:
                self.connection.execute(statement)
            except psycopg.Error as error:
                self.refusal = self.refusal or error.sqlstate

    def is_done(self) -> bool:
        return self.pending is None or self.pending.done()

    def finish(self) -> None:
        if self.pending:
            self.pending.result(timeout=LIMIT_S)

    def close(self) -> None:
        self.connection.close()
        self.thread.shutdown()


class Onlooker:
    """Says who waits for somebody else's lock."""

    def __init__(self, lab: Lab) -> None:
        self.connection = connect(lab)
        self.alone = threading.Lock()

    def waiting(self, pids: Iterable[int]) -> set[int]:
        question = "SELECT pid FROM unnest(%s::integer[]) AS pid WHERE cardinality(pg_blocking_pids(pid)) > 0"
        with self.alone:
            return {pid for (pid,) in self.connection.execute(question, [list(pids)]).fetchall()}

    def await_rest(self, sessions: Iterable[Session]) -> None:
        """Until each session has done what it was sent, or waits for a lock."""

        def rest() -> bool:
            busy = {session.pid for session in sessions if not session.is_done()}
            return not busy or busy <= self.waiting(busy)

        until(rest, "neither done nor blocked")

    def await_wait(self, pid: int, ended: threading.Event) -> None:
        """Until `pid` waits for a lock, or `ended` says that it had no need to."""
        until(lambda: ended.is_set() or self.waiting([pid]), "neither passed nor blocked")
