"""A storage may be shared, damaged, without a right, or dated by a wrong clock: what is listed as proved is proved."""

import dataclasses
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage

from rehome.errors import BackupFailed, Damaged, Refused
from rehome.ops.backups import required
from rehome.ops.backups import store as storing
from rehome.ops.backups.manifest import Manifest, Proof
from rehome.ops.backups.store import Backup, Store
from rehome.ops.fingerprints import Fingerprint
from rehome.ops.properties import Properties
from rehome.ops.servers import Where

FARM = Where("localhost", "5432", "farm", 1, 170004, 16384, "7", in_recovery=False, last_write=None, last_written="")
CONTENT = b"PGDMP and the rest"
DAY = timedelta(hours=24)
OWN = Properties("UTF8", "c", "C", "C", "", "", "farm", -1, (), None, (), ())


def described(taken_at: datetime, **changes: Any) -> Manifest:
    taken_at = taken_at.replace(microsecond=0)
    size, sha256 = storing.digest(io.BytesIO(CONTENT))
    found = Manifest(
        name=storing.named("7", "farm", taken_at), database="farm", system_identifier="7", host="localhost",
        server_version=170004, client=17, taken_at=taken_at, seconds=1.0, size=size, sha256=sha256, database_size=1,
        moves={}, properties=OWN, fingerprint=Fingerprint({}, {}, {}, "0"), database_oid=16384,
    )  # fmt: skip
    return dataclasses.replace(found, **changes)


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    return Store(FileSystemStorage(tmp_path / "backups"))


@pytest.fixture
def add(kept: Store, tmp_path: Path) -> Callable[..., Backup]:
    """Store a backup of so long ago, proved or not."""

    def store(ago: timedelta = timedelta(0), *, proved: bool = True, into: Store = kept, **changes: Any) -> Backup:
        manifest = described(datetime.now(UTC) - ago, **changes)
        archive = tmp_path / "archive"
        archive.write_bytes(CONTENT)
        into.keep(manifest, archive)
        if proved:
            into.keep_proof(proof_of(into.read_backup(manifest.name)))
        return into.read_backup(manifest.name)

    return store


def proof_of(backup: Backup) -> Proof:
    one = backup.manifest
    return Proof(one.name, one.sha256, datetime.now(UTC), 170004, 1.0, 1.0, (), one.digest)


def path(kept: Store, name: str) -> Path:
    return Path(kept.storage.path(name))


def young(kept: Store, where: Where = FARM) -> Backup:
    return required.find_proved(kept, where, DAY)


# ----- what is proved


def test_what_was_restored_and_compared_counts(kept: Store, add: Callable[..., Backup]) -> None:
    backup = add()

    assert young(kept) == backup
    kept.fetch(backup.manifest, path(kept, "fetched"))


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT + b" ", b"x" + CONTENT[1:]])
def test_a_proof_ends_with_the_archive_that_it_was_of(
    kept: Store, add: Callable[..., Backup], damage: bytes, tmp_path: Path
) -> None:
    backup = add()
    path(kept, str(backup)).write_bytes(damage)

    with pytest.raises(Damaged):
        kept.fetch(backup.manifest, tmp_path / "fetched")

    with pytest.raises(Refused, match="is there, and is not proved"):
        young(kept)
    path(kept, str(backup)).write_bytes(CONTENT)
    kept.keep_proof(proof_of(backup))
    assert young(kept)


def test_an_archive_of_another_size_is_not_proved_before_anybody_reads_it(
    kept: Store, add: Callable[..., Backup]
) -> None:
    path(kept, str(add())).write_bytes(CONTENT[:-1])

    with pytest.raises(Refused, match="is not proved"):
        young(kept)


@pytest.mark.parametrize("field", [one.name for one in dataclasses.fields(Manifest) if one.compare])
def test_a_manifest_that_was_edited_is_not_the_one_that_was_proved(
    kept: Store, add: Callable[..., Backup], field: str
) -> None:
    others = {
        int: 3, str: "other", float: 3.0, datetime: datetime.now(UTC), dict: {"a": "live"},
        Properties: dataclasses.replace(OWN, owner="another"), Fingerprint: Fingerprint({"a": (1, "1")}, {}, {}, "0"),
    }  # fmt: skip
    backup = add(timedelta(hours=30))
    other = others[type(getattr(backup.manifest, field))]
    changed = dataclasses.replace(backup.manifest, **{field: other})
    kept.save_text(storing.beside(str(backup), storing.MANIFEST), changed.as_json())

    assert not [one for one in kept.all() if one.proved]


# ----- whose it is


@pytest.mark.parametrize("place", ["8/farm-20260301T031200Z", "7/farm-20260301T031200Z", "7/portal-20260301T031200Z"])
def test_a_manifest_in_the_place_of_another_is_no_backup_and_nothing_is_deleted_for_it(
    kept: Store, add: Callable[..., Backup], place: str
) -> None:
    """As somebody copies folders, or one file over another."""
    backup, heard = add(), []
    for ending in (storing.ARCHIVE, storing.MANIFEST, storing.PROOF):
        target = path(kept, f"{place}{ending}")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path(kept, storing.beside(str(backup), ending)).read_bytes())

    kept.say = heard.append
    assert kept.all() == [backup]
    assert "so it is no backup" in heard[0]
    assert kept.retain("7", "farm", 1) == []
    assert kept.all() == [backup]
    server, _, name = place.partition("/")
    for other in (dataclasses.replace(FARM, system_identifier="8"), dataclasses.replace(FARM, database="portal")):
        with pytest.raises(Refused, match="there is no backup at all"):
            young(kept, other)


def test_a_database_that_was_restored_or_made_anew_since_has_no_backup_yet(
    kept: Store, add: Callable[..., Backup]
) -> None:
    add()

    with pytest.raises(Refused, match="1 are there, all dated by a wrong clock, or of another database"):
        young(kept, dataclasses.replace(FARM, oid=16385))


# ----- clocks


def test_one_of_the_future_is_not_young_and_not_the_newest_and_drives_none_out(
    kept: Store, add: Callable[..., Backup]
) -> None:
    future = add(-timedelta(days=900))
    with pytest.raises(Refused, match="dated by a wrong clock"):
        young(kept)
    old, new = add(timedelta(hours=2)), add()

    assert kept.of("7", "farm") == [future, old, new]
    assert young(kept) == new
    assert kept.retain("7", "farm", 1) == [old]
    assert kept.all() == [future, new]


def test_clocks_may_differ_a_little(kept: Store, add: Callable[..., Backup]) -> None:
    assert add(-timedelta(minutes=5)) == young(kept)


# ----- rights, and others at work


class Adding(FileSystemStorage):
    """Lets nobody delete, as a bucket whose objects are locked."""

    def delete(self, name: str) -> None:
        raise RuntimeError("An error occurred (AccessDenied) when calling DeleteObject.")


class Full(Adding):
    def _save(self, name: str, content: Any) -> str:
        if name.endswith(storing.MANIFEST):
            raise RuntimeError("An error occurred (SlowDown) when calling PutObject.")
        return super()._save(name, content)


def test_a_backup_needs_no_right_to_delete(add: Callable[..., Backup], tmp_path: Path) -> None:
    assert add(into=Store(Adding(tmp_path / "locked"))).proved


def test_why_it_was_not_stored_counts_where_nothing_can_be_deleted_either(
    add: Callable[..., Backup], tmp_path: Path
) -> None:
    heard: list[str] = []
    with pytest.raises(BackupFailed, match="can't be stored: .*SlowDown"):
        add(into=Store(Full(tmp_path / "locked"), heard.append))
    assert "AccessDenied" in heard[0]


class Raising(FileSystemStorage):
    """Each call that is not a read of the list fails as some library's would."""

    def __init__(self, location: Path, call: str) -> None:
        super().__init__(location)

        def fail(*args: Any, **options: Any) -> Any:
            raise RuntimeError("(403) Forbidden")

        setattr(self, call, fail)


@pytest.mark.parametrize("call", ["listdir", "exists", "open", "size"])
def test_whatever_a_storage_raises_is_a_sentence(
    kept: Store, add: Callable[..., Backup], call: str, tmp_path: Path
) -> None:
    add()
    broken = Store(Raising(tmp_path / "backups", call), lambda line: heard.append(line))
    heard: list[str] = []
    try:
        assert broken.all() == []
    except BackupFailed as error:
        heard.append(str(error))
    assert "(403) Forbidden" in heard[0]
    with pytest.raises((BackupFailed, Refused)):
        required.find_proved(broken, FARM, DAY)


def test_what_is_deleted_while_it_is_listed_is_left_out(kept: Store, add: Callable[..., Backup]) -> None:
    first, second = add(timedelta(hours=1)), add()
    listed = kept.files("7")
    kept.delete(first)
    kept.files = lambda folder: listed  # type: ignore[method-assign]

    assert list(kept.of_folder("7")) == [second]


def test_a_proof_that_says_the_same_is_never_taken_away_meanwhile(kept: Store, add: Callable[..., Backup]) -> None:
    """Who is killed between deleting the old one and storing the new one would leave none."""
    backup = add()
    kept.remove = pytest.fail  # type: ignore[assignment]

    kept.keep_proof(proof_of(backup))

    assert young(kept) == backup


def test_an_archive_that_changes_before_it_is_stored_is_not_stored(kept: Store, tmp_path: Path) -> None:
    """As a cleaner of temporary files empties it."""
    archive = tmp_path / "archive"
    archive.write_bytes(CONTENT[:-1])

    with pytest.raises(BackupFailed, match="reads back as something else"):
        kept.keep(described(datetime.now(UTC)), archive)
    assert kept.files("7") == []
