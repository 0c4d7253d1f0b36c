"""What the two real servers have in common: a process that lives as long as the tests, and databases in it."""

import dataclasses
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from core.embedded import programs
from tests.waiting import until

HOST = "127.0.0.1"
USER = "legacy"

SHOWN = 8_000
"""How many characters of a log are shown: a MariaDB that crashes writes where it was, the statement, and its limits."""

# Below those that the kernel hands out for outgoing connections, so that none of them is in the way.
PORTS = range(15_000, 32_000)


class NotInstalled(Exception):
    """A server can't be started, because these packages are missing: Debian's, or mysqlclient."""

    def __init__(self, *packages: str) -> None:
        super().__init__(", ".join(packages))


class Failed(Exception):
    """A server ended while it was starting; the message is the end of its log."""


@dataclasses.dataclass(frozen=True)
class Started:
    """A server that the tests have started, and have not stopped yet."""

    process: subprocess.Popen[bytes]
    program: Path
    log: Path

    @property
    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-SHOWN:]

    @property
    def died(self) -> bool:
        return self.process.poll() is not None

    @property
    def end(self) -> str:
        """How it ended."""
        code = self.process.returncode
        return f"{self.program.name} ended {f'by {signal.Signals(-code).name}' if code < 0 else f'with {code}'}"


STARTED: list[Started] = []


@dataclasses.dataclass(frozen=True)
class Database:
    """One database of a real server and the user it belongs to, who is no superuser."""

    engine: str
    name: str
    password: str
    port: int
    user: str = USER
    host: str = HOST
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """An entry of DATABASES."""
        return {
            "ENGINE": self.engine,
            "NAME": self.name,
            "USER": self.user,
            "PASSWORD": self.password,
            "HOST": self.host,
            "PORT": str(self.port),
            "OPTIONS": dict(self.options),
        }

    @property
    def environment(self) -> dict[str, str]:
        """The legacy connection, as a process is told of it."""
        values = {**self.settings, "DB": self.name}
        return {f"LEGACY_DB_{name}": str(values[name]) for name in ("ENGINE", "DB", "USER", "PASSWORD", "HOST", "PORT")}

    @contextmanager
    def alias(self, name: str, **settings: Any) -> Iterator[str]:
        """Django knows the database by this alias."""
        before = connections.databases.get(name)
        connections.databases[name] = connections.configure_settings({"default": {}, name: self.settings | settings})[
            name
        ]
        if before is not None:
            _forget(name)
        try:
            yield name
        finally:
            _forget(name)
            del connections.databases[name]
            if before is not None:
                connections.databases[name] = before


def _forget(alias: str) -> None:
    connections[alias].close()
    del connections[alias]


def require_gdal() -> None:
    """What Django needs for geometries. Raises NotInstalled."""
    try:
        import django.contrib.gis.gdal  # noqa: F401
    except ImproperlyConfigured as error:
        raise NotInstalled("gdal-bin") from error


def free_port() -> int:
    while True:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with closing(socket.socket()) as attempt, suppress(OSError):
            attempt.bind((HOST, port))
            return port


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder in /tmp that belongs to the user the servers run as, and is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix=f"test-{name}-"))
    try:
        shutil.chown(path, programs.server_uid())
        yield path
    finally:
        shutil.rmtree(path)


def unprivileged(*command: str | Path) -> list[str]:
    """The command as somebody who is not root, ended by the kernel when this process ends, however it does."""
    drop = ["--reuid", programs.UNPRIVILEGED, "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "QUIT", *drop, *map(str, command)]


def environment() -> dict[str, str]:
    """Without what belongs to another server."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PG", "MYSQL"))}


def prepare(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(
        unprivileged(*command),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(done.stdout)


@contextmanager
def running(*command: str | Path, cwd: Path, connects: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """The server, from the moment when it lets somebody in; stopped at once afterwards, for nothing is kept."""
    log = cwd / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            unprivileged(*command),
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for this process, which still needs the server to clean up.
            process_group=0,
        )
    server = Started(process, Path(command[0]), log)
    try:
        until(lambda: server.died or connects(), f"{command[0]} lets nobody in")
        if process.returncode is not None:
            raise Failed(server.said)
        STARTED.append(server)
        yield process
    finally:
        if server in STARTED:
            STARTED.remove(server)
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
