from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import AmbiguityError, MigrationLoader

from rehome.graph.discovery import moves_of
from rehome.graph.status import Status, read_status
from rehome.management.base import USAGE, DatabaseCommand
from rehome.models import Phase
from rehome.moves.runner import backward_steps, forward_steps
from rehome.moves.steps import Step
from rehome.plan.ledger import Ledger
from rehome.plan.phases import INTERRUPTED
from rehome.postgres import catalog, sql
from rehome.postgres.conf import LOCK_TIMEOUT_MS
from rehome.postgres.session import Group
from rehome.preflight import checks

HEADING = """\
-- {place} on database {alias!r}, {direction}
-- `migrate` does more than this: it checks everything first, tries again while a lock is taken, compares every row
-- before it commits, and records the run. Without that record rehome can't verify the move or move it back.
-- Stop at the first error: psql -v ON_ERROR_STOP=1"""
TIMEOUTS = {"lock_timeout": LOCK_TIMEOUT_MS, "statement_timeout": 0}


class Command(DatabaseCommand):
    help = "Prints the SQL that the moves of a migration would run on one database now, forwards or backwards."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("app_label", help="App label of the application that holds the migration.")
        parser.add_argument("migration_name", help="Name of the migration, or as much of it as is unique.")
        super().add_arguments(parser)
        parser.add_argument("--backwards", action="store_true", help="The SQL of the way back.")

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str:
        loader = MigrationLoader(connection, ignore_no_migrations=True)
        migration = find_migration(loader, options["app_label"], options["migration_name"])
        moves = list(moves_of(migration, loader))
        if not moves:
            raise CommandError(f"{migration} moves no model; sqlmigrate prints its SQL.", returncode=USAGE)
        direction = "backwards" if options["backwards"] else "forwards"
        lines = [
            HEADING.format(place=migration, alias=connection.alias, direction=direction),
            *(f"{sql.set_setting(name, value).as_string()};" for name, value in TIMEOUTS.items()),
            *catalog.own_settings(connection),
        ]
        for declared in reversed(moves) if options["backwards"] else moves:
            status = read_status(declared, connection)
            lines += ["", f"-- {declared}", *([f"-- {status.edited}"] if status.edited else [])]
            lines += render(steps_of(status, backwards=options["backwards"]))
        return "\n".join(lines)


def find_migration(loader: MigrationLoader, app_label: str, name: str) -> Migration:
    try:
        return loader.get_migration_by_prefix(app_label, name)
    except AmbiguityError:
        problem = f"More than one migration of {app_label!r} begins with {name!r}."
    except KeyError:
        problem = f"No migration of {app_label!r} begins with {name!r}."
    raise CommandError(problem, returncode=USAGE)


def steps_of(status: Status, *, backwards: bool) -> Iterator[Step]:
    if status.plan is None:
        raise CommandError(status.problem)
    if status.phase in INTERRUPTED:
        raise CommandError(
            f"A run of {status} was interrupted. `manage.py migrate` resumes it; to cancel it, migrate to the "
            "migration before it."
        )
    if not backwards:
        return forward_steps(status.plan, status.run)
    retired = status.run if status.phase == Phase.RETIRED else None
    run = retired or checks.check_live(status.plan, Ledger(status.plan.connection.alias))
    return backward_steps(status.plan, run)


def render(steps: Iterator[Step]) -> Iterator[str]:
    """Each step under its name; statements that succeed or fail together in a transaction."""
    heading = ""
    for step in steps:
        groups = [lines_of(group) for group in step.groups()]
        if groups and heading != (heading := f"-- {step.name}: {step.heading}."):
            yield heading
        if step.together:
            groups = [[line for lines in groups for line in lines]]
        for lines in groups:
            yield from ["BEGIN;", *lines, "COMMIT;"] if len(lines) > 1 else lines


def lines_of(group: Group) -> list[str]:
    note = [f"-- {group.note}:"] if group.note else []
    return [*note, *(f"{statement.as_string()};" for statement in group.statements)]
