import dataclasses
from typing import Any

from django.core.management.base import CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from rehome.graph.discovery import find_moves
from rehome.graph.status import Status, read_statuses
from rehome.management.base import DatabaseCommand, add_format, as_json, as_table
from rehome.moves import resume
from rehome.parts.writes import Writes
from rehome.plan.phases import INTERRUPTED
from rehome.postgres.session import Session

COLUMNS = ["move", "migration", "phase", "rows", "sync", "old_writes", "since_verification", "last_verification"]


class Command(DatabaseCommand):
    help = "Shows every move of the project and how it stands on one database."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_format(parser)

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str:
        loader = MigrationLoader(connection)
        statuses = read_statuses(find_moves(loader), connection)
        found = [(status, status.writes) for status in statuses]
        if options["format"] == "json":
            return as_json([describe(*pair) for pair in found])
        if not statuses:
            return "(no moves)"
        notes = [f"{status}: {note}" for status in statuses if (note := note_on(status))]
        programs = [f"{status}: {told}" for status, writes in found if writes and (told := writes.told)]
        return "\n".join([as_table(COLUMNS, [row_of(*pair) for pair in found]), *programs, *notes])


def note_on(status: Status) -> str:
    """What is wrong between the plan, the record of rehome and that of Django, and what to do."""
    applied = status.declared.key in status.declared.loader.applied_migrations
    if applied and status.run is None:
        return (
            f"{status.declared.place} is recorded as applied, but rehome did not run it on this database, "
            "so it can neither verify it nor move it back. It was faked, or its SQL was run by hand."
        )
    if status.ended:
        return ""
    if status.defects:
        return f"{' '.join(status.defects)} `manage.py retiremoves {status.declared.move.target}` rebuilds it."
    return status.problem or (where_it_stopped(status) if status.phase in INTERRUPTED else "")


def where_it_stopped(status: Status) -> str:
    """How far a move has come, who is at work on it, and what to do if nobody is."""
    app_label, name = status.declared.key
    stands = resume.describe(status.run) if status.run else ""
    if status.plan and (session := Session(status.plan.connection).running_move()):
        return f"{stands}; at work: {session}."
    return (
        f"{stands}; interrupted. `migrate {app_label} {name}` resumes it, "
        f"`migrate {app_label}` with the name of the migration before it cancels it."
    )


def describe(status: Status, writes: Writes | None) -> dict[str, Any]:
    run = status.run
    return {
        "move": str(status),
        "migration": status.declared.place,
        "phase": status.phase,
        "rows": run.rows if run else None,
        "sync": status.sync,
        "old_writes": writes.total if writes else None,
        "old_writes_since_verification": writes.fresh if writes else None,
        "counted_at": writes.counted_at if writes else None,
        "writers": [dataclasses.asdict(writer) for writer in writes.writers] if writes else None,
        "verified_at": run.verified_at.isoformat() if run and run.verified_at else None,
        "verified_ok": run.verification["ok"] if run and run.verification else None,
        "note": note_on(status),
    }


def row_of(status: Status, writes: Writes | None) -> dict[str, Any]:
    run, last = status.run, None
    if run and run.verified_at and run.verification:
        when = timezone.localtime(run.verified_at) if timezone.is_aware(run.verified_at) else run.verified_at
        last = f"{when:%Y-%m-%d %H:%M:%S}: {'equal' if run.verification['ok'] else 'DIFFERENCES'}"
    since = writes.fresh if writes else None
    return {**describe(status, writes), "since_verification": since, "last_verification": last}
