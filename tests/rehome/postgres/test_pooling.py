"""A pooler between a command and the server: what needs its own session is refused where that is handed on."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models

from rehome import Move
from rehome.errors import Refused
from rehome.ops.rehearsal.looks import Onlooker
from rehome.postgres import pooling, settings
from rehome.postgres.pooling import beside, is_handed_on, process_of, refuse_handed_on
from rehome.postgres.session import TIMEOUTS, Session
from tests.rehome.support.lab import Lab

Pooled = Callable[..., AbstractContextManager[None]]

HANDS_ON = (
    r"The pooler at 127\.0\.0\.1:\d+ hands sessions on to other clients .* Connect to the server itself, or let the "
    r"pooler pool by session"
)
LEFT = """
SELECT objid::text, mode FROM pg_locks JOIN pg_database d ON d.oid = database
 WHERE locktype = 'advisory' AND datname = current_database()
 UNION ALL SELECT name, setting FROM pg_settings WHERE source = 'session' AND name = ANY(%s)
"""
WAYS = {"default": {}, "online": {"online": True}, "in place": {"in_place": True}}
COMMANDS: list[tuple[str, ...]] = [
    ("migrate",),
    ("migrate", "printers", "0001"),
    ("showmoves",),
    ("verifymoves",),
    ("retiremoves", "--noinput"),
    ("moveready",),
    ("backup",),
    ("checkbackup",),
    ("restorebackup", "--undo"),
    ("rehearsemoves", "--here"),
]


def driver() -> pooling.Driver:
    connection.ensure_connection()
    found: pooling.Driver = connection.connection
    return found


def left_behind() -> list[tuple[Any, ...]]:
    """Locks that any session has, and settings of rehome's on the one that is handed on next."""
    with closing(beside(driver())) as session:
        return session.execute(LEFT, [["search_path", "lock_timeout", *TIMEOUTS]]).fetchall()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_move_is_refused_before_anything_is_done(planned: str, pooled: Pooled, mode: str) -> None:
    with pooled(mode):
        with pytest.raises(CommandError, match=HANDS_ON) as refused:
            call_command("migrate", "printers", "0002", verbosity=0)
        assert refused.value.returncode == 1
        assert left_behind() == []

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('rehome_moverun'), count(*) FROM django_migrations WHERE app = 'printers'")
        assert cursor.fetchall() == [(None, 1)]


@pytest.mark.long
def test_every_command_is_refused(live: str, pooled: Pooled) -> None:
    with pooled("transaction"):
        for command in COMMANDS:
            with pytest.raises(CommandError, match=HANDS_ON):
                call_command(*command)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_session_that_is_pooled_whole_moves_there_and_back(lab: Lab, pooled: Pooled, way: str) -> None:
    move = Move("old.Thing", "new.Thing", **WAYS[way])
    with pooled("session"):
        lab.twins(lambda app: {"name": models.TextField()})
        lab.get("old.Thing").objects.create(name="one")
        lab.forward(move)
        assert lab.verify(move).ok
        if not move.in_place:
            lab.retire(move)
            lab.unretire(move)
        lab.back(move)
        assert lab.sql("SELECT name FROM old_thing") == [("one",)]


def test_a_session_that_is_pooled_whole_is_its_own(transactional_db: None, pooled: Pooled) -> None:
    with pooled("session"):
        assert not is_handed_on(driver())


def test_the_lock_for_moves_is_refused_by_itself(transactional_db: None, pooled: Pooled) -> None:
    """Whatever takes it, without a command that has asked before."""
    with pooled("transaction"), pytest.raises(Refused, match=HANDS_ON), Session(connection).only_move("a move"):
        pass


def test_a_pool_of_one_session_is_found_out_without_waiting(transactional_db: None, pooled: Pooled) -> None:
    with pooled("transaction", default_pool_size=1):
        assert is_handed_on(driver())


def test_sessions_that_are_taken_in_turn_are_found_out(transactional_db: None, pooled: Pooled) -> None:
    with pooled("transaction", server_round_robin=1, min_pool_size=2):
        sessions = [beside(driver()) for _ in range(2)]
        for session in sessions:
            session.execute("BEGIN")
        for session in sessions:
            session.execute("COMMIT")
            session.close()
        assert is_handed_on(driver())


def test_a_session_that_is_the_only_one_of_its_pool_is_its_own(
    transactional_db: None, pooled: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection waits for one, and is not waited for."""
    monkeypatch.setattr(pooling, "WAIT_S", 0.1)
    with pooled("session", default_pool_size=1):
        assert not is_handed_on(driver())


def test_a_rehearsal_looks_at_the_process_behind_the_pooler(transactional_db: None, pooled: Pooled) -> None:
    with pooled("session"):
        settings.refuse_handed_on(connection)
        assert Onlooker(connection, sizes=False).pid == process_of(driver()) != driver().info.backend_pid


def test_a_connection_to_the_server_itself_is_asked_once(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(pooling, "beside", lambda driver: pytest.fail("no other connection is needed"))
    monkeypatch.setattr(pooling, "process_of", lambda driver: asked.append(driver) or driver.info.backend_pid)
    connection.close()
    for _ in range(2):
        refuse_handed_on(driver())
    assert asked == [driver()]


def test_a_server_that_refuses_the_other_connection_says_so(transactional_db: None, pooled: Pooled) -> None:
    with pooled("session", max_client_conn=1), pytest.raises(psycopg.OperationalError, match="max_client_conn"):
        is_handed_on(driver())
