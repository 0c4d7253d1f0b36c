"""The server is stopped at once while a backup is made, proved or restored: nothing is half-done."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from core.embedded import server
from rehome.errors import BackupFailed
from rehome.ops.backups import restoring
from rehome.ops.backups.store import Store
from tests.farm.databases import server_of_its_own, stop_at_once
from tests.manage import command, manage
from tests.rehome.ops.conftest import SCHEMA
from tests.rehome.support.backups import databases, made, rows
from tests.waiting import until

pytestmark = pytest.mark.long

SLOW = """
CREATE MATERIALIZED VIEW slow AS
  SELECT CASE WHEN current_setting('restored.slowly', true) = 'yes' THEN pg_sleep(1000)::text END AS waited;
"""
WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
RESTORING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_restore' AND wait_event = 'PgSleep'"
LOST = "The server was lost during the swap: .* Both databases are renamed, or none: if there is a database"
ROWS = "SELECT count(*) FROM kind"


@pytest.fixture
def data(django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """The default connection leads to a small database of a server that may be stopped; the folder of its data."""
    with django_db_blocker.unblock(), server_of_its_own() as data:
        rows(SCHEMA + SLOW)
        yield data


def environment(data: Path, folder: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": "",
        "EMBEDDED_POSTGRES_DIR": str(data),
        "BACKUP_DIR": str(folder / "backups"),
        "REHOME_BACKUP_WORK": str(folder / "work"),
    }


def stopped_while(query: str, data: Path, folder: Path, *words: str) -> str:
    """What a command says, on one line, whose server is stopped as soon as `query` finds something."""
    process = subprocess.Popen(
        command(*words), env=os.environ | environment(data, folder), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        until(lambda: rows(query) or process.poll() is not None, f"{words} does not get there")
        connection.close()
        stop_at_once(data)
        said, errors = process.communicate()
    print(said, errors)  # noqa: T201
    assert process.returncode == 1
    assert "Traceback" not in errors
    return errors.splitlines()[-1]


def test_a_backup_whose_server_stops_is_none(data: Path, store: Store, tmp_path: Path) -> None:
    with closing(connection.copy()) as another:
        another.set_autocommit(False)
        another.cursor().execute("LOCK kind IN ACCESS EXCLUSIVE MODE")
        said = stopped_while(WAITING, data, tmp_path, "backup")
    assert said.startswith("CommandError: Database 'default' can't be read: ")
    assert "Check that the server runs" in said
    assert (list((tmp_path / "work").iterdir()), store.all()) == ([], [])

    assert manage("backup", **environment(data, tmp_path)).returncode == 0
    (backup,) = store.all()
    assert not backup.proved


@pytest.mark.parametrize("name", ["checkbackup", "restorebackup"])
def test_what_is_restored_when_the_server_stops_is_found_by_the_next_run(
    data: Path, store: Store, tmp_path: Path, name: str
) -> None:
    assert manage("backup", **environment(data, tmp_path)).returncode == 0
    (backup,) = store.all()
    confirmed = ["--confirm", server.DATABASE] if name == "restorebackup" else []
    words = (name, backup.manifest.name, "--noinput", *confirmed)
    rows("ALTER ROLE postgres SET restored.slowly = 'yes'")
    connection.close()

    said = stopped_while(RESTORING, data, tmp_path, *words)
    assert re.fullmatch(
        r"BackupFailed: pg_restore .* failed: .*server closed the connection unexpectedly.* The server can't be "
        r"reached now, and database 'rehome_scratch_\w+' may be left on it: run the command again .*",
        said,
    )
    assert list((tmp_path / "work").iterdir()) == []
    (backup,) = store.all()
    assert not backup.proof
    assert manage("showmoves", **environment(data, tmp_path)).returncode == 0  # Starts the server.
    assert rows(ROWS) == [(5,)]
    (left,) = databases("rehome_scratch")
    assert databases(server.DATABASE) == [server.DATABASE]

    rows("ALTER ROLE postgres RESET restored.slowly")
    connection.close()
    done = manage(*words, **environment(data, tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"A killed process has left the database {left}" in done.stderr
    assert databases("rehome_scratch") == [left]


def test_a_server_that_stops_in_the_swap_leaves_both_names_or_none(
    data: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, rename, out = made(store).manifest.name, restoring.rename, StringIO()

    def stopped_before(*args: Any) -> None:
        stop_at_once(data)
        rename(*args)

    def stopped_after(*args: Any) -> None:
        rename(*args)
        stop_at_once(data)

    for stopped, said in ((stopped_before, LOST), (stopped_after, "The server can't be reached now")):
        monkeypatch.setattr(restoring, "rename", stopped)
        with pytest.raises(BackupFailed, match=said):
            call_command("restorebackup", name, "--noinput", "--confirm", server.DATABASE, stdout=out, stderr=out)
        assert manage("showmoves", **environment(data, tmp_path)).returncode == 0
        kept = databases(f"{server.DATABASE}_before")
        assert len(kept) == (stopped is stopped_after)
        assert all(f"The one before is kept as {one}." in out.getvalue() for one in kept)
        assert rows(ROWS) == [(5,)]
        connection.close()
