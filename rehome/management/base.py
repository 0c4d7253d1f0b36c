"""What the commands about the moves of one database have in common."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.graph.status import Status
from rehome.preflight import checks

USAGE = 2
"""The exit code for arguments that mean nothing."""
INTERRUPTED = 130


class DatabaseCommand(BaseCommand):
    """Reads one database; says in a sentence why it can't, and leaves nothing open when it is interrupted."""

    # A project whose checks fail needs the truth about its moves all the more.
    requires_system_checks = []
    interrupted = "Interrupted; nothing is changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            choices=tuple(connections),
            help='The database to look at. Defaults to "default".',
        )

    def handle(self, *args: Any, **options: Any) -> str | None:
        connection = connections[options["database"]]
        try:
            self.check_server(connection)
            return self.handle_database(connection, **options)
        except KeyboardInterrupt:
            raise CommandError(self.interrupted, returncode=INTERRUPTED) from None
        except DatabaseError as error:
            raise CommandError(f"Database {connection.alias!r} can't be read: {str(error).strip()}") from error

    def check_server(self, connection: BaseDatabaseWrapper) -> None:
        """Refuse a server that the command does not know."""
        checks.check_server(connection)

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str | None:
        raise NotImplementedError

    def say(self, line: str) -> None:
        """Progress, for people: on stderr, so that stdout holds the result alone."""
        self.stderr.write(line, self.style.NOTICE)


def choose(statuses: list[Status], name: str | None) -> list[Status]:
    """All, or those of the move that `name` means."""
    chosen = [status for status in statuses if name is None or status.declared.move.answers_to(name)]
    if name is not None and not chosen:
        known = ", ".join(sorted(status.declared.move.target for status in statuses)) or "none"
        raise CommandError(f"There is no move {name!r}. The moves on this database: {known}.", returncode=USAGE)
    return chosen


def add_format(parser: CommandParser) -> None:
    parser.add_argument("--format", default="text", choices=("text", "json"), help="Defaults to text.")


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_table(headings: list[str], rows: list[list[Any]]) -> str:
    """Columns side by side; those of numbers are aligned to the right, and None is a dash."""
    cells = [headings, *([show(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(cell, int | float | None) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


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
