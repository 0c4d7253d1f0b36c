"""A backup is dumped, stored, restored elsewhere and compared."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import connection

from rehome.ops import scratch
from rehome.ops.backups import dumping, proving
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FileSystemStorage(tmp_path / "backups"))


def test_a_backup_is_restored_and_compared(live: str, store: Store, tmp_path: Path) -> None:
    with dumping.dumped(connection, step) as (manifest, archive):
        store.keep(manifest, archive)
    assert manifest.database == live
    assert manifest.moves
    assert set(manifest.moves.values()) == {"live"}
    (backup,) = store.of(manifest.system_identifier, live)
    assert backup.manifest == manifest
    assert not backup.proved

    store.fetch(manifest, tmp_path / "fetched")
    proof = proving.prove(manifest, tmp_path / "fetched", Server.of(connection), step)
    store.keep_proof(proof)

    assert proof.differences == ()
    (backup,) = store.all()
    assert backup.proved
    assert scratch.leftovers(Server.of(connection)) == []
