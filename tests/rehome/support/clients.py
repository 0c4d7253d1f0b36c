"""Other programs at work on the same database: each has a connection and a thread of its own."""

import re
import textwrap
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg

from tests.rehome.support.lab import Lab
from tests.waiting import LIMIT_S, until


class Client:
    """One connection, outside Django, on which a statement can wait while the test goes on."""

    def __init__(self, lab: Lab, **options: str) -> None:
        self.connection = connect(lab)
        self.onlooker = connect(lab)
        self.thread = ThreadPoolExecutor(1)
        for name, value in options.items():
            self.run("SELECT set_config(%s, %s, false)", name, value)

    def run(self, statement: str, *params: Any) -> Any:
        """The rows of a statement, or the number of rows that it touched where it returns none."""
        cursor = self.connection.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else cursor.rowcount

    def play(self, script: str, table: str) -> list[Any]:
        """Run the statements of a script, {t} standing for the table, one a line; lines that are indented go on.

        Of each statement, the number of rows that it touched, or the SQLSTATE with which it was refused.
        """
        outcomes: list[Any] = []
        for statement in re.split(r"\n(?! )", textwrap.dedent(script).strip()):
            try:
                outcomes.append(self.connection.execute(statement.format(t=table)).rowcount)
            except psycopg.Error as error:
                outcomes.append(error.sqlstate)
        return outcomes

    def start(self, statement: str) -> "Future[Any]":
        """Send a statement; return as soon as it has ended or waits for another session's lock."""
        future = self.thread.submit(self.run, statement)
        until(lambda: future.done() or self.is_blocked(), f"neither done nor blocked: {statement}")
        return future

    def start_blocked(self, statement: str) -> "Future[Any]":
        """Send a statement that has to wait for another session's lock."""
        future = self.start(statement)
        assert not future.done(), f"did not wait: {statement}"
        return future

    def is_blocked(self) -> bool:
        blocking = self.onlooker.execute("SELECT pg_blocking_pids(%s)", [self.connection.info.backend_pid]).fetchone()
        return blocking != ([],)

    def close(self) -> None:
        """A transaction that is still open is rolled back, a statement that still waits ends with its connection."""
        self.onlooker.execute("SELECT pg_terminate_backend(%s)", [self.connection.info.backend_pid])
        self.thread.shutdown()
        self.connection.close()
        self.onlooker.close()


def connect(lab: Lab) -> "psycopg.Connection[Any]":
    """A connection of its own, in autocommit."""
    parameters = lab.connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    return psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}, autocommit=True)


def await_end(onlooker: "psycopg.Connection[Any]", pid: int) -> None:
    """Until a backend that was told to end holds no lock any more."""
    question = "SELECT FROM pg_stat_activity WHERE pid = %s"
    until(lambda: not onlooker.execute(question, [pid]).rowcount, f"still there: {pid}")


def outcome(future: "Future[Any]") -> Any:
    """What the statement returned, or the SQLSTATE with which PostgreSQL refused it."""
    try:
        return future.result(timeout=LIMIT_S)
    except psycopg.Error as error:
        return error.sqlstate
