"""Local files that a backup or a restore writes meanwhile: named .part, and gone with the process that wrote them."""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rehome.errors import BackupFailed
from rehome.ops.backups.store import PART
from rehome.postgres import conf

PREFIX = "rehome-"


def folder() -> Path:
    """Where they are. Raises BackupFailed where there can't be any."""
    place = Path(conf.backup_work() or tempfile.gettempdir())
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackupFailed(f"{place} can't be made for archives in work: {error}. Set REHOME_BACKUP_WORK.") from error
    return place


@contextlib.contextmanager
def part(name: str) -> Iterator[Path]:
    """An empty file that nobody else writes or reads; it is deleted when the block ends."""
    place = folder()
    clear(place)
    with locked(place, f"{PREFIX}{Path(name).stem}-") as path:
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(place: Path, prefix: str) -> Iterator[Path]:
    """A new file whose lock this process holds; another one where somebody has cleared it away before it was locked."""
    while True:
        with tempfile.NamedTemporaryFile(prefix=prefix, suffix=PART, dir=place, delete=False) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if (path := Path(file.name)).exists():
                yield path
                return


def is_own(path: Path) -> bool:
    """Whether this user made it, as a file: in a folder that is everybody's, opening a pipe would wait for ever."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    return False


def clear(place: Path) -> None:
    """Delete what a killed process has left: nobody holds its lock any more."""
    for path in filter(is_own, place.glob(f"{PREFIX}*{PART}")):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
