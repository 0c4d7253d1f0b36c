"""A backup is a whole one, or none; what is in it is from one moment, whoever writes meanwhile."""

import contextlib
import dataclasses
import datetime
import io
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, load_command_class
from django.db import connection
from pytest_django import Settings

from rehome.errors import BackupFailed, Refused
from rehome.ops import clients, fingerprints, servers
from rehome.ops.backups import dumping, piping, work
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server
from rehome.postgres.session import ONE_MOVE, Session
from tests.farm.databases import connected_to
from tests.farm.test_locks import other_session
from tests.manage import command
from tests.rehome.ops.conftest import ITEM
from tests.rehome.support.backups import (
    Flipping,
    Recording,
    Renaming,
    databases,
    doomed,
    environment,
    made,
    rows,
    run,
)
from tests.waiting import until

pytestmark = pytest.mark.server

LONG = pytest.mark.long

INSERT = f"INSERT INTO {ITEM} (kind_id, name) VALUES (1, 'new')"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


@contextlib.contextmanager
def quietly(name: str) -> Iterator[None]:
    yield


def test_the_manifest_says_what_is_in_the_dump(small: str, store: Store) -> None:
    one = made(store).manifest

    assert one.database == small
    assert one.fingerprint.tables[f'"public".{ITEM}'][0] == 200
    assert one.fingerprint.tables['"public"."kind"'][0] == 5
    assert one.fingerprint.objects["triggers"] == 1
    assert one.server_major == connection.pg_version // 10_000
    assert one.properties.encoding == "UTF8"


def test_it_is_listed_and_not_proved_yet(small: str, store: Store) -> None:
    name = made(store).manifest.name

    (shown,) = json.loads(run("backup", list=True, format="json"))
    assert (shown["backup"], shown["proved"], shown["rows"]) == (name, "no", 205)
    assert name in run("backup", list=True)


@pytest.mark.long
def test_nothing_is_left_of_the_work(small: str, store: Store, tmp_path: Path) -> None:
    made(store)

    assert files(tmp_path / "work") == []


def test_what_is_committed_after_the_snapshot_is_neither_in_the_dump_nor_in_the_manifest(
    small: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two, and after both, a row comes and a number is drawn."""
    take = fingerprints.take

    def interleaved(*args: Any) -> fingerprints.Fingerprint:
        with other_session() as session:
            session.execute(INSERT)
        found = take(*args)
        with other_session() as session:
            session.execute(INSERT)
            session.execute("SELECT nextval('counted')")
        return found

    monkeypatch.setattr(dumping.fingerprints, "take", interleaved)

    manifest = made(store).manifest

    monkeypatch.undo()
    assert manifest.fingerprint.tables[f'"public".{ITEM}'][0] == 200
    assert rows(f"SELECT count(*) FROM {ITEM}") == [(202,)]
    assert "every one of 205 rows" in run("checkbackup")


@pytest.mark.long
def test_a_backup_is_right_while_others_write(small: str, store: Store) -> None:
    stop, written = threading.Event(), threading.Event()

    def write() -> None:
        with other_session() as session:
            while not stop.is_set():
                session.execute(INSERT)
                session.execute(f"DELETE FROM {ITEM} WHERE id = (SELECT min(id) FROM {ITEM})")
                written.set()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        assert written.wait(60)
        made(store)
        assert run("checkbackup").startswith("Proved: ")
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def test_no_backup_is_made_while_a_move_runs(small: str, store: Store) -> None:
    with other_session() as session:
        session.execute("SELECT pg_advisory_lock(%s)", [ONE_MOVE])
        with pytest.raises(Refused, match=r"A move is running here.*pid \d+.*Back up when it has ended"):
            run("backup")

    assert store.all() == []


def test_no_move_begins_while_a_backup_runs(small: str, store: Store) -> None:
    with dumping.moment(connection), other_session() as session:
        ((free,),) = session.execute("SELECT pg_try_advisory_lock(%s)", [ONE_MOVE])
    assert not free
    with Session(connection).only_move("afterwards"):
        pass


@pytest.mark.long
def test_two_backups_may_run_at_once(small: str, store: Store) -> None:
    with other_session() as session:
        session.execute("SELECT pg_advisory_lock_shared(%s)", [ONE_MOVE])
        assert made(store)


def test_two_backups_of_one_second_have_two_names(small: str, store: Store) -> None:
    """As several machines make them by the same crontab."""
    with Server.of(connection).session() as one, Server.of(connection).session() as another:
        where, now = servers.look(one), datetime.datetime(2026, 3, 1, 3, 12, tzinfo=datetime.UTC)
        with dumping.alone(one, where, now) as first, dumping.alone(another, where, now) as second:
            assert first.endswith("-20260301T031200Z.dump")
            assert second.endswith("-20260301T031201Z.dump")


def test_a_backup_of_a_standby_is_as_old_as_what_it_has(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server.of(connection).session() as session:
        primary = servers.look(session)
        standby = dataclasses.replace(primary, in_recovery=True)
        now, taken_at = dumping.clock(session, primary)
        assert now == taken_at
        with pytest.raises(Refused, match="standby can't tell how old its contents are"):
            dumping.clock(session, standby)
        monkeypatch.setattr(dumping, "CLOCK", "SELECT '2026-03-02'::timestamp, '2026-03-01'::timestamp")
        assert dumping.clock(session, standby)[1] == datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


def test_a_table_that_somebody_locks_is_not_waited_for_for_ever(
    small: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dumping, "LOCK_WAIT_MS", 100)
    monkeypatch.setattr(fingerprints, "take", lambda session: None)
    with other_session() as session, session.transaction():
        session.execute("LOCK kind IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(
            BackupFailed, match=r"pg_dump .* waited 0 s for a lock of another session: pid \d+ .* uses public.kind"
        ):
            run("backup")

    assert (files(tmp_path / "work"), store.all()) == ([], [])


def test_a_backup_is_stored_archive_first_and_manifest_last(small: str, tmp_path: Path) -> None:
    storage = Recording(tmp_path / "backups")
    with dumping.dumped(connection, quietly) as (manifest, archive):
        Store(storage).keep(manifest, archive)

    assert [name.rpartition(".")[2] for name in storage.saved] == ["dump", "json"]


@pytest.mark.parametrize("refused", [".json", pytest.param(".dump", marks=LONG)])
def test_what_a_storage_refuses_leaves_nothing_and_is_a_sentence(small: str, tmp_path: Path, refused: str) -> None:
    kept = Store(Recording(tmp_path / "backups", refused))
    with (
        dumping.dumped(connection, quietly) as (manifest, archive),
        pytest.raises(BackupFailed, match=r"can't be stored: An error occurred \(AccessDenied\) when calling PutObj"),
    ):
        kept.keep(manifest, archive)

    assert files(tmp_path / "backups") == []


@pytest.mark.parametrize(
    ("storage", "said"),
    [(Flipping, "reads back as something else"), pytest.param(Renaming, "was stored as", marks=LONG)],
)
def test_what_is_stored_is_read_back(small: str, tmp_path: Path, storage: Any, said: str) -> None:
    kept = Store(storage(tmp_path / "backups"))
    with dumping.dumped(connection, quietly) as (manifest, archive), pytest.raises(BackupFailed, match=said):
        kept.keep(manifest, archive)

    assert files(tmp_path / "backups") == []


@pytest.mark.long
def test_a_backup_is_never_stored_over_another(small: str, store: Store) -> None:
    with dumping.dumped(connection, quietly) as (manifest, archive):
        store.keep(manifest, archive)
        with pytest.raises(BackupFailed, match="is there already"):
            store.keep(manifest, archive)

    assert [one.manifest for one in store.all()] == [manifest]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """With less room than an archive needs."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("without the right to mount a small disk")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_full_disk_leaves_no_archive_and_is_a_sentence(
    small: str, store: Store, small_disk: Path, settings: Settings
) -> None:
    settings.REHOME_BACKUP_WORK = str(small_disk)
    with pytest.raises(BackupFailed, match="pg_dump .* failed: .*No space left on device"):
        run("backup")

    assert (files(small_disk), store.all()) == ([], [])


@pytest.mark.long
def test_a_full_storage_keeps_the_backups_that_are_there(small: str, store: Store, small_disk: Path) -> None:
    kept = Store(type(store.storage)(small_disk))
    with (
        dumping.dumped(connection, quietly) as (manifest, archive),
        pytest.raises(BackupFailed, match="can't be stored: .*No space left on device"),
    ):
        kept.keep(manifest, archive)

    assert files(small_disk) == []


@pytest.mark.parametrize("damage", ["cut off", *(pytest.param(one, marks=LONG) for one in ("flipped", "empty"))])
def test_an_archive_that_is_damaged_before_it_is_stored_is_found(small: str, tmp_path: Path, damage: str) -> None:
    with dumping.dumped(connection, quietly) as (manifest, archive):
        data = bytearray(archive.read_bytes())
        position = data.index(b"\x78\x9c") + 40 if b"\x78\x9c" in data else len(data) // 2
        if damage == "flipped":
            data[position] ^= 8
        archive.write_bytes({"cut off": data[:-200], "flipped": data, "empty": b""}[damage])
        with pytest.raises(BackupFailed, match="is empty" if damage == "empty" else "pg_restore .* failed: "):
            dumping.read(clients.to_read(manifest.client), archive)


@pytest.mark.long
def test_only_the_newest_are_kept_and_the_last_proved_one(small: str, store: Store) -> None:
    """The names of two backups of one second would be the same."""
    first = made(store)
    run("checkbackup")
    for number in range(3):
        until(lambda: made_in_another_second(store), f"backup {number}")

    run("backup", list=True)
    old = store.retain(first.manifest.system_identifier, small, 2)

    assert len(old) == 1
    assert first.manifest.name in [one.manifest.name for one in store.all()]
    assert len(store.all()) == 3
    assert len(files(Path(store.storage.location))) == 3 * 2 + 1


def made_in_another_second(store: Store) -> bool:
    with contextlib.suppress(BackupFailed):
        return bool(made(store))
    return False


@LONG
def test_an_archive_that_never_had_a_manifest_is_deleted_a_day_later(small: str, store: Store) -> None:
    folder = made(store).manifest.system_identifier
    for other in (f"{small}-20260101T000000Z", f"{small}-30260101T000000Z", f"{small}_eu-20260101T000000Z"):
        store.save_text(f"{folder}/{other}.dump", "some bytes")

    until(lambda: made_in_another_second(store), "no backup can be made")

    left = files(Path(store.storage.location))
    assert f"{small}-20260101T000000Z.dump" not in left
    assert {f"{small}-30260101T000000Z.dump", f"{small}_eu-20260101T000000Z.dump"} <= {*left}
    assert len(left) == 2 * 2 + 2


KILLED = [
    ("before", "rehome.ops.fingerprints.take"),
    ("after", "rehome.ops.backups.dumping.read"),
    ("before", "rehome.ops.backups.store.Store.save"),
    ("after", "rehome.ops.backups.store.Store.save"),
]


@pytest.mark.long
@pytest.mark.parametrize(("moment", "name"), KILLED, ids=lambda part: part.rpartition(".")[2])
def test_a_backup_that_is_killed_is_no_backup_and_the_next_one_clears_up(
    small: str, store: Store, tmp_path: Path, moment: str, name: str
) -> None:
    assert doomed(moment, name, "backup", folder=tmp_path).returncode == -signal.SIGKILL

    assert store.all() == []
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{small}' AND application_name = 'pg_dump'"
    until(lambda: rows(query) == [(0,)], "pg_dump goes on without the process that started it")
    until(lambda: unlocked(tmp_path / "work"), "somebody holds the part")
    until(lambda: made_in_another_second(store), "no backup can be made")
    assert files(tmp_path / "work") == []
    assert len(store.all()) == 1


def unlocked(folder: Path) -> bool:
    work.clear(folder)
    return files(folder) == []


@pytest.mark.long
def test_a_backup_that_is_interrupted_says_so_and_leaves_nothing(small: str, store: Store, tmp_path: Path) -> None:
    with other_session() as session, session.transaction():
        session.execute("LOCK kind IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            command("backup"), env=os.environ | environment(tmp_path), stderr=subprocess.PIPE, text=True
        )
        waiting = f"SELECT pid FROM pg_stat_activity WHERE datname = '{small}' AND wait_event_type = 'Lock'"
        until(lambda: rows(waiting), "the backup does not wait for the lock")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()

    assert (process.returncode, said.splitlines()[-1]) == (143, "CommandError: Interrupted; no backup was made.")
    assert (files(tmp_path / "work"), store.all()) == ([], [])


def test_a_stream_is_a_backup_and_one_that_is_cut_off_is_none(small: str, store: Store, tmp_path: Path) -> None:
    with dumping.dumped(connection, quietly) as (manifest, archive):
        stream = io.BytesIO()
        piping.write(manifest, archive, stream)
    data = stream.getvalue()

    assert piping.read(io.BytesIO(data), tmp_path / "archive") == manifest
    for length in (0, 100, 5000, data.index(b"manifest.json"), data.index(b'"probe"')):
        with pytest.raises(BackupFailed, match="cut off|no backup"):
            piping.read(io.BytesIO(data[:length]), tmp_path / "archive")
    assert store.all() == []


@pytest.mark.long
def test_a_pipe_gets_the_backup_alone(small: str, store: Store, tmp_path: Path) -> None:
    words = command("backup", "--pipe")
    piped = subprocess.run(words, env=os.environ | environment(tmp_path), capture_output=True, check=True)

    assert piping.read(io.BytesIO(piped.stdout), tmp_path / "archive").database == small
    assert (store.all(), files(tmp_path / "work")) == ([], [])


@pytest.mark.long
def test_without_a_storage_it_says_what_to_set(small: str, settings: Settings) -> None:
    settings.REHOME_BACKUP_STORAGE = "elsewhere"
    with pytest.raises(Refused, match="STORAGES has no usable 'elsewhere' for backups.*Add 'elsewhere' to STORAGES"):
        run("backup")


def test_a_pipe_that_ends_early_is_named(small: str, store: Store, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    known = os.environ | environment(tmp_path)
    words = command("backup", "--pipe")
    done = subprocess.run(words, env=known, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "BackupFailed: What the backup was piped into has ended before it had all of it, and is no backup. "
        "See what that program says, and run both again."
    )


@pytest.mark.parametrize("words", [["--keep", "0"], ["--keep", "some"], ["--list", "--pipe"]], ids=" ".join)
def test_wrong_arguments_exit_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        load_command_class("rehome", "backup").run_from_argv(["manage.py", "backup", *words])
    assert raised.value.code == 2


@pytest.mark.long
def test_the_command_can_be_called(small: str, store: Store) -> None:
    call_command("backup", verbosity=0, stdout=io.StringIO())
    assert len(databases("rehome_scratch")) == 0
    assert len(store.all()) == 1


def test_settings_beside_a_service_hold_for_programs_too(
    small: str, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "services").write_text("[farm]\nhost=/nowhere\nport=1\nuser=nobody\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    given = connection.get_connection_params()
    with connected_to(small, HOST=given["host"], PORT=given["port"], USER=given["user"], OPTIONS={"service": "farm"}):
        assert made(store).manifest.database == small
