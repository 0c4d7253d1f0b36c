"""A failure at any statement of retiring or unretiring leaves everything as it was, and so does a kill."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from rehome.errors import MoveFailed, RehomeError
from rehome.moves import runner
from rehome.plan.ledger import Ledger
from tests.farm import farm
from tests.farm.test_faults import fail_in_the_process, fail_on_the_server, fault, lose_the_connection
from tests.farm.test_locks import Statement, other_session, witness
from tests.waiting import NO_WAIT

UNVALIDATED = "SELECT conrelid::regclass::text FROM pg_constraint WHERE NOT convalidated"


MOVE = farm.MOVES[0]


class Moving:
    """What the command does to the profiles' move."""

    def __init__(self, apps: Any) -> None:
        self.apps = apps

    def retire(self) -> None:
        runner.retire(MOVE, self.apps, connection)

    def unretire(self) -> None:
        runner.unretire(MOVE, self.apps, connection)


@pytest.fixture
def moving(live: str) -> Moving:
    return Moving(MigrationLoader(connection).project_state(("accounts", "0002_migrate_profile_data")).apps)


def phase() -> str:
    run = Ledger("default").latest("public.portal_profile", "public.accounts_profile")
    assert run is not None
    return str(run.phase)


def fail_until(run: Callable[[], None], *, until: str) -> list[str]:
    """Fail at the first writing statement, then at the second, and so on to one that begins with `until`.

    The server fails and the command is interrupted in turn. Each time the database must be as it was.
    """
    before, begun, statements = farm.picture(), phase(), []
    for number in itertools.count(1):
        fail = [fail_on_the_server, fail_in_the_process][number % 2]
        with (
            fault(fail, lambda at, _, number=number: at == number) as failed,
            pytest.raises((RehomeError, DatabaseError, KeyboardInterrupt)),
        ):
            run()
        statements += failed
        if statements[-1].startswith(until):
            return statements
        assert (farm.picture(), phase()) == (before, begun), statements[-1]
    raise AssertionError


VALIDATE = 'ALTER TABLE "public"."portal_printer" VALIDATE'


@pytest.mark.long
def test_a_failure_at_any_statement_of_retiring(moving: Moving) -> None:
    statements = fail_until(moving.retire, until=VALIDATE)

    assert len(statements) > 20
    assert (phase(), farm.sql(UNVALIDATED)) == ("retired", [("portal_printer",)])
    moving.retire()
    assert farm.sql(UNVALIDATED) == []


@pytest.mark.long
def test_a_failure_at_any_statement_of_unretiring(moving: Moving) -> None:
    before = farm.picture()
    moving.retire()
    # The first that runs when the old table is back.
    statements = fail_until(moving.unretire, until='ALTER TABLE "public"."portal_profile" ADD CONSTRAINT')

    assert len(statements) > 20
    assert phase() == "live"
    for begin in ('ALTER TABLE "public"."portal_printer" DROP', 'ALTER TABLE "public"."portal_printer" VALIDATE'):
        with (
            fault(fail_in_the_process, lambda _, text, begin=begin: text.startswith(begin)) as failed,
            pytest.raises(KeyboardInterrupt),
        ):
            moving.unretire()
        assert failed
    moving.unretire()
    assert farm.sql(UNVALIDATED) == []
    assert farm.picture() == before
    farm.assert_in_step()


@pytest.mark.parametrize("begin", ["LOCK TABLE", "CREATE VIEW", 'UPDATE "rehome_moverun" SET "move"'])
def test_a_connection_lost_while_retiring(moving: Moving, begin: str) -> None:
    before = farm.picture()
    with (
        fault(lose_the_connection, lambda _, text: text.startswith(begin)) as failed,
        pytest.raises(MoveFailed) as lost,
    ):
        moving.retire()
    assert failed
    assert "Nothing has been retired. Run the command again." in str(lost.value)
    connection.close()
    assert (farm.picture(), phase()) == (before, "live")


@pytest.mark.parametrize(
    "begin", ["DROP VIEW", 'ALTER TABLE "public"."rehome_aside', 'UPDATE "rehome_moverun" SET "move"']
)
def test_a_connection_lost_while_unretiring(moving: Moving, begin: str) -> None:
    moving.retire()
    before = farm.picture()
    with (
        fault(lose_the_connection, lambda _, text: text.startswith(begin)) as failed,
        pytest.raises(MoveFailed) as lost,
    ):
        moving.unretire()
    assert failed
    assert "The move is still retired. Run the command again." in str(lost.value)
    connection.close()
    assert (farm.picture(), phase()) == (before, "retired")
    moving.unretire()
    farm.assert_in_step()


@pytest.mark.parametrize("undo", [False, True])
def test_a_lock_that_is_not_granted_stops_it_and_changes_nothing(moving: Moving, settings: Any, *, undo: bool) -> None:
    settings.REHOME_LOCK_TIMEOUT_MS, settings.REHOME_LOCK_TRIES = 20, 2
    if undo:
        moving.retire()
    before = farm.picture(), phase()
    with other_session() as session, session.transaction():
        session.execute("SELECT FROM portal_profile")
        with pytest.raises(RehomeError, match="A lock was not granted in 2 tries .* uses .*_profile"):
            (moving.unretire if undo else moving.retire)()
        # Nothing is held meanwhile that a writer would wait for.
        session.execute(NO_WAIT)
        session.execute("UPDATE portal_profile SET name = name")
    assert (farm.picture(), phase()) == before


def test_retiring_reads_no_rows_under_a_lock_that_others_wait_for(moving: Moving) -> None:
    with witness() as statements:
        moving.retire()
    readers = [s for s in statements if s.goes_through(["portal_profile", "accounts_profile"])]
    assert readers
    for statement in readers:
        # That of VALIDATE keeps nobody waiting.
        assert "VALIDATE" in statement.text or not statement.strong(set(statement.held)), statement
    locked = [s for s in statements if "AccessExclusiveLock" in s.held.get("auth_user", set())]
    assert locked
    assert all("AccessExclusiveLock" in s.held["portal_profile"] for s in locked if "portal_profile" in s.held)


def test_while_a_move_is_unretired_new_code_reads_and_users_log_in(moving: Moving) -> None:
    moving.retire()
    farm.sql("UPDATE accounts_profile SET organization = 'changed meanwhile'")
    visits: list[str] = []

    def visit(session: Any, statement: Statement) -> None:
        if statement.goes_through(["accounts_profile"]):
            session.execute(NO_WAIT)
            session.execute("SELECT count(*) FROM accounts_profile")
            session.execute("UPDATE auth_user SET last_login = now() WHERE id = 10")
            visits.append(statement.text)

    with witness(visit):
        moving.unretire()
    assert any(text.startswith("WITH changed") for text in visits)
    assert any(text.startswith("SELECT pg_catalog.count(*), ") for text in visits)
