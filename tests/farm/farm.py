"""The farm and its two moves, as a test handles them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from rehome import Move
from rehome.moves.steps import open_session
from rehome.plan.ledger import Ledger
from rehome.plan.record import Record
from rehome.plan.resolve import make_plan
from rehome.verify.report import Report, verify
from tests.database import dump

MOVES = [Move("portal.Profile", "accounts.Profile"), Move("portal.Printer", "printers.Printer")]
MONOLITH = [("portal", "0001"), ("auth",), ("contenttypes",), ("admin",), ("sessions",)]
DJANGO_32 = Path(__file__).parent.parent / "fixtures" / "portal_django32.sql"

NEW_COLUMN = "province_id"
RECORDS = ["rehome_moverun", "django_migrations", "core_discrepancy*"]
# Numbers that Django's own tables use up whenever a content type is made again.
NUMBERS = ["django_*_id_seq", "auth_*_id_seq"]


def build_monolith(database: str = "default") -> None:
    """What was in production before anything moved."""
    for target in MONOLITH:
        migrate(*target, database=database)


def migrate(*target: str, database: str = "default") -> None:
    call_command("migrate", *target, database=database, verbosity=0)


def migrate_back(database: str = "default") -> None:
    migrate("printers", "0001", database=database)
    migrate("accounts", "0001", database=database)


def prepare_targets() -> None:
    """The new apps' tables are there, empty, with their content types; nothing has moved."""
    migrate("core")
    migrate("accounts", "0001")
    migrate("printers", "0001")


def prepare_everything() -> None:
    """So are those of the other apps, whose migrations do not depend on the moves."""
    prepare_targets()
    moved = {"portal", "accounts", "printers"}
    for app in sorted(MigrationLoader(connection).migrated_apps - moved):
        migrate(app)


def on_server(*statements: str) -> None:
    """Run statements that no transaction may hold, beside every database."""
    with connection._nodb_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def sql(statement: str, params: Any = None, *, database: str = "default") -> list[tuple[Any, ...]]:
    with connections[database].cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def rows(table: str, *, database: str = "default") -> dict[int, dict[str, Any]]:
    """Every row by its primary key, with the columns that both tables have; the database says what is equal, NULL
    beside an empty string included.
    """
    found = sql(f"SELECT id, (to_jsonb(t) - '{NEW_COLUMN}')::text FROM {table} t", database=database)  # noqa: S608
    return {key: json.loads(row) for key, row in found}


def drop_traces() -> None:
    """What a rollback leaves on purpose: the record of it, and the fence on the empty targets."""
    sql("DROP TABLE rehome_moverun")
    for (function,) in sql("SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'rehome_fence%'"):
        sql(f"DROP FUNCTION {function} CASCADE")


def picture(*, records: bool = False) -> str:
    """The whole database; with `records`, also what Django and rehome wrote down of migrations, with its times."""
    return dump(without_data=NUMBERS if records else NUMBERS + RECORDS)


def reports(database: str = "default") -> list[Report]:
    """What the verification says of both moves."""
    loader = MigrationLoader(connections[database])
    historical = loader.project_state(("printers", "0002_migrate_printer_data")).apps
    plans = [make_plan(move, historical, connections[database]) for move in MOVES]
    return [verify(plan, open_session(plan), Record.of(Ledger(database).current(plan))) for plan in plans]


def assert_in_step(database: str = "default") -> None:
    """Both moves are live and their tables equal, looked at row by row, by the verification and by this test."""
    for report in reports(database):
        assert report.ok, report.as_json()
    for old, new in (("portal_profile", "accounts_profile"), ("portal_printer", "printers_printer")):
        assert rows(old, database=database) == rows(new, database=database)


@contextmanager
def watch(database: str = "default") -> Iterator[list[str]]:
    """The statements that reach the server, as they come."""
    seen: list[str] = []

    def note(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(statement)
        return execute(statement, params, many, context)

    with connections[database].execute_wrapper(note):
        yield seen
