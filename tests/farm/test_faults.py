"""A failure at any statement leaves nothing behind, and a killed connection nothing that the next run minds."""

import itertools
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from rehome import Move
from rehome.errors import MoveFailed
from tests.database import url_of
from tests.farm import farm
from tests.farm.test_locks import other_session
from tests.manage import command
from tests.waiting import LIMIT_S, until

# A failure at a statement that only reads is one at the next that writes. The comparison reads, and is a phase.
PASSIVE = ("SELECT", "WITH", "SAVEPOINT", "RELEASE", "SET LOCAL", "COMMENT", "REVOKE")
COMPARISON = "SELECT pg_catalog.count(*), "

DEFINITIONS = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'printers_printer'::regclass
 UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = 'printers_printer'
"""

WAITING = """
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database()
                  AND l.relation = 'django_content_type'::regclass AND NOT l.granted)
"""
ALONE = """
SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                      AND backend_type = 'client backend' AND pid <> pg_backend_pid())
"""

PROBED = re.compile(r"ALTER SEQUENCE \S+ CACHE \d+$")
"""What is done before a write is tried. Where that fails, it is told that nothing was tried, and the way goes on."""

Execute = Callable[..., Any]
Fail = Callable[[Execute], None]


def fail_on_the_server(execute: Execute) -> None:
    execute("SELECT 1 / 0", None, False, {"connection": connection})


def fail_in_the_process(execute: Execute) -> None:
    raise KeyboardInterrupt


def lose_the_connection(execute: Execute) -> None:
    with other_session() as session:
        pid = connection.connection.info.backend_pid
        session.execute("SELECT pg_terminate_backend(%s, %s)", [pid, LIMIT_S * 1000])


def spoil_a_row(execute: Execute) -> None:
    execute(
        "UPDATE public.printers_printer SET api_key = 'spoilt' WHERE id = 10", None, False, {"connection": connection}
    )


class Migration:
    """The function of a migration that moves, with the historical models it gets; Django's record stays as it is."""

    def __init__(self, move: Move, app_label: str, name: str) -> None:
        self.move = move
        self.apps = MigrationLoader(connection).project_state((app_label, name)).apps

    def forwards(self) -> None:
        with connection.schema_editor(atomic=False) as editor:
            self.move.forwards(self.apps, editor)

    def backwards(self) -> None:
        with connection.schema_editor(atomic=False) as editor:
            self.move.backwards(self.apps, editor)


@pytest.fixture
def profiles(monolith: None) -> Migration:
    farm.prepare_targets()
    return Migration(farm.MOVES[0], "accounts", "0002_migrate_profile_data")


@pytest.fixture
def printers(profiles: Migration) -> Migration:
    """The profiles have moved already."""
    profiles.forwards()
    return Migration(farm.MOVES[1], "printers", "0002_migrate_printer_data")


@contextmanager
def fault(fail: Fail, where: Callable[[int, str], bool]) -> Iterator[list[str]]:
    """Before the first statement for which `where` says yes of its number and text; yields that statement."""
    numbers = itertools.count(1)
    failed: list[str] = []

    def watch(execute: Execute, text: str, params: Any, many: bool, context: Any) -> Any:
        writes = text.startswith(COMPARISON) or not text.lstrip().startswith(PASSIVE) and not PROBED.match(text)
        if writes and not failed and where(next(numbers), text):
            failed.append(text)
            fail(execute)
        return execute(text, params, many, context)

    with connection.execute_wrapper(watch):
        yield failed


def fail_at_each_statement(run: Callable[[], None], *, until: str) -> list[str]:
    """Fail at the first statement, then at the second, and so on to one that begins with `until`; return them all.

    The server fails and the process is interrupted in turn. Each time the database must be as it was.
    """
    before = farm.picture(records=True)
    statements: list[str] = []
    for number in itertools.count(1):
        fail, error = [(fail_on_the_server, MoveFailed), (fail_in_the_process, KeyboardInterrupt)][number % 2]
        with fault(fail, lambda at, _, number=number: at == number) as failed, pytest.raises((error, DatabaseError)):
            run()
        statements += failed
        if statements[-1].startswith(until):
            return statements
        assert farm.picture(records=True) == before, statements[-1]
    raise AssertionError


@pytest.mark.long
def test_a_failure_at_any_statement_of_a_move_leaves_nothing_behind(printers: Migration) -> None:
    statements = fail_at_each_statement(printers.forwards, until="VACUUM")

    assert len(statements) > 40
    printers.forwards()
    farm.assert_in_step()


@pytest.mark.long
def test_a_failure_at_any_statement_of_the_way_back_leaves_both_tables_live(printers: Migration) -> None:
    printers.forwards()
    statements = fail_at_each_statement(printers.backwards, until='UPDATE "rehome_moverun"')

    assert len(statements) > 30
    printers.backwards()
    assert not farm.rows("printers_printer")


def test_a_failure_while_a_move_settles_is_made_up_for_by_the_next_run(printers: Migration) -> None:
    for begin in ("VACUUM", 'ALTER TABLE "public"."printers_printer" VALIDATE', 'UPDATE "rehome_moverun"'):
        with (
            fault(fail_in_the_process, lambda _, text, begin=begin: text.startswith(begin)) as failed,
            pytest.raises(KeyboardInterrupt),
        ):
            printers.forwards()
        assert failed
        assert farm.rows("printers_printer") == farm.rows("portal_printer")

    printers.forwards()
    farm.assert_in_step()


def test_a_failure_while_a_rollback_settles_is_made_up_for_by_the_next_run(profiles: Migration) -> None:
    profiles.forwards()
    with (
        fault(fail_in_the_process, lambda _, text: "VALIDATE" in text) as failed,
        pytest.raises(KeyboardInterrupt),
    ):
        profiles.backwards()
    assert failed
    unvalidated = "SELECT conrelid::regclass::text FROM pg_constraint WHERE NOT convalidated"
    assert farm.sql(unvalidated) == [("printers_printer",)]

    profiles.backwards()

    assert farm.sql(unvalidated) == []


def test_a_copy_that_differs_is_named_and_undone(printers: Migration) -> None:
    before = farm.picture(records=True)
    with (
        fault(spoil_a_row, lambda _, text: text.startswith(COMPARISON)),
        pytest.raises(MoveFailed, match=r"1 different.* public.printers_printer 10: different in api_key"),
    ):
        printers.forwards()

    assert farm.picture(records=True) == before


@pytest.mark.long
@pytest.mark.parametrize("begin", ["DROP INDEX", "INSERT INTO", "CREATE INDEX", "CREATE OR REPLACE TRIGGER", "UPDATE"])
def test_a_lost_connection_costs_nothing_but_another_run(printers: Migration, begin: str) -> None:
    rows, definitions = farm.rows("portal_printer"), set(farm.sql(DEFINITIONS))
    with (
        fault(lose_the_connection, lambda _, text: text.startswith(begin) and "moverun" not in text) as failed,
        pytest.raises(MoveFailed, match="The connection was lost.* Run the migration again"),
    ):
        printers.forwards()
    assert failed
    assert farm.rows("portal_printer") == rows
    assert farm.rows("printers_printer") == {}

    farm.migrate()

    farm.assert_in_step()
    assert set(farm.sql(DEFINITIONS)) >= definitions


def test_a_connection_lost_on_the_way_back_leaves_both_tables_live(printers: Migration) -> None:
    printers.forwards()
    before = farm.picture(records=True)
    with fault(lose_the_connection, lambda _, text: text.startswith("TRUNCATE")), pytest.raises(MoveFailed):
        printers.backwards()
    connection.close()

    assert farm.picture(records=True) == before
    farm.assert_in_step()


def test_a_killed_process_leaves_an_empty_target_and_the_next_run_puts_it_in_order(printers: Migration) -> None:
    rows, definitions = farm.rows("portal_printer"), set(farm.sql(DEFINITIONS))
    name = connection.settings_dict["NAME"]
    with other_session() as session, session.transaction():
        # The move wants this table for a moment at its end, and has to wait.
        session.execute("LOCK TABLE django_content_type IN ROW EXCLUSIVE MODE")
        with subprocess.Popen(
            command("migrate", "printers", "--verbosity", "0"),
            env=os.environ | {"DATABASE_URL": url_of(name)},
            stderr=subprocess.DEVNULL,
        ) as process:
            await_answer(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'django_content_type'::regclass)"
            )
            process.kill()
    await_answer(ALONE)
    assert farm.sql("SELECT phase FROM rehome_moverun ORDER BY id DESC LIMIT 1") == [("prepared",)]
    assert not set(farm.sql(DEFINITIONS)) >= definitions
    assert (farm.rows("portal_printer"), farm.rows("printers_printer")) == (rows, {})

    farm.migrate()

    farm.assert_in_step()
    assert set(farm.sql(DEFINITIONS)) >= definitions


def await_answer(question: str) -> None:
    until(lambda: farm.sql(question) == [(True,)], question)
