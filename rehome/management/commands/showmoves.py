from typing import Any

from django.core.management.base import CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from rehome.discovery import find_moves
from rehome.management.base import DatabaseCommand, add_format, as_json, as_table
from rehome.status import Status, read_statuses

HEADINGS = ["move", "migration", "phase", "rows", "sync", "last verification"]


class Command(DatabaseCommand):
    help = "Shows every move of the project and how it stands on one database."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_format(parser)

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str:
        loader = MigrationLoader(connection)
        statuses = read_statuses(find_moves(loader), connection)
        if options["format"] == "json":
            return as_json([describe(status) for status in statuses])
        if not statuses:
            return "(no moves)"
        notes = [f"{status}: {note}" for status in statuses if (note := note_on(status))]
        return "\n".join([as_table(HEADINGS, [row_of(status) for status in statuses]), *notes])


def note_on(status: Status) -> str:
    """Where the plan, the record of rehome and that of Django don't fit together: what, and what to do."""
    applied = status.declared.key in status.declared.loader.applied_migrations
    if applied and status.run is None:
        return (
            f"{status.declared.place} is recorded as applied, but rehome did not run it on this database, "
            "and can neither verify it nor move it back. It was faked, or its SQL was run by hand."
        )
    return status.problem


def describe(status: Status) -> dict[str, Any]:
    run = status.run
    return {
        "move": str(status),
        "migration": status.declared.place,
        "phase": status.phase,
        "rows": run.rows if run else None,
        "sync": status.sync,
        "verified_at": run.verified_at.isoformat() if run and run.verified_at else None,
        "verified_ok": run.verification["ok"] if run and run.verification else None,
        "note": note_on(status),
    }


def row_of(status: Status) -> list[Any]:
    shown = describe(status)
    return [shown[name] for name in ("move", "migration", "phase", "rows", "sync")] + [last_verification(status)]


def last_verification(status: Status) -> str | None:
    run = status.run
    if run is None or run.verified_at is None or run.verification is None:
        return None
    when = timezone.localtime(run.verified_at) if timezone.is_aware(run.verified_at) else run.verified_at
    return f"{when:%Y-%m-%d %H:%M:%S}: {'equal' if run.verification['ok'] else 'DIFFERENCES'}"
