"""A backup is proved where it is restored and has every row; whatever is wrong with it is said."""

import dataclasses
import io
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rehome.errors import BackupFailed, Refused
from rehome.ops import scratch
from rehome.ops.backups import store as storing
from rehome.ops.backups.manifest import Manifest
from rehome.ops.backups.store import Backup, Store
from rehome.ops.servers import Server
from tests.farm import farm
from tests.farm.databases import WORKER, connected_to, database
from tests.rehome.ops.conftest import ITEM
from tests.rehome.support.backups import databases, doomed, made, place_of, rows, run
from tests.waiting import until

pytestmark = pytest.mark.server

LONG = pytest.mark.long


def rewrite(store: Store, backup: Backup, **changes: Any) -> None:
    """Another manifest in its place."""
    changed = dataclasses.replace(backup.manifest, **changes)
    store.save_text(storing.beside(backup.manifest.name, storing.MANIFEST), changed.as_json())


def test_a_backup_is_proved(small: str, store: Store) -> None:
    backup = made(store)
    assert not backup.proved

    assert "every one of 205 rows in 2 tables" in run("checkbackup")

    assert store.find(str(backup)).proved
    assert databases("rehome_scratch") == []
    assert json.loads(run("checkbackup", str(backup), format="json")) == {
        "ok": True, "backup": str(backup), "differences": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        "a flipped bit",
        "another database's",
        *(pytest.param(one, marks=LONG) for one in ("cut off", "empty", "gone")),
    ],
)
def test_an_archive_that_is_damaged_later_is_no_backup(small: str, store: Store, damage: str) -> None:
    backup = made(store)
    place = place_of(store, backup)
    data = bytearray(place.read_bytes())
    match damage:
        case "cut off":
            place.write_bytes(data[:-1])
        case "a flipped bit":
            data[len(data) // 2] ^= 1
            place.write_bytes(data)
        case "empty":
            place.write_bytes(b"")
        case "gone":
            place.unlink()
        case _:
            with database(f"test_foreign_{WORKER}") as other, connected_to(other):
                place.write_bytes(place_of(store, made(store)).read_bytes())

    said = "There is no backup" if damage == "gone" else "damaged|bytes, and its manifest says"
    with pytest.raises((BackupFailed, Refused), match=said):
        run("checkbackup", *([] if damage == "gone" else [str(backup)]))

    assert databases("rehome_scratch") == []
    assert not [one for one in store.all() if one.proved]


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 99}',
        *(pytest.param(one, marks=LONG) for one in ("", "{", "[]", "{}", '{"format": 1, "name": "x"}')),
    ],
)
def test_without_a_readable_manifest_it_is_no_backup(small: str, store: Store, text: str) -> None:
    backup = made(store)
    store.save_text(storing.beside(str(backup), storing.MANIFEST), text)
    heard: list[str] = []

    assert Store(store.storage, heard.append).all() == []
    assert str(backup) in heard[0]
    assert heard[0].endswith(("so it is no backup.", "Use the version that wrote it."))


@pytest.mark.long
def test_an_archive_without_a_manifest_is_not_listed(small: str, store: Store) -> None:
    backup = made(store)
    store.remove(storing.beside(str(backup), storing.MANIFEST))

    assert "There is no backup." in run("backup", list=True)
    with pytest.raises(Refused, match=f"There is no backup of database '{small}'.*Make one"):
        run("checkbackup")


def test_a_restore_that_differs_is_told_and_remembered(small: str, store: Store) -> None:
    backup = made(store)
    tables = {**backup.manifest.fingerprint.tables, '"public"."kind"': (5, "7"), '"public"."more"': (1, "1")}
    tables[f'"public".{ITEM}'] = (201, "0")
    sequences = {**backup.manifest.fingerprint.sequences, "public.counted": (5, 9)}
    objects = backup.manifest.fingerprint.objects | {"foreign keys": 14}
    fingerprint = dataclasses.replace(backup.manifest.fingerprint, tables=tables, sequences=sequences, objects=objects)
    rewrite(store, backup, fingerprint=fingerprint)
    printed = io.StringIO()

    with pytest.raises(CommandError, match="restored, and is not what was dumped. Do not rely on it"):
        call_command("checkbackup", stdout=printed)

    assert printed.getvalue().splitlines() == [
        f'"public".{ITEM}: 201 rows expected, 200 found',
        '"public"."kind": as many rows, 5, with other values',
        '"public"."more" is missing',
        "sequence public.counted: drawn from 2 times, 5 expected",
        "foreign keys: 14 expected, 1 found",
    ]
    assert not store.find(str(backup)).proved
    assert "FAILED" in run("backup", list=True)


@pytest.mark.long
def test_a_proof_is_of_one_archive_alone(small: str, store: Store) -> None:
    backup = made(store)
    run("checkbackup")
    rewrite(store, backup, sha256="another")

    assert not store.find(str(backup)).proved


def test_a_backup_of_a_newer_server_is_refused_by_name_before_anything(small: str, store: Store) -> None:
    backup = made(store)
    rewrite(store, backup, server_version=990_000)

    with pytest.raises(Refused, match=r"is of PostgreSQL 99, and this server is \d\d.*Restore it on PostgreSQL 99"):
        run("checkbackup")


@pytest.mark.long
def test_roles_and_extensions_that_are_missing_are_refused_by_name_before_anything(small: str, store: Store) -> None:
    backup = made(store)
    own = backup.manifest.properties

    rewrite(store, backup, properties=dataclasses.replace(own, roles=("clerk of another", *own.roles)))
    with pytest.raises(Refused, match='roles that this server does not have: clerk of another. CREATE ROLE "clerk'):
        run("checkbackup")
    for named in (
        {"settings": (("clerk of another", "work_mem=8MB"),)},
        {"grants": (("clerk of another", "CONNECT", False),)},
    ):
        rewrite(store, backup, properties=dataclasses.replace(own, **named))
        with pytest.raises(Refused, match="roles that this server does not have: clerk of another"):
            run("checkbackup")
    for named in ({"tablespaces": ("fast disk",)}, {"tablespace": "fast disk"}):
        rewrite(store, backup, properties=dataclasses.replace(own, **named))
        with pytest.raises(Refused, match='tablespaces that .* have: fast disk. CREATE TABLESPACE "fast disk" LOC'):
            run("checkbackup")
    rewrite(store, backup, properties=dataclasses.replace(own, extensions=("postgis_99",)))
    with pytest.raises(Refused, match="extensions that this server does not have: postgis_99"):
        run("checkbackup")


def test_within_says_whether_a_proved_backup_is_young_enough(small: str, store: Store) -> None:
    within = pytest.raises(Refused, match="No proved backup .* is younger than 24 hours: there is no backup at all")
    with within:
        run("checkbackup", within=24)
    backup = made(store)
    with pytest.raises(Refused, match="is there, and is not proved.*`manage.py checkbackup`"):
        run("checkbackup", within=24)
    run("checkbackup")
    assert f"{backup} is proved" in run("checkbackup", within=24)
    assert json.loads(run("checkbackup", within=24, format="json"))["ok"]
    rewrite(store, backup, taken_at=datetime.now(UTC) - timedelta(hours=30))
    run("checkbackup")
    with pytest.raises(Refused, match="younger than 24 hours: the last one is 30 hours old"):
        run("checkbackup", within=24)


@pytest.mark.long
def test_another_server_is_given_as_a_url(small: str, store: Store) -> None:
    made(store)
    with pytest.raises(Refused, match="no URL of a PostgreSQL database.*such as postgres://"):
        run("checkbackup", on="https://example.com")
    with pytest.raises(CommandError, match="can't be read: connection failed.*Check that the server runs"):
        run("checkbackup", on="postgres://127.0.0.1:1/postgres")


@pytest.mark.long
def test_a_piped_backup_is_proved_and_nothing_is_remembered(
    small: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rehome.ops.backups import dumping, piping
    from tests.rehome.ops.test_backup import quietly

    stream = io.BytesIO()
    with dumping.dumped(connection, quietly) as (manifest, archive):
        piping.write(manifest, archive, stream)

    def stdin(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    stdin(stream.getvalue())
    assert run("checkbackup", "-").startswith("Proved: ")
    stdin(stream.getvalue()[:-20_000])
    with pytest.raises(BackupFailed, match="cut off"):
        run("checkbackup", "-")
    assert store.all() == []


@pytest.mark.long
def test_what_a_killed_proof_leaves_is_offered_by_the_next_and_nothing_else(
    small: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(store)
    name = "rehome.ops.backups.proving.compare"
    assert doomed("before", name, "checkbackup", folder=tmp_path).returncode == -signal.SIGKILL
    server = Server.of(connection)
    until(lambda: scratch.leftovers(server), "the database of a killed process is not found")
    [left] = scratch.leftovers(server)
    assert left.comment.startswith("rehome: checkbackup of ")

    with scratch.made(server, "somebody's") as used:
        assert [one.name for one in scratch.leftovers(server)] == [left.name]
        said = io.StringIO()
        call_command("checkbackup", stdout=io.StringIO(), stderr=said)
        assert f"A killed process has left the database {left.name}" in said.getvalue()
        assert f'DROP DATABASE "{left.name}";' in said.getvalue()
        assert left.name in databases("rehome_scratch")
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda question: "yes")
        run("checkbackup")
        assert databases("rehome_scratch") == [used.database]
    assert databases("rehome_scratch") == []


def test_partitions_large_objects_and_odd_tables_are_compared(small: str, store: Store) -> None:
    rows("CREATE TABLE parted (id int, at date) PARTITION BY RANGE (id)")
    rows("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (100)")
    rows("CREATE TABLE parted_2 (at date, gone text, id int)")  # Its columns are in another order.
    rows("ALTER TABLE parted_2 DROP gone")
    rows("ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (100) TO (200)")
    rows("INSERT INTO parted SELECT n, '2026-01-01' FROM generate_series(1, 150) n")
    rows("CREATE TABLE nothing ()")
    rows("INSERT INTO nothing DEFAULT VALUES")
    rows("CREATE UNLOGGED TABLE quick AS SELECT NULL::text AS a UNION ALL SELECT '' UNION ALL SELECT ''")
    rows("CREATE SCHEMA apart")
    rows("CREATE TABLE apart.kind AS SELECT 1.50::numeric AS n, 'infinity'::timestamptz AS at, 'NaN'::float8 AS f")
    rows("SELECT lo_from_bytea(0, 'some bytes')")
    rows("ALTER TABLE kind ENABLE ROW LEVEL SECURITY")

    manifest = made(store).manifest

    tables = manifest.fingerprint.tables
    assert tables["large objects"][0] == 1
    assert tables['"public"."parted_1"'][0] + tables['"public"."parted_2"'][0] == 150
    assert tables['"public"."nothing"'][0] == 1
    assert '"public"."parted"' not in tables
    assert run("checkbackup").startswith("Proved: ")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE kind SET name = 'other' WHERE id = 1",
        "UPDATE {item} SET price = 1.0501 WHERE id = 1",
        "UPDATE {item} SET name = '' WHERE name IS NULL",
        "UPDATE {item} SET tags = ARRAY['a', 'NULL', '1'] WHERE id = 1",
        "UPDATE {item} a SET name = b.name FROM {item} b WHERE b.id = 3 - a.id AND a.id < 3",
        "INSERT INTO kind VALUES (6, 'more')",
        "DELETE FROM {item} WHERE id = 200",
        "ALTER TABLE {item} DROP CONSTRAINT \"Odd \"\"item_kind_id_fkey\"",
        "DROP INDEX \"Odd \"\"item_written_at_idx\"",
        "DROP TRIGGER noticed ON {item}",
        "DROP VIEW cheap",
        "SELECT nextval('counted')",
        "ALTER TABLE kind RENAME COLUMN name TO called",
    ],
)  # fmt: skip
def test_each_change_is_a_difference(small: str, store: Store, change: str) -> None:
    from rehome.ops import fingerprints

    with Server.of(connection).session() as session:
        with session.transaction():
            before = fingerprints.take(session)
        session.execute("SET search_path TO public")
        session.execute(f"ALTER TABLE {ITEM} DISABLE TRIGGER USER")
        session.execute(change.replace("{item}", ITEM))
        with session.transaction():
            assert len(fingerprints.differences(before, fingerprints.take(session))) == 1


@pytest.mark.long
def test_an_older_manifest_can_be_read(small: str, store: Store) -> None:
    """What is written today is what every later version reads."""
    manifest = made(store).manifest

    assert Manifest.from_json(manifest.as_json(), manifest.name) == manifest
    assert farm.sql("SELECT count(*) FROM kind") == [(5,)]
