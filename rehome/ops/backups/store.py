"""Where backups lie: a storage of Django's, by its alias in STORAGES, so that another place is another setting.

A folder for each server, by its system_identifier; in it an archive and its manifest, and beside them a proof and
whatever else is kept of the same database. A file is read back after it was stored; what is no backup is not listed.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import InvalidStorageError, Storage, storages

from rehome.errors import BackupFailed, Damaged, Refused, one_line
from rehome.ops.backups.manifest import Manifest, Proof
from rehome.postgres import conf

ARCHIVE, MANIFEST, PROOF, PART = ".dump", ".json", ".proof.json", ".part"
STAMP = "%Y%m%dT%H%M%SZ"
CHUNK = 1 << 20
SKEW = datetime.timedelta(hours=1)
"""By how much the clocks of two machines may differ; what was taken later than that was dated by a wrong one."""
Say = Callable[[str], object]


@dataclasses.dataclass(frozen=True)
class Backup:
    """An archive with its manifest, and what has proved it."""

    manifest: Manifest
    proof: Proof | None
    size: int | None = None
    """Of the archive as it lies there; None where the storage can't tell."""

    def __str__(self) -> str:
        return self.manifest.name

    @property
    def proved(self) -> bool:
        """Whether this very archive was restored, and was what this very manifest says."""
        one, proof = self.manifest, self.proof
        whole = self.size in (None, one.size)
        known = (one.sha256, one.digest)
        return proof is not None and proof.ok and whole and (proof.sha256, proof.manifest_sha256) == known

    @property
    def age(self) -> datetime.timedelta:
        return datetime.datetime.now(datetime.UTC) - self.manifest.taken_at

    @property
    def of_the_future(self) -> bool:
        """Whether a wrong clock has dated it, so that nobody knows how old it is."""
        return self.age < -SKEW

    @property
    def order(self) -> tuple[bool, datetime.datetime]:
        """The newest last; one of the future is none of the newest."""
        return not self.of_the_future, self.manifest.taken_at


class Store:
    """Backups in one storage; `say` is told of what looks like a backup and is none."""

    def __init__(self, storage: Storage, say: Say = lambda line: None) -> None:
        self.storage = storage
        self.say = say

    @classmethod
    def default(cls, say: Say = lambda line: None) -> "Store":
        """The one that the settings name. Raises Refused where there is none."""
        alias = conf.backup_storage()
        try:
            return cls(storages[alias], say)
        except (InvalidStorageError, ImproperlyConfigured, ImportError, TypeError) as error:
            raise Refused(
                f"STORAGES has no usable {alias!r} for backups: {one_line(error)}.",
                f"Add {alias!r} to STORAGES, such as a FileSystemStorage with a location of its own; or let "
                "REHOME_BACKUP_STORAGE name another.",
            ) from error

    def all(self) -> list[Backup]:
        """Every backup, the newest last."""
        found = [backup for folder in self.listed("")[0] for backup in self.of_folder(folder)]
        return sorted(found, key=lambda one: one.order)

    def of(self, system_identifier: str, database: str) -> list[Backup]:
        """Those of one database, the newest last."""
        found = [one for one in self.of_folder(system_identifier) if one.manifest.database == database]
        return sorted(found, key=lambda one: one.order)

    def find(self, name: str) -> Backup:
        """By its name, with or without the folder. Raises Refused where there is none of it."""
        known = self.all()
        found = [one for one in known if name in (one.manifest.name, one.manifest.name.rpartition("/")[2])]
        if len(found) == 1:
            return found[0]
        last = f"the last one is {known[-1]}" if known else "there is none"
        what = f"There are {len(found)} backups" if found else "There is no backup"
        raise Refused(f"{what} {name!r}; {last}.", "`manage.py backup --list` shows all.")

    def listed(self, folder: str) -> tuple[list[str], list[str]]:
        """The folders and the files of a folder, which need not be there."""
        with contextlib.suppress(FileNotFoundError), told(f"{folder or 'The storage'} can't be listed"):
            folders, files = self.storage.listdir(folder)
            return sorted(folders), sorted(files)
        return [], []

    def files(self, folder: str) -> list[str]:
        return self.listed(folder)[1]

    def of_folder(self, folder: str) -> Iterator[Backup]:
        files = self.files(folder)
        for file in files:
            archive = file.removesuffix(MANIFEST) + ARCHIVE
            if file.endswith(MANIFEST) and archive in files:
                try:
                    yield self.read_backup(f"{folder}/{archive}")
                except FileNotFoundError:
                    continue  # Somebody has deleted it since it was listed.
                except BackupFailed as error:
                    self.say(str(error))

    def read_backup(self, name: str) -> Backup:
        manifest = Manifest.from_json(self.read(beside(name, MANIFEST)), name)
        refuse_displaced(manifest, name)
        return Backup(manifest, self.read_proof(name), self.size(name))

    def read_proof(self, name: str) -> Proof | None:
        place = beside(name, PROOF)
        return Proof.from_json(self.read(place)) if self.has(place) else None

    def has(self, name: str) -> bool:
        with told(f"{name} can't be looked for"):
            return bool(self.storage.exists(name))

    def size(self, name: str) -> int | None:
        """None where the storage can't tell: Django's own then raises NotImplementedError."""
        with told(f"{name} can't be looked at"), contextlib.suppress(NotImplementedError):
            return int(self.storage.size(name))
        return None

    def read(self, name: str) -> bytes:
        with told(f"{name} can't be read"), self.storage.open(name) as file:
            content: bytes = file.read()
        return content

    def fetch(self, manifest: Manifest, local: Path) -> None:
        """Its archive, to a local file. Raises Damaged where it is not the one that the manifest describes, and
        remembers that: no earlier proof holds any more.
        """
        with (
            told(f"{manifest.name} can't be read"),
            self.storage.open(manifest.name) as source,
            local.open("wb") as target,
        ):
            size, sha256 = copy(source, target)
        try:
            refuse_other(manifest, size, sha256)
        except Damaged as error:
            try:
                self.keep_proof(Proof.failed(manifest, str(error)))
            except BackupFailed as another:
                self.say(str(another))
            raise

    def keep(self, manifest: Manifest, archive: Path) -> None:
        """Store a backup: it is one with the manifest, which is stored when the archive was read back."""
        with archive.open("rb") as file:
            self.save(manifest.name, File(file, name=manifest.name), (manifest.size, manifest.sha256))
        try:
            self.save_text(beside(manifest.name, MANIFEST), manifest.as_json())
        except BaseException:
            self.discard(manifest.name)
            raise

    def keep_proof(self, proof: Proof) -> None:
        """In place of an earlier one, unless that says the same: a process that is killed meanwhile leaves none."""
        before = self.read_proof(proof.name)
        if before is None or before.verdict != proof.verdict:
            self.save_text(beside(proof.name, PROOF), proof.as_json())

    def save(self, name: str, content: "File[bytes]", expected: tuple[int, str]) -> None:
        """Store a file of this size and SHA-256 under exactly this name, and read it back. Raises BackupFailed, and
        leaves nothing there.
        """
        if self.has(name):
            raise BackupFailed(f"{name} is there already; nothing is stored in its place.")
        saved = name
        try:
            with told(f"{name} can't be stored"):
                saved = self.storage.save(name, content)
                self.settle(saved)
                with self.storage.open(saved) as back:
                    same = digest(back) == expected
            if saved != name or not same:
                what = f"was stored as {saved}" if saved != name else "reads back as something else"
                raise BackupFailed(f"{name} {what}; it is deleted again.")
        except BaseException:
            self.discard(saved)
            raise

    def settle(self, name: str) -> None:
        """Onto the disk, where it is a local file: what was stored outlasts a power cut."""
        with contextlib.suppress(NotImplementedError):
            path = Path(self.storage.path(name))
            for place in (path, path.parent):
                handle = os.open(place, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def save_text(self, name: str, text: str) -> None:
        """In place of what is there under the name."""
        if self.has(name):  # Whoever may only add files may not delete one that is not there either.
            self.remove(name)
        content = text.encode()
        expected = len(content), hashlib.sha256(content).hexdigest()
        self.save(name, ContentFile(content, name=name), expected)

    def discard(self, name: str) -> None:
        """Of what could not be stored. Where it can't be deleted either, the reason why it could not counts."""
        try:
            self.remove(name)
        except BackupFailed as error:
            self.say(str(error))

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), told(f"{name} can't be deleted"):
            self.storage.delete(name)

    def delete(self, backup: Backup) -> None:
        """The manifest first: without it, it is no backup."""
        for ending in (MANIFEST, PROOF, ARCHIVE):
            self.remove(beside(backup.manifest.name, ending))

    def retain(self, system_identifier: str, database: str, number: int) -> list[Backup]:
        """Delete all but the newest backups of one database, of which the newest that is proved is kept in any case.
        One that a wrong clock has dated neither counts nor is deleted.
        """
        known = [one for one in self.of(system_identifier, database) if not one.of_the_future]
        proved = [one for one in known if one.proved][-1:]
        old = [one for one in known[: max(len(known) - number, 0)] if one not in proved]
        for one in old:
            self.delete(one)
        return old

    def clear(self, system_identifier: str, database: str) -> list[str]:
        """Delete archives of one database that are no backup a day after they were begun: who stored them is gone."""
        files, start = self.files(system_identifier), f"{quote(database, safe='')}-"
        lonely = [one for one in files if one.endswith(ARCHIVE) and beside(one, MANIFEST) not in files]
        names = [f"{system_identifier}/{one}" for one in lonely if one.startswith(start) and is_old(one[len(start) :])]
        for name in names:
            self.remove(name)
        return names


def is_old(stamp: str) -> bool:
    """Of what the name of an archive has behind the database's."""
    with contextlib.suppress(ValueError):
        begun = datetime.datetime.strptime(stamp, f"{STAMP}{ARCHIVE}").replace(tzinfo=datetime.UTC)
        return datetime.datetime.now(datetime.UTC) - begun > datetime.timedelta(days=1)
    return False


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """A storage raises whatever its own library raises; a person reads one sentence."""
    try:
        yield
    except (BackupFailed, FileNotFoundError):
        raise
    except Exception as error:
        raise BackupFailed(f"{what}: {' '.join(str(error).split()).rstrip('.')}.") from error


def named(system_identifier: str, database: str, taken_at: datetime.datetime) -> str:
    """Of an archive."""
    return f"{system_identifier}/{quote(database, safe='')}-{taken_at:{STAMP}}{ARCHIVE}"


def beside(name: str, ending: str) -> str:
    """Of another file of the same backup."""
    return name.removesuffix(ARCHIVE) + ending


def refuse_displaced(manifest: Manifest, name: str) -> None:
    """Raises BackupFailed where a manifest lies in another's place, or in the folder of another server."""
    start = f"{manifest.system_identifier}/{quote(manifest.database, safe='')}-"
    if manifest.name != name or not name.startswith(start):
        raise BackupFailed(
            f"The manifest of {name} is that of {manifest.name}, of {manifest.database!r} of server "
            f"{manifest.system_identifier}, so it is no backup."
        )


def refuse_other(manifest: Manifest, size: int, sha256: str) -> None:
    if size != manifest.size:
        raise Damaged(f"{manifest.name} has {size:,} bytes, and its manifest says {manifest.size:,}.")
    if sha256 != manifest.sha256:
        raise Damaged(f"{manifest.name} has other bytes than its manifest says: it is damaged.")


def digest(file: "IO[bytes] | File[bytes]") -> tuple[int, str]:
    return copy(file, None)


def copy(source: "IO[bytes] | File[bytes]", target: IO[bytes] | None) -> tuple[int, str]:
    """The size and the SHA-256 of what is left of `source`, written to `target` meanwhile."""
    size, sha256 = 0, hashlib.sha256()
    while chunk := source.read(CHUNK):
        size += len(chunk)
        sha256.update(chunk)
        if target:
            target.write(chunk)
    return size, sha256.hexdigest()
