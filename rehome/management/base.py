"""What the commands about the moves of one database have in common."""

import json
from collections.abc import Iterable, Mapping, Sequence
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

    # A project whose checks fail needs to see its moves all the more.
    requires_system_checks = []
    interrupted = "Interrupted; nothing is changed."

    def add_arguments(self, parser: CommandParser) -> None:
        add_database(parser, "The database to look at.")

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
        checks.check_server(connection)

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str | None:
        raise NotImplementedError

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
