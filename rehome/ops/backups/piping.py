"""A backup in one stream, for a pipe such as gpg: a tar file of the archive and, after it, the manifest."""

import contextlib
import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rehome.errors import BackupFailed, Refused
from rehome.ops.backups import store, work
from rehome.ops.backups.manifest import Manifest
from rehome.ops.backups.store import Store

STREAM = "-"
"""The name of a backup that is read from stdin."""
ARCHIVE, MANIFEST = "archive.dump", "manifest.json"


def write(manifest: Manifest, archive: Path, target: IO[bytes]) -> None:
    """The manifest last: a stream that is cut off has none, and is no backup."""
    text = manifest.as_json().encode()
    entry = tarfile.TarInfo(MANIFEST)
    entry.size, entry.mode, entry.mtime = len(text), 0o600, int(manifest.taken_at.timestamp())
    with tarfile.open(fileobj=target, mode="w|") as stream:
        stream.add(archive, ARCHIVE)
        stream.addfile(entry, io.BytesIO(text))
    target.flush()


@contextlib.contextmanager
def opened(name: str, kept: Store, stdin: IO[bytes]) -> Iterator[tuple[Manifest, Path]]:
    """A backup of the store, or of a stream: its manifest, and its archive as a local file that is the very one."""
    with work.part("archive") as archive:
        if name == STREAM:
            manifest = read(stdin, archive)
            with archive.open("rb") as file:
                store.refuse_other(manifest, *store.digest(file))
        else:
            manifest = kept.find(name).manifest
            kept.fetch(manifest, archive)
        yield manifest, archive


def read(source: IO[bytes], archive: Path) -> Manifest:
    """Write the archive, and return the manifest. Raises BackupFailed for what is cut off, or is something else."""
    if source.isatty():
        raise Refused("A backup is read from stdin, and stdin is a terminal.", "Pipe one into this command.")
    try:
        with tarfile.open(fileobj=source, mode="r|") as stream:
            for entry in stream:
                content = stream.extractfile(entry)
                if content and entry.name == ARCHIVE:
                    with archive.open("wb") as target:
                        shutil.copyfileobj(content, target, store.CHUNK)
                elif content and entry.name == MANIFEST:
                    return Manifest.from_json(content.read(), "stdin")
    except (tarfile.TarError, EOFError) as error:
        raise BackupFailed("What comes from stdin is no backup, or is cut off.") from error
    raise BackupFailed("What comes from stdin has no manifest: it is cut off, or no backup.")
