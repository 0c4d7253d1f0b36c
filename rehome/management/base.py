"""What the commands about the moves of one database have in common."""

import abc
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import exceptions

from rehome.errors import one_line
from rehome.graph import squashing
from rehome.graph.status import Status
from rehome.postgres import holders
from rehome.postgres.session import Session
from rehome.postgres.states import RETRIED, cure_of, state_of
from rehome.preflight import checks
from rehome.terminal import Interrupts, interruptible, verbosity

USAGE = 2
"""The exit code for arguments that mean nothing."""
BROKEN_MIGRATIONS = (
    exceptions.BadMigrationError,
    exceptions.InconsistentMigrationHistory,
    exceptions.NodeNotFoundError,
)


@contextlib.contextmanager
def readable_migrations() -> Iterator[None]:
    """Where Django can't make a graph of the project's migrations, it says why, and a command what to do."""
    try:
        yield
    except exceptions.CircularDependencyError as error:
        if why := squashing.explain_circles():
            raise CommandError(f"The migrations can't be read. {why}") from error
        raise CommandError(f"The migrations can't be read: {one_line(error)}. Correct the dependencies.") from error
    except BROKEN_MIGRATIONS as error:
        raise CommandError(
            f"The migrations can't be read: {one_line(error)}. Restore the migration or the app that is missing, or "
            "correct the dependencies."
        ) from error


@contextlib.contextmanager
def told(connection: BaseDatabaseWrapper, problem: str) -> Iterator[None]:
    """What neither a move nor a check has expected, of the server or of the migrations, is a sentence with a cure."""
    try:
        with readable_migrations():
            yield
    except exceptions.IrreversibleError as error:
        if isinstance(error, CommandError):
            raise
        raise CommandError(
            f"{one_line(error)}. What came after it is unapplied. Write into that migration how it is undone, such as "
            "`reverse_code=`, then run the command again; `migrate` alone applies again what was unapplied."
        ) from error
    except OSError as error:
        raise CommandError(
            f"This machine refused: {one_line(error)}. Correct it, then run the command again."
        ) from error
    except (DatabaseError, InterfaceError, psycopg.Error) as error:
        said = f"Database {connection.alias!r} {problem}: {one_line(error)}."
        raise CommandError(f"{said} {who_holds(connection, error)}{cure_of(error)}") from error


def who_holds(connection: BaseDatabaseWrapper, error: BaseException) -> str:
    """A sentence about the locks that a statement has waited for; empty where it failed for another reason."""
    if state_of(error) not in RETRIED or connection.in_atomic_block:
        return ""
    who = holders.exclusive(connection)
    return f"{who[0].upper()}{who[1:]}. " if who else ""


def patient(connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
    """A command that reads stops waiting for a lock that nobody grants, and says who holds it."""
    return Session(connection).patient() if connection.vendor == "postgresql" else contextlib.nullcontext()


class DatabaseCommand(BaseCommand, abc.ABC):
    """Reads one database; says in a sentence why it can't, and leaves nothing open when it is interrupted."""

    # A project whose checks fail needs to see its moves all the more.
    requires_system_checks = []
    interrupted = "Interrupted; nothing is changed."
    signals: Interrupts

    def add_arguments(self, parser: CommandParser) -> None:
        add_database(parser, "The database to look at.")

    def handle(self, *args: Any, **options: Any) -> str | None:
        connection = connections[options["database"]]
        with (
            interruptible(self.interrupted) as self.signals,
            told(connection, "can't be read"),
            verbosity(options["verbosity"]),
            self.ready(connection),
        ):
            return self.handle_database(connection, **options)

    def ready(self, connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
        """Before the command looks at its database, and while it does."""
        self.check_server(connection)
        return patient(connection)

    def check_server(self, connection: BaseDatabaseWrapper) -> None:
        checks.check_server(connection)

    @abc.abstractmethod
    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str | None:
        """What the command does on its database, and prints."""

    def say(self, line: str) -> None:
        """Progress: on stderr, so that stdout holds the result alone."""
        self.stderr.write(line, self.style.NOTICE)


def choose(statuses: list[Status], name: str | None) -> list[Status]:
    """All, or those of the move that `name` means."""
    chosen = [status for status in statuses if name is None or status.declared.move.answers_to(name)]
    if name is not None and not chosen:
        known = ", ".join(sorted(status.declared.move.target for status in statuses)) or "none"
        raise CommandError(f"There is no move {name!r}. The moves on this database: {known}.", returncode=USAGE)
    return chosen


def add_database(parser: CommandParser, what: str) -> None:
    told = f'{what} Defaults to "default".'
    parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help=told)


def add_format(parser: CommandParser) -> None:
    parser.add_argument("--format", default="text", choices=("text", "json"), help="Defaults to text.")


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_table(keys: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The values of `keys` side by side, under headings made of these; numbers are aligned to the right."""
    columns = []
    for key in keys:
        values = [row[key] for row in rows]
        cells = [key.removesuffix("_ok").replace("_", " "), *map(show, values)]
        numeric = all(isinstance(value, int | float | None) for value in values)
        width = max(map(len, cells))
        columns.append([cell.rjust(width) if numeric else cell.ljust(width) for cell in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def show(cell: Any) -> str:
    match cell:
        case None:
            return "-"
        case bool():
            return "yes" if cell else "NO"
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.1f}"
    return str(cell)
