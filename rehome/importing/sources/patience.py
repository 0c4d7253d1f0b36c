"""How long a source may say nothing, and how a signal ends the wait for it: a driver in C hears of neither."""

import contextlib
import copy
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.postgres import conf

CONNECT_S = 30
"""How long a connection may take that the alias sets no `connect_timeout` for."""
ENDING_S = 2
"""How long the server is asked to end a query that nobody reads."""
POLL_S = 0.1
SILENT = "it has said nothing for {} s, and REHOME_SOURCE_TIMEOUT_S waits no longer"
LOST = 2013
"""What MySQL's driver says of a timeout, too."""
LINES: dict[Any, socket.socket] = {}
"""The sockets of open connections to MySQL, which a signal closes: their driver says nothing of one that is in use.

Each ends with its wrapper's. Code that runs when a driver is collected would swallow the signal that it waits for.
"""


@contextlib.contextmanager
def patient(alias: str) -> Iterator[None]:
    """Until the block ends, `alias` is a connection of this thread's own, which ends a wait for its server after
    REHOME_SOURCE_TIMEOUT_S, and at once on Ctrl-C and SIGTERM, also while it connects.
    """
    projects = connections[alias]
    if isinstance(projects, Patient) or projects.vendor not in KINDS:
        yield
        return
    kind = type("PatientWrapper", (KINDS[projects.vendor], type(projects)), {})
    own = kind(copy.deepcopy(projects.settings_dict), alias)
    own.settings_dict.get("OPTIONS", {}).pop("pool", None)
    connections[alias] = own
    try:
        with closed_by_signals() if projects.vendor == "mysql" else contextlib.nullcontext():
            yield
    finally:
        connections[alias] = projects
        own.close()


class Patient:
    """Makes a Django's wrapper of a database one whose waits end; a copy of it is one, too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.limit = conf.source_timeout_s()

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()  # type: ignore[misc]
        if self.limit:
            params.setdefault("connect_timeout", min(CONNECT_S, self.limit))
        return params


class PatientPostgreSQL(Patient):
    def get_new_connection(self, params: dict[str, Any]) -> Any:
        driver = super().get_new_connection(params)  # type: ignore[misc]
        driver.wait = waiting(self, driver)
        return driver


class PatientMySQL(Patient):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.execute_wrappers: list[Any] = [self.listen]

    def get_connection_params(self) -> dict[str, Any]:
        # Its driver takes 0 for no limit.
        params = {"read_timeout": self.limit, "write_timeout": self.limit} | super().get_connection_params()
        # In any other, the server sends a question mark for what that does not have.
        return params | {"charset": "utf8mb4"}

    def get_new_connection(self, params: dict[str, Any]) -> Any:
        connect = super().get_new_connection  # type: ignore[misc]
        driver = apart(lambda: connect(params))
        line_of(driver)
        return driver

    def _close(self) -> None:
        line = LINES.pop(self.connection, None)  # type: ignore[attr-defined]
        try:
            super()._close()  # type: ignore[misc]
        finally:
            if line:
                line.close()

    def listen(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        with listening(self):
            return execute(*arguments)


KINDS: dict[str, type[Patient]] = {"postgresql": PatientPostgreSQL, "mysql": PatientMySQL}


# ----- PostgreSQL


def waiting(wrapper: Any, driver: Any) -> Callable[..., Any]:
    """Instead of the driver's own `wait`, which after a signal asks the server to cancel, and waits for its answer."""
    import psycopg
    from psycopg.waiting import wait as wait_for

    limit = wrapper.limit

    def heard(steps: Generator[Any, Any, Any], step: Any) -> Generator[Any, Any, Any]:
        """The same steps, as long as one of them is heard of in time."""
        since = time.monotonic()
        while True:
            ready = yield step
            if ready:
                since = time.monotonic()
            elif limit and time.monotonic() - since >= limit:
                raise psycopg.OperationalError(SILENT.format(limit))
            try:
                step = steps.send(ready)
            except StopIteration as done:
                return done.value

    def wait(steps: Generator[Any, Any, Any], **options: Any) -> Any:
        # Most have what they need already, such as a row of many that came together.
        try:
            step = next(steps)
        except StopIteration as done:
            return done.value
        try:
            return wait_for(heard(steps, step), driver.pgconn.socket, **{"interval": POLL_S} | options)
        except (KeyboardInterrupt, psycopg.OperationalError) as error:
            if not getattr(error, "sqlstate", None):
                # Django's wrapper, too: otherwise the end of a transaction would connect again.
                wrapper.close()
            raise

    return wait


# ----- MySQL


def apart(call: Callable[[], Any]) -> Any:
    """What `call` returns, which runs in a thread: a signal ends the wait for it, and it is left behind."""
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001  It is raised where the answer is taken.
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return answer.result()
    except KeyboardInterrupt:
        answer.add_done_callback(lambda late: None if late.exception() else late.result().close())
        raise


@contextlib.contextmanager
def listening(connection: object) -> Iterator[Callable[[], None]]:
    """What the driver calls a lost connection is named as silence where it is that. Yields what to call before each
    wait but the first.
    """
    limit, began = getattr(connection, "limit", 0), time.monotonic()

    def listen() -> None:
        nonlocal began
        began = time.monotonic()

    try:
        yield listen
    except Exception as error:
        if limit and error.args[:1] == (LOST,) and time.monotonic() - began >= limit:
            raise type(error)(SILENT.format(limit)) from error.__cause__
        raise


@contextlib.contextmanager
def closed_by_signals() -> Iterator[None]:
    """Until the block ends, what asks this process to end also ends what the main thread waits for in a driver."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    here, there = socket.socketpair()
    there.setblocking(False)

    def watch() -> None:
        while number := here.recv(1):
            if number[0] in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                for line in list(LINES.values()):
                    hang_up(line)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        there.close()
        thread.join()
        here.close()


def line_of(driver: Any) -> socket.socket:
    """A second handle of the connection's socket."""
    if driver not in LINES:
        LINES[driver] = socket.socket(fileno=os.dup(driver.fileno()))
    return LINES[driver]


def hang_up(line: socket.socket) -> None:
    """Whatever waits for its server fails at once, in any thread."""
    with contextlib.suppress(OSError):  # It may have ended meanwhile.
        line.shutdown(socket.SHUT_RDWR)


def end_query(connection: BaseDatabaseWrapper, driver: Any) -> None:
    """Let the server end the query whose rows `driver` has not read, and hang up. Of a server that does not answer, it
    is not waited for.
    """
    wrapper: Any = connection
    params = wrapper.get_connection_params() | dict.fromkeys(
        ("connect_timeout", "read_timeout", "write_timeout"), ENDING_S
    )
    number, line = driver.thread_id(), line_of(driver)

    def kill() -> None:
        with contextlib.suppress(wrapper.Database.Error), contextlib.closing(wrapper.Database.connect(**params)) as own:
            own.query(f"KILL QUERY {number:d}")

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    thread.join(ENDING_S)
    hang_up(line)
    LINES.pop(driver).close()
