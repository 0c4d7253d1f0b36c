"""In place, all or nothing: a failure at any statement, a lock that is not granted, and what is locked meanwhile."""

import contextlib
from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import Settings

from rehome import Move
from rehome.errors import LockNotObtained, MoveFailed
from tests.farm import farm
from tests.farm.test_faults import (
    Migration,
    fail_at_each_statement,
    fail_in_the_process,
    fault,
    lose_the_connection,
)
from tests.farm.test_locks import LOCKS, other_session, witness

PROFILE = Move("portal.Profile", "accounts.Profile", in_place=True)
PRINTER = Move("portal.Printer", "printers.Printer", in_place=True)
UNVALIDATED = "SELECT conrelid::regclass::text FROM pg_constraint WHERE NOT convalidated"
VALIDATE = 'ALTER TABLE "public"."printers_printer" VALIDATE'


@pytest.fixture
def printers(monolith: None) -> Migration:
    """The profiles have moved by copying, so the printers' foreign key is another one afterwards."""
    farm.prepare_targets()
    Migration(farm.MOVES[0], "accounts", "0002_migrate_profile_data").forwards()
    return Migration(PRINTER, "printers", "0002_migrate_printer_data")


def is_in_place() -> bool:
    return farm.sql("SELECT relkind FROM pg_class WHERE relname = 'portal_printer'") == [("v",)]


@pytest.mark.long
def test_a_failure_at_any_statement_leaves_nothing_behind(printers: Migration) -> None:
    statements = fail_at_each_statement(printers.forwards, until=VALIDATE)

    assert len(statements) > 20
    assert is_in_place()
    assert farm.sql(UNVALIDATED) == [("printers_printer",)]
    printers.forwards()
    assert farm.sql(UNVALIDATED) == []


@pytest.mark.long
def test_a_failure_at_any_statement_of_the_way_back_leaves_it_in_place(printers: Migration) -> None:
    printers.forwards()
    statements = fail_at_each_statement(printers.backwards, until='UPDATE "rehome_moverun"')

    assert len(statements) > 20
    assert is_in_place()
    with fault(fail_in_the_process, lambda _, text: "VALIDATE" in text) as failed, pytest.raises(KeyboardInterrupt):
        printers.backwards()
    assert failed
    assert not is_in_place()
    assert farm.sql(UNVALIDATED) == [("portal_printer",)]
    printers.backwards()
    assert farm.sql(UNVALIDATED) == []


@pytest.mark.parametrize("begin", ["DROP TABLE", "CREATE VIEW", 'UPDATE "rehome_moverun"', VALIDATE])
def test_a_lost_connection_costs_nothing_but_another_run(printers: Migration, begin: str) -> None:
    rows = farm.rows("portal_printer")
    with (
        fault(lose_the_connection, lambda _, text: text.startswith(begin)) as failed,
        pytest.raises(MoveFailed, match="The connection was lost.* Run the migration again"),
    ):
        printers.forwards()
    assert failed
    connection.close()
    assert is_in_place() is (begin == VALIDATE)
    assert farm.rows("portal_printer") == rows

    printers.forwards()

    assert is_in_place()
    assert farm.rows("portal_printer") == farm.rows("printers_printer") == rows
    assert farm.sql(UNVALIDATED) == []


# ----- locks


@pytest.mark.parametrize("way", ["forwards", "backwards"])
@pytest.mark.parametrize("table", ["portal_printer", "printers_printer", "accounts_profile", "django_content_type"])
def test_a_lock_that_is_not_granted_leaves_everything_as_it_was(
    printers: Migration, settings: Settings, way: str, table: str
) -> None:
    settings.REHOME_LOCK_TRIES, settings.REHOME_LOCK_TIMEOUT_MS = 2, 20
    if way == "backwards":
        printers.forwards()
    before = farm.picture(records=True)
    with other_session() as session, session.transaction():
        session.execute(f"UPDATE {table} SET id = id WHERE id = (SELECT min(id) FROM {table})")
        session.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        with pytest.raises(LockNotObtained, match=r"pid \d+ .* Nothing has been moved"):
            getattr(printers, way)()
    assert farm.picture(records=True) == before


def test_it_holds_no_lock_while_it_waits_for_another_try(
    printers: Migration, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.REHOME_LOCK_TIMEOUT_MS = 20
    held: list[dict[str, list[str]]] = []
    with other_session() as session, other_session() as onlooker:
        session.execute("BEGIN; LOCK TABLE accounts_profile IN ROW EXCLUSIVE MODE")

        def pause(_: float) -> None:
            locks = onlooker.execute(LOCKS, [connection.connection.info.backend_pid])
            held.append({name: [m for m in modes if m != "AccessShareLock"] for name, modes in locks})
            session.execute("ROLLBACK")

        monkeypatch.setattr("rehome.postgres.session.time.sleep", pause)
        printers.forwards()
    assert [[modes for modes in names.values() if modes] for names in held] == [[]]
    assert is_in_place()


@contextlib.contextmanager
def strongest() -> Iterator[dict[str, str]]:
    """By table, the strongest lock that the short transaction held; what it reads of the moved rows is an error."""
    order = ["RowExclusiveLock", "ShareRowExclusiveLock", "AccessExclusiveLock"]
    found: dict[str, str] = {}
    with witness() as statements:
        yield found
    for statement in statements:
        if statement.text.startswith(("ALTER TABLE", "SELECT EXISTS")) and "VALIDATE" in statement.text:
            break
        # With its name the table changes whose numbers these are.
        if " RENAME TO " not in statement.text:
            assert not statement.goes_through(["portal_printer", "printers_printer"]), statement
        for table, modes in statement.held.items():
            for mode in modes & set(order):
                if order.index(mode) >= order.index(found.get(table, order[0])):
                    found[table] = mode


SHARED = {
    "auth_group_permissions": "ShareRowExclusiveLock",
    "auth_permission": "RowExclusiveLock",
    "auth_user_user_permissions": "ShareRowExclusiveLock",
    "django_admin_log": "RowExclusiveLock",
    "django_content_type": "ShareRowExclusiveLock",
    "rehome_moverun": "RowExclusiveLock",
}


def test_the_locks_are_those_of_the_guide_and_no_row_is_read(printers: Migration) -> None:
    with strongest() as locks:
        printers.forwards()
    tables = ("portal_printer", "printers_printer", "portal_profile", "accounts_profile")
    assert locks == SHARED | dict.fromkeys(tables, "AccessExclusiveLock")

    with strongest() as locks:
        printers.backwards()
    assert locks == SHARED | {
        "printers_printer": "AccessExclusiveLock",
        "accounts_profile": "AccessExclusiveLock",
        "portal_profile": "ShareRowExclusiveLock",
    }


def test_the_number_of_statements_does_not_grow_with_the_rows(printers: Migration) -> None:
    def count() -> list[int]:
        numbers = []
        for way in (printers.forwards, printers.backwards):
            with farm.watch() as statements:
                way()
            numbers.append(len(statements))
        return numbers

    count()  # From the first time on there is a fence.
    few = count()
    farm.sql(
        "INSERT INTO portal_printer (ip_address, api_key, ping, printing) "
        "SELECT '192.0.2.9', n, false, false FROM generate_series(1, 3000) n"
    )
    assert count() == few
