"""A backup takes a database's place by a swap, which can be undone; nothing is restored in place."""

import contextlib
import dataclasses
import io
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import conninfo

from rehome.errors import BackupFailed, Refused
from rehome.ops import servers
from rehome.ops.backups import restoring
from rehome.ops.backups import store as storing
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server
from tests.farm import farm
from tests.farm.databases import WORKER, Owned, connected_to, database
from tests.farm.test_locks import other_session
from tests.rehome.ops.conftest import ITEM
from tests.rehome.support.backups import databases, doomed, made, rows, run

pytestmark = pytest.mark.server

COUNT = f"SELECT count(*) FROM {ITEM}"
LOSE = f"DELETE FROM {ITEM} WHERE id > 10"


def restore(name: object, **options: Any) -> str:
    return run("restorebackup", str(name), **{"confirm": connection.settings_dict["NAME"]} | options)


def unchanged(name: str) -> None:
    """The database is the one that lost rows, and nothing is beside it."""
    assert rows(COUNT) == [(10,)]
    assert (databases("rehome_scratch"), databases(f"{name}_")) == ([], [])


def test_a_backup_takes_the_place_of_the_database_and_undoing_swaps_again(small: str, store: Store) -> None:
    backup = made(store)
    rows(LOSE)

    told = restore(backup)

    assert rows(COUNT) == [(200,)]
    (kept,) = databases(f"{small}_before_")
    assert f'DROP DATABASE "{kept}";' in told
    assert f"database    {small}" in told
    assert "last write  20" in told
    run("restorebackup", undo=True, confirm=small)
    assert rows(COUNT) == [(10,)]
    assert len(databases(f"{small}_undone_")) == 1
    assert databases(f"{small}_before_") == []
    run("restorebackup", undo=True, confirm=small)
    assert rows(COUNT) == [(200,)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"confirm": None}, "there is no terminal to ask on: it is database '{name}' on .*Add --confirm {name}"),
        ({"confirm": None, "interactive": False}, "--noinput alone does not confirm it.*Nothing is changed"),
        ({"confirm": "portal"}, "--confirm names 'portal', and this is database '{name}' on .*Nothing is changed"),
    ],
)
def test_a_name_that_is_not_said_is_refused_before_anything(
    small: str, store: Store, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], said: str
) -> None:
    backup = made(store)
    rows(LOSE)
    with pytest.raises(Refused, match=said.format(name=small)):
        restore(backup, **options)
    with monkeypatch.context() as patched:
        patched.setattr(restoring, "kept_ones", lambda server: [f"{small}_before_20260301_081500"])
        with pytest.raises(Refused, match=said.format(name=small)):
            run("restorebackup", undo=True, **options)
    unchanged(small)


@pytest.mark.long
def test_the_name_is_typed_on_a_terminal(small: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = made(store)
    rows(LOSE)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    for typed in ("", "yes", small.upper(), f"{small}_"):
        monkeypatch.setattr("builtins.input", lambda question, typed=typed: typed)
        with pytest.raises(Refused, match=f"is not '{small}'. Nothing is changed"):
            restore(backup, confirm=None)
        unchanged(small)
    monkeypatch.setattr("builtins.input", lambda question: f" {small}\n")
    restore(backup, confirm=None)
    assert rows(COUNT) == [(200,)]


@pytest.mark.long
def test_without_a_name_backups_are_listed_and_none_is_taken(small: str, store: Store) -> None:
    backup = made(store)
    printed = io.StringIO()
    with pytest.raises(CommandError, match="Say which one: `manage.py restorebackup NAME`") as raised:
        call_command("restorebackup", confirm=small, stdout=printed)
    assert raised.value.returncode == 2
    assert str(backup) in printed.getvalue()
    with pytest.raises(Refused, match="There is no backup 'newest'; the last one is .*backup --list"):
        restore("newest")
    with pytest.raises(CommandError, match="takes no backup"):
        restore(backup, undo=True)
    for confirmed in (small, None):  # It is not asked for where there is nothing to confirm.
        with pytest.raises(Refused, match="No database was kept"):
            run("restorebackup", undo=True, confirm=confirmed, interactive=False)


@pytest.mark.long
def test_a_backup_of_another_database_is_refused_unless_it_is_meant(small: str, store: Store) -> None:
    with database(f"test_foreign_{WORKER}") as foreign, connected_to(foreign):
        rows("CREATE TABLE theirs AS SELECT 1 AS id")
        backup = made(store)
    rows(LOSE)

    with pytest.raises(Refused, match=f"is of '{foreign}' on .*; this is database '{small}'.*add --from-other"):
        restore(backup)
    unchanged(small)
    restore(backup, from_other=True)
    assert rows("SELECT id FROM theirs") == [(1,)]


@pytest.mark.long
def test_a_backup_of_another_server_is_another_one(small: str, store: Store) -> None:
    manifest = dataclasses.replace(made(store).manifest, system_identifier="1")
    with Server.of(connection).session() as session, pytest.raises(Refused, match="system 1; this is"):
        restoring.refuse_other(manifest, servers.look(session))


def test_what_is_not_what_was_dumped_never_takes_the_place(small: str, store: Store) -> None:
    backup = made(store)
    rows(LOSE)
    fingerprint = dataclasses.replace(
        backup.manifest.fingerprint, tables={**backup.manifest.fingerprint.tables, '"public"."kind"': (5, "7")}
    )
    changed = dataclasses.replace(backup.manifest, fingerprint=fingerprint)
    store.save_text(storing.beside(str(backup), storing.MANIFEST), changed.as_json())

    with pytest.raises(BackupFailed, match="not what was dumped: .*kind.*other values. Nothing is changed"):
        restore(backup)
    unchanged(small)


def test_what_belongs_to_the_database_itself_goes_along(small: str, store: Store) -> None:
    backup = made(store)
    for statement in (
        f'ALTER DATABASE {small} SET search_path TO "$user", public, "odd, schema"',
        f"ALTER DATABASE {small} SET statement_timeout TO '7min'",
        f"ALTER DATABASE {small} CONNECTION LIMIT 57",
        f"COMMENT ON DATABASE {small} IS 'the farm'",
        f"REVOKE ALL ON DATABASE {small} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {small} TO pg_monitor WITH GRANT OPTION",
    ):
        rows(statement)
    known = """
        SELECT datcollate, datctype, datconnlimit, datdba::regrole::text, shobj_description(d.oid, 'pg_database'),
               datacl::text, (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid)
          FROM pg_database d WHERE datname = current_database()
    """
    before = rows(known)

    restore(backup)

    assert rows(known) == before
    assert rows("SHOW statement_timeout") == [("7min",)]
    assert rows("SHOW search_path") == [('"$user", public, "odd, schema"',)]


def test_whoever_is_connected_is_named_and_disconnected_and_whoever_comes_meanwhile_waits(
    small: str, store: Store
) -> None:
    backup = made(store)
    rows(LOSE)
    stop, found = threading.Event(), []
    given = connection.get_connection_params()
    where = {name: given[name] for name in ("dbname", "user", "password", "host", "port") if given.get(name)}

    def come_again_and_again() -> None:
        while not stop.is_set():
            try:
                with psycopg.connect(conninfo.make_conninfo(**where), application_name="gunicorn") as session:
                    found.append(session.execute(COUNT).fetchone())
                    stop.wait(0.01)
            except psycopg.OperationalError as error:
                found.append(str(error))

    apps = [threading.Thread(target=come_again_and_again) for _ in range(4)]
    for app in apps:
        app.start()
    try:
        with other_session() as idle:
            told = restore(backup)
            assert "gunicorn" in told
            with pytest.raises(psycopg.OperationalError, match="terminating connection"):
                idle.execute("SELECT 1")
    finally:
        stop.set()
        for app in apps:
            app.join()

    assert rows(COUNT) == [(200,)]
    assert {answer for answer in found if isinstance(answer, tuple)} <= {(10,), (200,)}


@pytest.mark.long
def test_a_swap_that_somebody_prevents_changes_nothing(
    small: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = made(store)
    rows(LOSE)
    monkeypatch.setattr(restoring, "TRIES", 1)
    monkeypatch.setattr(restoring, "END", "SELECT %s")
    with (
        other_session(),
        pytest.raises(BackupFailed, match=r"can't be renamed: .*Connected: pid \d+.*Nothing is changed"),
    ):
        restore(backup)
    unchanged(small)


def test_a_swap_is_both_renames_or_none(small: str, store: Store) -> None:
    rows(LOSE)
    with pytest.raises(psycopg.errors.InvalidCatalogName):
        restoring.swap(Server.of(connection), "rehome_nowhere")
    connection.close()  # Everybody was disconnected before it failed.
    unchanged(small)


@pytest.mark.long
def test_undo_takes_no_database_of_another_whose_name_begins_alike(small: str, store: Store) -> None:
    backup = made(store)
    restore(backup)
    said = pytest.raises(Refused, match=f"No database was kept of '{small}_eu'")
    with database(f"{small}_eu") as longer, connected_to(longer), said:
        run("restorebackup", undo=True, confirm=longer)
    with connected_to(small[:-1]):
        assert restoring.kept_ones(Server.of(connection)) == []


@pytest.mark.long
def test_a_long_name_is_cut_and_found_again(store: Store, small: str) -> None:
    name = f"test_{'ä' * 24}_{WORKER}"
    with database(name, template=small), connected_to(name):
        backup = made(store)
        rows(LOSE)
        restore(backup)
        assert rows(COUNT) == [(200,)]
        run("restorebackup", undo=True, confirm=name)
        assert rows(COUNT) == [(10,)]
        (undone,) = restoring.kept_ones(Server.of(connection))
        farm.on_server(f'DROP DATABASE "{undone}"')


def test_a_database_that_nobody_can_connect_to_is_replaced(small: str, store: Store) -> None:
    """A backup is for one that is broken."""
    backup = made(store)
    rows(LOSE)
    connection.close()
    farm.on_server(f'ALTER DATABASE "{small}" ALLOW_CONNECTIONS false')

    told = restore(backup)

    assert f"database    {small}" in told
    assert "last write  not known" in told
    assert rows(COUNT) == [(200,)]


def test_a_database_that_is_gone_is_made_again(small: str, store: Store) -> None:
    """As on a new server: there is nothing to lose, and nothing to confirm."""
    backup = made(store)
    farm.on_server(f'DROP DATABASE "{small}" WITH (FORCE)')

    told = run("restorebackup", str(backup))

    assert told == f"{small} is the restored database.\n"
    assert rows(COUNT) == [(200,)]


@pytest.mark.long
def test_a_role_that_may_not_is_refused_before_anything(owned: Owned, store: Store) -> None:
    def by(role: str) -> contextlib.AbstractContextManager[None]:
        return connected_to(owned.name, USER=role, PASSWORD="secret")

    with by(owned.owner):
        backup = made(store)
        with pytest.raises(Refused, match="may not create databases.*CREATEDB"):
            restore(backup)
    farm.on_server(f'ALTER ROLE "{owned.owner}" CREATEDB', f'ALTER ROLE "{owned.clerk}" CREATEDB')
    with by(owned.clerk), pytest.raises(Refused, match="does not own"):
        restore(backup)
    farm.on_server(f"ALTER DATABASE \"{owned.name}\" SET log_statement TO 'none'")
    with by(owned.owner):
        told = io.StringIO()
        call_command("restorebackup", str(backup), confirm=owned.name, stdout=io.StringIO(), stderr=told)
        assert f'a superuser may: ALTER DATABASE "{owned.name}" SET "log_statement" TO \'none\'' in told.getvalue()
        (kept,) = databases(f"{owned.name}_before_")
    farm.on_server(f'DROP DATABASE "{kept}"')


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "rehome.ops.backups.proving.restore",
        "rehome.ops.backups.proving.compare",
        "rehome.ops.backups.restoring.dress",
        "rehome.ops.servers.comment",
    ],
)
def test_a_restore_that_is_killed_changes_nothing(small: str, store: Store, tmp_path: Path, name: str) -> None:
    backup = made(store)
    rows(LOSE)

    killed = doomed("before", name, "restorebackup", str(backup), "--confirm", small, folder=tmp_path)

    assert killed.returncode == -signal.SIGKILL
    assert rows(COUNT) == [(10,)]
    assert databases(f"{small}_") == []
    restore(backup)
    assert rows(COUNT) == [(200,)]


@pytest.mark.long
def test_a_backup_from_before_the_move_takes_the_place_of_a_moved_farm(planned: str, store: Store) -> None:
    """`pg_restore --clean` stops in the middle of that, with foreign keys and indexes gone."""
    before = farm.picture(records=True)
    backup = made(store)
    assert set(backup.manifest.moves.values()) <= {"back", "planned"}
    farm.migrate()
    moved = farm.picture(records=True)

    restore(backup)
    ContentType.objects.clear_cache()
    assert farm.picture(records=True) == before
    run("restorebackup", undo=True, confirm=planned)
    ContentType.objects.clear_cache()
    assert farm.picture(records=True) == moved
    assert "Equal." in run("verifymoves", verbosity=0)
    left = restoring.kept_ones(Server.of(connection))
    farm.on_server(*(f'DROP DATABASE "{one}" WITH (FORCE)' for one in left))
