"""Go or no-go: each line both ways, on a server of the module's own, whose slots and sessions are nobody else's."""

import contextlib
import dataclasses
import datetime
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from pytest_django import DjangoDbBlocker

from core.embedded import programs
from rehome.ops import servers, space
from rehome.ops.backups.store import Store
from rehome.ops.readiness import day as days
from rehome.ops.readiness import others, proofs, server, verdict
from rehome.ops.readiness.day import Day, Limits
from rehome.ops.readiness.line import Line
from rehome.ops.rehearsal import facts, sampling
from rehome.ops.rehearsal.report import Program, Report, Seen, Stage
from rehome.ops.servers import Server
from tests.apart import server_apart
from tests.rehome.product import phases
from tests.rehome.support import backups, rehearsals
from tests.waiting import until

pytestmark = pytest.mark.server
TABLES = ('"public"."old_thing"', '"public"."new_thing"')
NOW = datetime.datetime(2026, 3, 4, 12, tzinfo=datetime.UTC)
SECONDS = 0.2


@contextlib.contextmanager
def at(server: Server) -> Iterator["psycopg.Connection[Any]"]:
    """A session as the project's own are, that finds its tables."""
    with server.session() as session:
        session.execute("SET search_path = public")
        yield session


@pytest.fixture(scope="module")
def apart(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    with django_db_blocker.unblock(), server_apart("ready", max_prepared_transactions="2") as _:
        source = Server.of(connections["ready"])
        with at(source) as session:
            session.execute("CREATE TABLE old_thing (id serial PRIMARY KEY, name text)")
            session.execute("CREATE TABLE new_thing (id bigint PRIMARY KEY, name text)")
            session.execute("INSERT INTO old_thing (name) VALUES ('a'), ('b')")
        yield source


@pytest.fixture
def open_session(apart: Server) -> Iterator[Callable[..., "psycopg.Connection[Any]"]]:
    """In a transaction that stays open until the test ends."""
    opened: list[psycopg.Connection[Any]] = []

    def begin(statement: str, **options: str) -> "psycopg.Connection[Any]":
        session = psycopg.connect(**{**apart.parameters, "dbname": apart.database, **options})
        opened.append(session)
        session.execute(statement)
        return session

    yield begin
    for session in opened:
        session.close()


@pytest.fixture
def look(apart: Server) -> Callable[..., Day]:
    """The day as it is on that server now, with a rehearsal of it, and whatever a test wants otherwise."""

    def see(**changed: Any) -> Day:
        found = facts.read(apart, TABLES)
        with at(apart) as session:
            where = servers.look(session)
        forward = Stage("forward", 100.0, rows=2, disk=1 << 20, wal=1 << 20)
        rehearsal = Report(
            kind="rehearsal", began=NOW.isoformat(), source=found, copy=found, origin="a fresh backup",
            migrations=("new.0001",), moves=("old.Thing -> new.Thing",), online=False,
            stages=(forward, Stage("verify", 20.0), Stage("back", 10.0)),
        )  # fmt: skip
        day = Day(
            server=apart, where=where, facts=found, migrations=("new.0001",), moves=("old.Thing -> new.Thing",),
            pairs=(TABLES,), backups=(), rehearsals=(rehearsal,), no_storage="",
            seen=sampling.look_for(apart, TABLES, SECONDS), limits=Limits(), now=NOW,
        )  # fmt: skip
        return dataclasses.replace(day, **changed)

    return see


def turned(day: Day, **changed: Any) -> Day:
    """With another rehearsal."""
    return dataclasses.replace(day, rehearsals=(dataclasses.replace(day.rehearsals[0], **changed),))


def is_ok(line: Line) -> bool:
    assert bool(line.todo) == (line.state != "ok")
    assert not line.what.endswith(".")
    return line.state == "ok"


def test_on_an_idle_server_only_the_backup_is_missing(look: Callable[..., Day]) -> None:
    lines = verdict.judge(look())

    assert [line.name for line in lines if not is_ok(line)] == ["backup", "restore time"]


# ----- who else is there


def test_a_long_transaction(look: Callable[..., Day], open_session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "LONG_S", 0.0)
    assert is_ok(others.transactions(look()))
    open_session("SELECT 1", application_name="nightly report")

    line = others.transactions(look())

    assert (line.state, line.name) == ("no", "long transactions")
    assert "nightly report" in line.what


def test_a_prepared_transaction(look: Callable[..., Day], apart: Server) -> None:
    with at(apart) as session:
        session.execute("BEGIN")
        session.execute("INSERT INTO old_thing (name) VALUES ('prepared')")
        session.execute("PREPARE TRANSACTION 'forgotten'")
        line = others.transactions(look())
        session.execute("ROLLBACK PREPARED 'forgotten'")

    assert "prepared transaction" in line.what
    assert "forgotten" in line.what
    assert is_ok(others.transactions(look()))


def test_an_index_that_is_built(look: Callable[..., Day], open_session: Any) -> None:
    building = open_session("CREATE INDEX slow ON old_thing (name)", application_name="someone's index")
    line = others.transactions(look())
    building.rollback()

    assert "maintenance" in line.what
    assert "someone's index" in line.what


def test_a_dump(look: Callable[..., Day], apart: Server, open_session: Any) -> None:
    assert is_ok(others.dumps(look()))
    keeping = open_session("LOCK TABLE old_thing IN ACCESS EXCLUSIVE MODE")
    dump = subprocess.Popen(
        [programs.installation() / "bin" / "pg_dump", "--file=/dev/null"], env=os.environ | apart.environment()
    )
    try:
        with at(apart) as session:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
            )
            until(lambda: session.execute(waiting).fetchone() == (1,), "pg_dump has not come to its lock")
        line = others.dumps(look())
    finally:
        dump.terminate()
        dump.wait()
        keeping.rollback()

    assert line.state == "no"
    assert "pg_dump" in line.what


def test_a_copy_to_a_file_is_a_dump_too(look: Callable[..., Day], open_session: Any) -> None:
    session = open_session("SELECT 1")
    with (
        session.cursor() as cursor,
        cursor.copy("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT"),
    ):
        assert others.dumps(look()).state == "no"
        session.cancel()


def test_a_slot_without_a_consumer(look: Callable[..., Day], apart: Server) -> None:
    assert is_ok(others.slots(look()))
    with at(apart) as session:
        session.execute("SELECT pg_create_physical_replication_slot('gone', true)")
        try:
            line = others.slots(look())
        finally:
            session.execute("SELECT pg_drop_replication_slot('gone')")

    assert line.state == "no"
    assert "pg_drop_replication_slot('gone')" in line.todo


def test_a_replica(look: Callable[..., Day], apart: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert others.lag(look()).what == "there is none"
    receiver = subprocess.Popen(
        [programs.installation() / "bin" / "pg_receivewal", f"--directory={tmp_path}"],
        env=os.environ | apart.environment(),
    )
    try:
        with at(apart) as session:
            until(
                lambda: (
                    session.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").fetchone()
                    == (1,)
                ),
                "nothing streams",
            )
        monkeypatch.setattr(others, "BEHIND", 1 << 40)
        assert is_ok(others.lag(look()))
        monkeypatch.setattr(others, "BEHIND", -1)
        assert others.lag(look()).state == "no"
    finally:
        receiver.terminate()
        receiver.wait()


def test_who_writes_has_to_be_known(look: Callable[..., Day], open_session: Any) -> None:
    assert is_ok(others.writers(look()))
    open_session("UPDATE old_thing SET name = 'c' WHERE id = 1", application_name="billing")

    line = others.writers(look())

    assert line.state == "no"
    assert "billing" in line.what
    assert "writes to public.old_thing" in line.what
    for known in ("billing", "postgres"):
        assert is_ok(others.writers(look(limits=Limits(writers=(known,)))))


def test_rows_that_nobody_was_seen_writing(look: Callable[..., Day], apart: Server) -> None:
    sampled = sampling.Sampling(apart, TABLES)
    with sampling.reading(apart) as reader, at(apart) as session:
        sampled.look(reader)
        session.execute("UPDATE old_thing SET name = 'd' WHERE id = 1")
        session.execute("SELECT pg_stat_force_next_flush()")
        sampled.look(reader)

    assert sampled.seen.unseen == 1
    assert "1 rows were written" in others.writers(look(seen=sampled.seen)).what


def test_a_writer_of_the_rehearsal_counts(look: Callable[..., Day]) -> None:
    nightly = Program("nightly", "batch", "local", ("old_thing",), 3)

    assert "nightly" in others.writers(turned(look(), seen=Seen(looks=9, programs=(nightly,)))).what


def test_sessions_that_a_role_may_not_see(look: Callable[..., Day], apart: Server, open_session: Any) -> None:
    with at(apart) as session:
        session.execute("CREATE ROLE watcher LOGIN")
    try:
        open_session("SELECT 1")
        seen = sampling.look_for(
            dataclasses.replace(apart, parameters={**apart.parameters, "user": "watcher"}), TABLES, SECONDS
        )
        assert others.transactions(look(seen=seen)).state == "unknown"
        with at(apart) as session:
            session.execute("GRANT pg_read_all_stats TO watcher")
        seen = sampling.look_for(
            dataclasses.replace(apart, parameters={**apart.parameters, "user": "watcher"}), TABLES, SECONDS
        )
        assert is_ok(others.transactions(look(seen=seen)))
    finally:
        with at(apart) as session:
            session.execute("DROP ROLE watcher")


# ----- the server


@pytest.mark.parametrize("seen", [Seen(), Seen(looks=9, problem="the connection was lost")], ids=["never", "partly"])
@pytest.mark.parametrize("check", [others.transactions, others.dumps, others.lag, others.slots, others.writers])
def test_that_nobody_was_seen_says_nothing_where_looking_ended_early(
    look: Callable[..., Day], check: Callable[[Day], Line], seen: Seen
) -> None:
    assert is_ok(check(look(seen=Seen(looks=9))))
    assert check(look(seen=seen)).state == "unknown"


def test_whatever_ends_looking_early_is_said(apart: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hears of what a thread raises."""
    monkeypatch.setattr(sampling, "SESSIONS", "SELECT %(tables)s::text")
    assert sampling.look_for(apart, TABLES, 0).problem


def test_the_disk(look: Callable[..., Day], monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_ok(server.disk(look()))
    huge = (Stage("forward", 1.0, disk=1 << 60),)
    assert server.disk(turned(look(), stages=huge)).state == "no"
    assert server.disk(look(rehearsals=())).state == "unknown"
    monkeypatch.setattr(space, "LOCAL", set())
    monkeypatch.setattr(space, "DATA", "SELECT '/nowhere'")
    assert server.disk(look()).state == "unknown"


def test_the_narrower_key_decides(look: Callable[..., Day], apart: Server) -> None:
    assert is_ok(server.keys(look()))
    with at(apart) as session:
        session.execute("INSERT INTO new_thing VALUES (2000000000)")
        try:
            line = server.keys(look())
        finally:
            session.execute("DELETE FROM new_thing")

    assert line.state == "no"
    assert '"public"."old_thing".id (integer), 93 % used' in line.what


def test_a_sequence_that_has_drawn_far_ahead(look: Callable[..., Day], apart: Server) -> None:
    with at(apart) as session:
        session.execute("SELECT setval('old_thing_id_seq', 2147483000)")
        line = server.keys(look())
        session.execute("SELECT setval('old_thing_id_seq', 5)")

    assert line.state == "no"
    assert is_ok(server.keys(look()))


def test_settings(look: Callable[..., Day], apart: Server) -> None:
    assert is_ok(server.settings(look()))
    with at(apart) as session:
        session.execute(f'ALTER DATABASE "{apart.database}" SET default_transaction_read_only = on')
        line = server.settings(look())
        session.execute("SET default_transaction_read_only = off")
        session.execute(f'ALTER DATABASE "{apart.database}" RESET default_transaction_read_only')
        assert "default_transaction_read_only" in line.what
        session.execute("ALTER SYSTEM SET full_page_writes = off")
        session.execute("SELECT pg_reload_conf()")
        until(lambda: not is_ok(server.settings(look())), "the setting is not in force")
        assert "full_page_writes is off" in server.settings(look()).what
        session.execute("ALTER SYSTEM RESET full_page_writes")
        session.execute("SELECT pg_reload_conf()")
        until(lambda: is_ok(server.settings(look())), "the setting is not in force")
    other = look()
    rehearsed = dataclasses.replace(other.facts, settings={**other.facts.settings, "work_mem": "1GB"})
    assert server.settings(turned(other, copy=rehearsed)).what == "work_mem 4MB, rehearsed 1GB"
    assert server.settings(look(where=dataclasses.replace(other.where, in_recovery=True))).state == "no"


@pytest.mark.long
def test_a_vacuum_against_wraparound_that_is_due(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, look: Callable[..., Day]
) -> None:
    assert is_ok(server.wraparound(look()))
    with django_db_blocker.unblock(), server_apart("old", autovacuum_freeze_max_age="100000", autovacuum="off"):
        old = Server.of(connections["old"])
        with at(old) as session, at(old) as holding:
            session.execute("CREATE TABLE old_thing (id int PRIMARY KEY)")
            # Nothing is frozen while somebody's snapshot is as old.
            holding.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            holding.execute("SELECT pg_current_xact_id()")
            session.execute(
                "DO 'BEGIN FOR n IN 1..101000 LOOP BEGIN INSERT INTO old_thing VALUES (n); "
                "EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END'"
            )
            line = server.wraparound(look(server=old, pairs=((TABLES[0], ""),)))

    assert line.state == "no"
    assert "VACUUM (FREEZE) public.old_thing" in line.todo


# ----- what was proved


def test_a_rehearsal_that_says_too_little(look: Callable[..., Day]) -> None:
    day = look()
    assert is_ok(proofs.rehearsal(day))
    small = dataclasses.replace(day.facts, size=day.facts.size // 2)
    older = dataclasses.replace(day.facts, version=150018)
    failed = (Stage("forward", 1.0, problem="It broke."),)
    said = {
        "there is none": dataclasses.replace(day, rehearsals=()),
        "did not have new.0002": dataclasses.replace(day, migrations=("new.0001", "new.0002")),
        "failed": turned(day, stages=failed),
        "by now": turned(day, source=small),
        "was on PostgreSQL 15": turned(day, copy=older),
        "is 20 days old": dataclasses.replace(day, now=NOW + datetime.timedelta(days=20)),
    }
    for what, seen in said.items():
        line = proofs.rehearsal(seen)
        assert line.state == "no"
        assert what in line.what
        assert line.todo


def test_a_release_without_a_move_needs_no_rehearsal(look: Callable[..., Day]) -> None:
    day = dataclasses.replace(look(), moves=(), rehearsals=())
    for line in (proofs.rehearsal(day), proofs.window(day), server.disk(day)):
        assert is_ok(line)
        assert line.what == "`migrate` would run no move"


def test_the_window(look: Callable[..., Day]) -> None:
    day = look()
    assert proofs.window(day).what == "3 minutes forward and verified; the way back 1 minute"
    assert is_ok(proofs.window(dataclasses.replace(day, limits=Limits(window=3))))
    assert proofs.window(dataclasses.replace(day, limits=Limits(window=2))).state == "no"
    assert proofs.window(dataclasses.replace(day, rehearsals=())).state == "unknown"


# ----- the command


@pytest.fixture(scope="module")
def never_run(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), phases.project(), phases.template(phases.NEVER) as name:
        yield name


@pytest.fixture
def shop(never_run: str, store: Store, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), rehearsals.shop(never_run) as name:
        yield name


def ready(*arguments: str) -> dict[str, Any]:
    said = StringIO()
    with contextlib.suppress(CommandError):
        call_command("moveready", *arguments, format="json", seconds=0, stdout=said, stderr=StringIO())
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


def test_a_backup_has_to_be_proved_and_young(shop: str, store: Store) -> None:
    limits = Limits(seconds=0)
    assert "there is no backup" in proofs.backup(days.look("default", limits)).what
    made = backups.made(store)
    assert ".dump is not proved" in proofs.backup(days.look("default", limits)).what
    assert proofs.restore_time(days.look("default", limits)).state == "unknown"
    call_command("checkbackup", stdout=StringIO(), stderr=StringIO())
    day = days.look("default", limits)
    assert is_ok(proofs.backup(day))
    assert is_ok(proofs.restore_time(day))
    late = dataclasses.replace(day, now=made.manifest.taken_at + datetime.timedelta(hours=25))
    assert "25.0 hours old, more than 24 hours" in proofs.backup(late).what


def rows_written() -> int:
    """In this database, by whoever has left it; those of others are written to meanwhile."""
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def test_it_says_no_with_what_to_do_and_writes_nothing(shop: str) -> None:
    before = rows_written()
    said = StringIO()
    with pytest.raises(CommandError, match="Not ready: backup, rehearsal"):
        call_command("moveready", seconds=0, stdout=said)

    assert "warehouse.Item -> shop.Item" in said.getvalue()
    assert "Run `manage.py backup`, then `manage.py checkbackup`." in said.getvalue()
    report = ready("--accept", "disk", "--accept", "settings")
    assert not report["ready"]
    assert [line["line"] for line in report["lines"]] == list(verdict.CHECKS)
    assert all(line["todo"] for line in report["lines"] if line["state"] != "ok")
    assert rows_written() == before


def test_what_is_unknown_can_be_accepted_and_what_is_wrong_can_not() -> None:
    lines = [Line("disk", "unknown", "?", "look"), Line("slots", "no", "one", "drop"), Line("keys", "ok", "fine")]

    assert [line.name for line in verdict.left(lines, [])] == ["disk", "slots"]
    assert [line.name for line in verdict.left(lines, ["disk", "slots"])] == ["slots"]
