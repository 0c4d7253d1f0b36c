"""Who waits for whom: the locks that each statement of a move holds, and other sessions that go on meanwhile."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from rehome.moves.way import Way
from tests.farm import farm
from tests.waiting import NO_WAIT

pytestmark = pytest.mark.server

LOOKUP = 10
"""Rows that a lookup by index may come across; the tables here have more."""
# What a reader of rows takes, and a writer of single rows.
HARMLESS = {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}
KEEP_WRITERS_AWAY = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
LOCKS = """
SELECT c.relname::text, array_agg(l.mode) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
 WHERE l.pid = %s AND l.granted AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY 1
"""
# Of this transaction alone: rows that sequential scans, index builds and lookups by index went through.
READ = """
SELECT relname::text, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
 WHERE schemaname = 'public'
"""


@dataclasses.dataclass(frozen=True)
class Statement:
    text: str
    held: dict[str, set[str]]
    """By table, the locks when it had run: its own and those of its transaction before it."""
    read: dict[str, int]
    """By table, how many rows it read."""

    def goes_through(self, tables: Iterable[str]) -> bool:
        """Whether it reads rows of one of `tables` by the number, and not only one that an index leads to."""
        return any(self.read.get(table, 0) > LOOKUP for table in tables)

    def strong(self, tables: set[str]) -> dict[str, set[str]]:
        """Locks that make somebody wait who writes rows to one of `tables`, or reads them."""
        return {table: modes - HARMLESS for table, modes in self.held.items() if table in tables and modes - HARMLESS}


@contextmanager
def other_session() -> Iterator[psycopg.Connection[Any]]:
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if parameters.get(name)}
    with psycopg.connect(**known, autocommit=True) as session:
        yield session


@contextmanager
def witness(meanwhile: Callable[[psycopg.Connection[Any], Statement], None] | None = None) -> Iterator[list[Statement]]:
    """Every statement of the default connection; `meanwhile` acts in another session after each of them.

    The trial of writes is left out: it holds these locks for half a second at most, and reads a hundred rows at most.
    """
    statements: list[Statement] = []
    connection.ensure_connection()
    totals = dict(connection.connection.execute(READ).fetchall())

    def watch(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal totals
        result = execute(text, params, many, context)
        pid = connection.connection.info.backend_pid
        held = {table: set(modes) for table, modes in session.execute(LOCKS, [pid])}
        # Asked of the connection itself, past this wrapper, for nobody else sees an open transaction's numbers.
        before, totals = totals, dict(connection.connection.execute(READ).fetchall())
        read = {table: number - before.get(table, 0) for table, number in totals.items()}
        statements.append(Statement(text, held, {table: number for table, number in read.items() if number > 0}))
        if meanwhile:
            meanwhile(session, statements[-1])
        return result

    with other_session() as session, connection.execute_wrapper(watch), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Way, "try_writes", lambda *args, **options: None)
        yield statements


def steps(*, way: str) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """Source, target and the migration, in the order in which they run."""
    moves = [("portal_profile", "accounts_profile", "accounts"), ("portal_printer", "printers_printer", "printers")]
    for source, target, app in moves if way == "forward" else reversed(moves):
        yield source, target, lambda app=app: farm.migrate(app, "0002" if way == "forward" else "0001")


@pytest.mark.long
@pytest.mark.parametrize("way", ["forward", "back"])
def test_no_statement_that_reads_moved_rows_holds_a_lock_that_others_wait_for(monolith: None, way: str) -> None:
    farm.prepare_targets()
    if way == "back":
        farm.migrate()
    for source, target, run in steps(way=way):
        count = len(farm.rows(source))
        with witness() as statements:
            run()

        readers = [statement for statement in statements if statement.goes_through([source, target])]
        assert sum(statement.read.get(source, 0) >= count for statement in readers) >= (2 if way == "forward" else 1)
        for statement in readers:
            others = set(statement.held) - {source, target}
            assert not statement.strong(others), statement
            # Those who read the source do not wait either.
            assert "AccessExclusiveLock" not in statement.held.get(source, set()), statement
        # The lock that all of this is about is taken, if only for a moment.
        shared = {"auth_user", "accounts_profile"} - {target}
        assert way == "back" or any(statement.strong(shared) for statement in statements)


@pytest.mark.long
def test_online_no_statement_that_reads_moved_rows_holds_a_lock_that_any_writer_waits_for(
    monolith: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.prepare_targets()
    monkeypatch.setenv("REHOME_ONLINE", "1")
    for source, target, run in steps(way="forward"):
        count = len(farm.rows(source))
        with witness() as statements:
            run()

        readers = [statement for statement in statements if statement.goes_through([source, target])]
        assert sum(statement.read.get(source, 0) for statement in readers) >= 2 * count
        for statement in readers:
            strong = statement.strong(set(statement.held))
            assert {table: modes - {"ShareUpdateExclusiveLock"} for table, modes in strong.items()} == dict.fromkeys(
                strong, set()
            ), statement
        # Both short transactions, and nothing else, keep the source's writers away.
        kept_away = [statement for statement in statements if statement.held.get(source, set()) & KEEP_WRITERS_AWAY]
        assert {"CREATE OR REPLACE TRIGGER", "ALTER COLUMN"} <= {
            what for what in ("CREATE OR REPLACE TRIGGER", "ALTER COLUMN") for s in kept_away if what in s.text
        }


@pytest.mark.parametrize("way", ["forward", "back"])
@pytest.mark.long
def test_people_log_in_and_read_while_rows_are_copied_and_compared(monolith: None, way: str) -> None:
    farm.prepare_targets()
    if way == "back":
        farm.migrate()
    meanwhile: list[str] = []

    def visit(session: psycopg.Connection[Any], statement: Statement) -> None:
        if statement.goes_through(["portal_profile", "accounts_profile", "portal_printer", "printers_printer"]):
            session.execute(NO_WAIT)
            session.execute("UPDATE auth_user SET last_login = now() WHERE id = 10")
            session.execute("INSERT INTO django_session VALUES (%s, '', now())", [str(len(meanwhile))])
            session.execute("SELECT count(*) FROM portal_printer JOIN portal_profile p ON p.id = profile_id")
            meanwhile.append(statement.text)

    with witness(visit):
        for _, _, run in steps(way=way):
            run()

    for what in ["INSERT INTO", "CREATE INDEX", "count(*)", "VALIDATE"] if way == "forward" else ["count(*)"]:
        assert any(what in text for text in meanwhile), what
