"""A rehearsal on a copy: what it reports, that it writes nothing to the source, and that nothing is left behind."""

import contextlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from rehome import terminal
from rehome.errors import Refused
from rehome.ops import scratch
from rehome.ops.backups.store import Store
from rehome.ops.rehearsal import comparing, redirecting, report, reports
from rehome.ops.rehearsal.steps import Rehearsal
from rehome.ops.servers import Server
from tests.database import dump
from tests.farm import farm
from tests.rehome.product import phases
from tests.rehome.support import backups, rehearsals
from tests.rehome.support.rehearsals import STAGES, rehearse, stage
from tests.waiting import LIMIT_S

DROP = "drop the target's foreign keys"
COPY = "copy public.warehouse_item, public.warehouse_item_watchers"
WRITTEN = """
SELECT sum(tup_inserted + tup_updated + tup_deleted), sum(conflicts) FROM pg_stat_database
 WHERE datname = current_database()
"""


@pytest.fixture(scope="module")
def never_run(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), phases.project(), phases.template(phases.NEVER) as name:
        yield name


@pytest.fixture
def shop(never_run: str, store: Store, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), rehearsals.shop(never_run) as name:
        yield name
        assert rehearsals.copies(name) == []


def refused(*arguments: str, **options: Any) -> CommandError:
    with pytest.raises(CommandError) as raised:
        call_command("rehearsemoves", *arguments, stdout=StringIO(), stderr=StringIO(), **options)
    return raised.value


def test_each_stage_is_measured_and_the_real_move_is_compared(
    shop: str, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before, written = dump(), backups.rows(WRITTEN)
    found = rehearse("--here")

    assert found["ok"], found
    assert [one["name"] for one in found["stages"] if one["name"] in STAGES] == STAGES
    assert found["moves"] == ["warehouse.Item -> shop.Item"]
    assert found["source"]["database"] == shop != found["copy"]["database"]
    assert found["window_minutes"] == found["way_back_minutes"] == 1
    forward = stage(found, "forward")
    assert forward["rows"] == 10
    assert forward["disk"] > 0 < forward["wal"]
    assert {one["migration"] for one in forward["steps"]} == {rehearsals.MIGRATION}
    assert stage(found, "writes")["rows"] > 5
    # Nothing of it is in the source.
    assert (dump(), backups.rows(WRITTEN)) == (before, written)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert connection.settings_dict["NAME"] == shop
    [kept] = reports.of(store, identifier(), shop, "rehearsal")
    assert kept.report.as_json() == found
    assert "Window to announce: 1 minute" in store.read(kept.name.replace(".json", ".md")).decode()

    capsys.readouterr()
    call_command("migrate", stdout=StringIO())

    said = capsys.readouterr().err
    assert f"Comparing with the rehearsal of {found['began']}" in said
    assert " s, rehearsed " in said
    assert "In all " in said
    [left] = reports.of(store, identifier(), shop, "move")
    assert left.report.ok
    assert left.report.moves == ("warehouse.Item -> shop.Item",)
    [moved] = left.report.stages
    assert [one.key for one in moved.steps] == [(one["migration"], one["name"]) for one in forward["steps"]]
    assert moved.rows == 10

    call_command("migrate", "shop", "0001", stdout=StringIO())

    assert re.search(r"empty the target \(\d+\.\d s, rehearsed \d+\.\d s\)", capsys.readouterr().err)
    assert {one.report.stages[0].name for one in reports.of(store, identifier(), shop, "move")} == {"forward", "back"}


def test_what_fails_on_the_copy_is_reported_and_the_copy_is_dropped(shop: str, store: Store) -> None:
    farm.sql("INSERT INTO shop_item SELECT * FROM warehouse_item LIMIT 1")
    said = StringIO()
    with pytest.raises(CommandError, match="The rehearsal failed, forward: .*public.shop_item"):
        call_command("rehearsemoves", "--here", stdout=said, stderr=StringIO())

    assert "**FAILED**: warehouse.Item -> shop.Item" in said.getvalue()
    assert "**forward**: " in said.getvalue()
    assert "public.shop_item" in said.getvalue()
    assert "Window to announce" not in said.getvalue()


@pytest.mark.long
def test_a_way_back_that_loses_a_row_fails(shop: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Rehearsal.migrate

    def lossy(self: Rehearsal, *target: str) -> None:
        whole(self, *target)
        if target:
            farm.sql("DELETE FROM warehouse_item WHERE id = (SELECT max(id) FROM warehouse_item)")

    monkeypatch.setattr(Rehearsal, "migrate", lossy)
    with contextlib.suppress(CommandError):
        rehearse("--here")
    [kept] = reports.of(store, identifier(), shop, "rehearsal")

    assert [one.name for one in kept.report.stages if one.problem] == ["verify back"]
    assert "public.warehouse_item had 5 rows before the way back, and 4 after it" in kept.report.stages[-1].problem


def test_it_asks_where_and_names_the_size(shop: str) -> None:
    error = refused()

    assert error.returncode == 2
    assert f"Say where the copy of {shop!r}" in str(error)
    assert "--here, on its own, which needs about " in str(error)


def test_where_no_move_would_run_nothing_is_rehearsed(shop: str) -> None:
    phases.run("migrate")

    assert "would run no move" in str(refused("--here"))


def test_a_backup_that_is_not_there_is_refused(shop: str, tmp_path: Any) -> None:
    assert f"There is no backup of {shop!r} in the storage" in str(refused("--here", from_backup="yesterday"))
    (tmp_path / "some.dump").write_bytes(b"PGDMP")
    assert "has no manifest some.json" in str(refused("--here", from_backup=str(tmp_path / "some.dump")))


@pytest.mark.long
def test_the_backup_that_would_be_relied_on_is_restored(shop: str, store: Store) -> None:
    made = backups.made(store)
    found = rehearse("--here", "--from-backup", "latest")
    assert found["origin"] == f"the backup {made.manifest.name}"
    found = rehearse("--here", "--from-backup", made.manifest.name.rpartition("/")[2])
    assert found["ok"]

    path = store.storage.path(made.manifest.name)
    with open(path, "r+b") as archive:
        archive.seek(100)
        archive.write(b"damage")
    assert "it is damaged" in str(refused("--here", from_backup=path))


@pytest.mark.long
@pytest.mark.parametrize("way", ["online", "in place"])
def test_other_ways_are_rehearsed_too(shop: str, way: str) -> None:
    with phases.declared_in_place() if way == "in place" else contextlib.nullcontext():
        found = rehearse("--here", *(["--online"] if way == "online" else []))

    assert found["ok"], found
    assert found["online"] == (way == "online")
    names = [one["name"] for one in stage(found, "forward")["steps"]]
    assert ("carry new writes" in names) == (way == "online")


@pytest.mark.long
def test_a_copy_that_is_kept_is_no_leftover(shop: str) -> None:
    assert rehearse("--here", "--keep")["ok"]

    [kept] = backups.databases(f"{shop}_rehearsed_")
    farm.on_server(f'DROP DATABASE "{kept}" WITH (FORCE)')


# ----- nothing can write to the source


def test_no_session_of_djangos_can_write_meanwhile(shop: str) -> None:
    server = Server.of(connection)
    with redirecting.reading_alone():
        with pytest.raises(DatabaseError, match="read-only"):
            farm.sql("DELETE FROM warehouse_item")
        with scratch.made(server, "a test") as copy, redirecting.redirected("default", copy, elsewhere=False):
            farm.sql("CREATE TABLE written (id int)")
        with pytest.raises(DatabaseError, match="read-only"):
            farm.sql("DELETE FROM warehouse_item")
    farm.sql("UPDATE warehouse_item SET name = name")


def test_another_alias_of_the_same_database_is_redirected_and_others_only_read(shop: str) -> None:
    connections.databases["twin"] = {**connection.settings_dict}
    connections.databases["beside"] = {**connection.settings_dict, "NAME": "postgres"}
    try:
        with redirecting.reading_alone(), scratch.made(Server.of(connection), "a test") as copy:
            with redirecting.redirected("default", copy, elsewhere=False):
                assert farm.sql("SELECT current_database()", database="twin") == [(copy.database,)]
                with ThreadPoolExecutor(1) as thread:
                    assert thread.submit(where).result() == [(copy.database,)]
                with pytest.raises(DatabaseError, match="read-only"):
                    farm.sql("CREATE TABLE written (id int)", database="beside")
            assert farm.sql("SELECT current_database()", database="twin") == [(shop,)]
    finally:
        for alias in ("twin", "beside"):
            connections[alias].close()
            del connections[alias], connections.databases[alias]


def test_a_connection_that_leads_elsewhere_all_the_same_is_refused(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = connection.get_connection_params
    monkeypatch.setattr(connection, "get_connection_params", lambda: whole() | {"dbname": shop})
    with (
        redirecting.reading_alone(),
        scratch.made(Server.of(connection), "a test") as copy,
        pytest.raises(Refused, match="Nothing has been rehearsed"),
        redirecting.redirected("default", copy, elsewhere=False),
    ):
        raise AssertionError


# ----- the real move, which waits


def test_a_step_that_is_slower_than_rehearsed_says_whom_it_waits_for(
    shop: str, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"host": "", "port": "", "database": shop, "system_identifier": identifier(), "version": 180000}
    fast = report.Report(
        kind="rehearsal",
        began="2026-03-04T12:00:00+00:00",
        source=report.Server(**known, size=0, rows=0, settings={}),
        copy=None,
        origin="",
        migrations=(rehearsals.MIGRATION,),
        moves=("warehouse.Item -> shop.Item",),
        online=False,
        stages=(
            report.Stage(
                "forward", 0.0, steps=tuple(report.Step(rehearsals.MIGRATION, name, 0.0) for name in (DROP, COPY))
            ),
        ),
    )
    reports.save(store, fast)
    monkeypatch.setattr(comparing, "LATE_S", 0.0)
    monkeypatch.setattr(comparing, "EVERY_S", 0.01)
    told = threading.Event()
    remark = terminal.Progress.remark

    def hear(self: terminal.Progress, text: str) -> None:
        remark(self, text)
        if "waits for" in text:
            told.set()

    monkeypatch.setattr(terminal.Progress, "remark", hear)
    with open_transaction("UPDATE warehouse_item SET name = name", application_name="nightly report") as other:
        releasing = threading.Thread(target=lambda: (told.wait(LIMIT_S), other.rollback()))
        releasing.start()
        with override_settings(REHOME_LOCK_TRIES=10_000, REHOME_LOCK_TIMEOUT_MS=1000):
            call_command("migrate", stdout=StringIO())
        releasing.join()

    said = capsys.readouterr().err
    assert re.search(r"slower than rehearsed \(0\.0 s\): waits for pid \d+ \(nightly report, user", said), said
    assert re.search(rf"{re.escape(COPY)} \(\d+\.\d s, rehearsed 0\.0 s\)", said)
    assert re.search(r"build indexes \(\d+\.\d s, not rehearsed\)", said)


def test_a_storage_that_breaks_does_not_break_the_move(
    shop: str, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Store, folder: str) -> list[str]:
        raise RuntimeError("the bucket is gone")

    monkeypatch.setattr(Store, "files", broken)
    call_command("migrate", stdout=StringIO())

    assert "The rehearsals can't be read: the bucket is gone." in capsys.readouterr().err
    assert farm.sql("SELECT phase FROM rehome_moverun") == [("live",)]


def test_a_database_of_which_nothing_is_kept_leaves_no_report(shop: str, store: Store) -> None:
    call_command("migrate", stdout=StringIO(), verbosity=0)

    assert store.listed("")[0] == []


@contextlib.contextmanager
def open_transaction(statement: str, **options: str) -> Iterator["psycopg.Connection[Any]"]:
    parameters = {**connection.get_connection_params(), **options}
    names = ("host", "port", "user", "password", "dbname", "application_name")
    with psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}) as session:
        session.execute(statement)
        yield session


def where() -> list[tuple[Any, ...]]:
    try:
        return farm.sql("SELECT current_database()")
    finally:
        connection.close()


def identifier() -> str:
    [(found,)] = farm.sql("SELECT (pg_control_system()).system_identifier::text")
    return str(found)
