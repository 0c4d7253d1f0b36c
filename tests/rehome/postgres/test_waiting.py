"""A copy that gives way: to writers, to many sessions, to a replica that falls behind, and to what it can't see."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import models
from pytest_django import DjangoDbBlocker

from core.embedded import programs, server
from rehome import Move
from rehome.errors import Refused
from rehome.postgres import waiting
from rehome.postgres.session import Session
from rehome.terminal import Progress
from tests.apart import server_apart
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.server

MOVE = Move("old.Thing", "new.Thing", online=True)


@pytest.fixture
def session(lab: Lab) -> Session:
    return Session(lab.connection)


def test_without_limits_nothing_is_too_high(session: Session) -> None:
    assert waiting.too_high(session) == ""


def test_active_sessions_are_too_many_until_they_are_not(
    session: Session, open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, waiter = open_client(), open_client()
    holder.run("SELECT pg_advisory_lock(1)")
    waiter.start_blocked("SELECT pg_advisory_lock(1)")

    monkeypatch.setenv("REHOME_MAX_SESSIONS", "1")
    assert waiting.too_high(session) == ""
    monkeypatch.setenv("REHOME_MAX_SESSIONS", "0")
    assert waiting.too_high(session) == "1 active sessions, more than 0 (REHOME_MAX_SESSIONS)"

    said: list[str] = []

    def say(reason: str) -> None:
        said.append(reason)
        holder.run("SELECT pg_advisory_unlock(1)")

    monkeypatch.setattr(waiting, "POLL_S", 0.01)
    waiting.wait(session, say)
    assert said


def test_sessions_that_can_not_be_seen_are_too_many(
    lab: Lab,
    session: Session,
    open_client: Callable[..., Client],
    make_role: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = open_client()
    assert client.run("SELECT 1") == [(1,)]
    lab.sql(f'SET ROLE "{make_role("clerk")}"')
    monkeypatch.setenv("REHOME_MAX_SESSIONS", "1000")

    assert "sessions whose state this role can't see" in waiting.too_high(session)

    lab.sql("RESET ROLE")
    assert waiting.too_high(session) == ""
    assert client.run("SET track_activities = off") == -1
    assert "track_activities = off hides them" in waiting.too_high(session)


@pytest.mark.parametrize("name", ["REHOME_MAX_SESSIONS", "REHOME_LOCK_TRIES", "REHOME_LOCK_TIMEOUT_MS"])
@pytest.mark.parametrize("value", ["many", "-1", "1.5"])
def test_a_setting_that_is_no_number_is_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) SELECT 'x' FROM generate_series(1, 10)")
    monkeypatch.setenv(name, value)

    with pytest.raises(Refused, match=f"{name} is '{value}', which is no whole number"):
        lab.forward(MOVE)


def test_a_setting_that_says_neither_yes_nor_no_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    lab.sql("INSERT INTO old_thing (name) VALUES ('a')")
    monkeypatch.setenv("REHOME_ONLINE", "perhaps")

    with pytest.raises(Refused, match="REHOME_ONLINE is 'perhaps', which says neither yes nor no"):
        lab.forward(Move("old.Thing", "new.Thing"))


def test_django_s_settings_come_before_the_environment(
    session: Session, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REHOME_MAX_SESSIONS", "many")
    settings.REHOME_MAX_SESSIONS = 500

    assert waiting.too_high(session) == ""


def test_a_writer_between_two_transactions_has_half_of_the_time(
    lab: Lab, session: Session, open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    client, slept = open_client(), []
    monkeypatch.setattr(waiting.time, "sleep", slept.append)
    courtesy = waiting.Courtesy(session, [lab.plan(MOVE).main.source.oid])

    courtesy.pause()
    courtesy.pause()
    assert slept == []

    client.run("INSERT INTO old_thing (name) VALUES ('a')")
    client.run("SELECT pg_stat_force_next_flush()")
    client.run("SELECT 1")
    courtesy.pause()
    assert len(slept) == 1


@pytest.mark.parametrize(("writers", "shares"), [(1, 1), (2, 2), (4, 3)])
def test_the_copy_is_one_writer_among_others(
    lab: Lab,
    session: Session,
    open_client: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
    writers: int,
    shares: int,
) -> None:
    """Where one writes, it takes half of the time; a quarter where there are three or more."""
    lab.twins(lambda app: {"name": models.TextField()})
    slept: list[float] = []
    now = [0.0]
    clients = [open_client() for _ in range(writers)]
    for client in clients:
        client.run("BEGIN")
        client.run("INSERT INTO old_thing (name) VALUES ('a')")
    with monkeypatch.context() as patch:
        patch.setattr(waiting.time, "sleep", slept.append)
        patch.setattr(waiting.time, "monotonic", lambda: now[0])
        courtesy = waiting.Courtesy(session, [lab.plan(MOVE).main.source.oid])
        now[0] = 1.0
        courtesy.pause()
        courtesy.resume()
        assert (slept, courtesy.writers) == ([shares * 1.0], shares)
        for client in clients:
            client.run("ROLLBACK")
        now[0] = 2.0
        courtesy.pause()
        courtesy.resume()
        assert slept == [shares * 1.0] * 2, "Of late there were so many."
        now[0] = 10.0
        courtesy.pause()
    assert courtesy.writers < 2, "For seconds there was none."


def test_what_was_waited_for_is_not_slept_again(
    lab: Lab, session: Session, open_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.twins(lambda app: {"name": models.TextField()})
    client, slept, clock = open_client(), [], iter([0.0, 600.0, 600.0, 600.5])
    table = lab.plan(MOVE).main.source.oid
    with monkeypatch.context() as patch:
        patch.setattr(waiting.time, "sleep", slept.append)
        patch.setattr(waiting.time, "monotonic", lambda: next(clock))
        courtesy = waiting.Courtesy(session, [table])
        courtesy.pause()
        courtesy.resume()
        client.run("INSERT INTO old_thing (name) VALUES ('a')")
        client.run("SELECT pg_stat_force_next_flush()")
        client.run("SELECT 1")
        courtesy.pause()

    assert slept == [0.5]


@pytest.fixture
def replicated(django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[Lab, "psycopg.Connection[Any]"]]:
    """A server of its own, and a connection to a replica that follows it."""
    with django_db_blocker.unblock(), server_apart("followed") as primary:
        standby = primary.with_name("standby")
        follow(str(server.socket_folder(primary)), standby)
        try:
            with psycopg.connect(f"host={standby} user={server.SUPERUSER} dbname=postgres", autocommit=True) as replica:
                yield Lab("followed"), replica
        finally:
            programs.run("pg_ctl", "stop", "-D", str(standby), "-m", "immediate", cwd=standby)


def follow(socket: str, standby: Path) -> None:
    """Start a replica of the server that listens on `socket`."""
    standby.mkdir(mode=0o700)
    programs.give_away(standby)
    source = ["-h", socket, "-U", server.SUPERUSER, "-R", "-c", "fast"]
    programs.run("pg_basebackup", "-D", str(standby), *source, cwd=standby)
    # The primary listens in its own folder, and what locks its socket was copied with everything else.
    (standby / f".s.PGSQL.{server.PORT}.lock").unlink(missing_ok=True)
    listen = f"-h '' -k {standby}"
    start = ["-w", "-t", str(LIMIT_S), "-D", str(standby), "-l", str(standby / "log"), "-o", listen]
    programs.run("pg_ctl", "start", *start, cwd=standby)
    following = "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL"
    with psycopg.connect(f"host={socket} user={server.SUPERUSER} dbname=postgres", autocommit=True) as primary:
        until(lambda: primary.execute(following).rowcount, "the replica does not follow")


@pytest.mark.long
def test_the_copy_waits_for_a_replica_that_has_fallen_behind(
    replicated: tuple[Lab, "psycopg.Connection[Any]"],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    lab, replica = replicated
    lab.twins(lambda app: {"name": models.TextField()})
    replica.execute("SELECT pg_wal_replay_pause()")
    lab.sql("INSERT INTO old_thing (name) SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
    monkeypatch.setenv("REHOME_MAX_LAG", "10MB")
    monkeypatch.setattr(waiting, "POLL_S", 0.01)
    say, waited = Progress.waits, []

    def waits(progress: Progress, reason: str) -> None:
        say(progress, reason)
        waited.append(reason)
        replica.execute("SELECT pg_wal_replay_resume()")

    monkeypatch.setattr(Progress, "waits", waits)
    lab.forward(MOVE)

    assert "a replica that is " in waited[0]
    assert "waits for a replica that is" in capfd.readouterr().err
    assert lab.verify(MOVE).ok
    lab.sql("CREATE ROLE clerk")
    lab.sql("SET ROLE clerk")
    assert "replicas whose position this role can't see" in waiting.too_high(Session(lab.connection))
    lab.sql("RESET ROLE")
    monkeypatch.setenv("REHOME_MAX_LAG", "little")
    with pytest.raises(Refused, match="REHOME_MAX_LAG is 'little'"):
        waiting.too_high(Session(lab.connection))
