import dataclasses
from typing import Any

from django.core.management.base import CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from rehome.graph.discovery import find_moves
from rehome.graph.ending.found import Ending, read_endings
from rehome.graph.status import Status, find_undeclared, read_statuses, undeclared
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
        loader = MigrationLoader(connection, ignore_no_migrations=True)
        statuses = read_statuses(find_moves(loader), connection)
        found = [(status, status.writes) for status in statuses]
        endings = read_endings(loader, connection)
        if options["format"] == "json":
            return as_json([*(describe(*pair) for pair in found), *map(describe_ending, endings)])
        notes = [f"{status}: {note}" for status in statuses if (note := note_on(status))]
        strangers = [f"{status}: {line}" for status in statuses for line in status.told]
        notes += [f"{ending}: {ending.note}" for ending in endings if ending.note]
        notes += map(undeclared, find_undeclared(loader, connection))
        if not statuses and not endings:
            return "\n".join(["(no moves)", *notes])
        programs = [f"{status}: {told}" for status, writes in found if writes and (told := writes.told)]
        rows = [*(row_of(*pair) for pair in found), *map(row_of_ending, endings)]
        return "\n".join([as_table(COLUMNS, rows), *programs, *strangers, *notes])


def note_on(status: Status) -> str:
    """What is wrong between the Move, the record of rehome and that of Django, and what to do."""
    return " ".join(filter(None, [status.edited if status.plan else "", what_is_wrong(status)]))


def what_is_wrong(status: Status) -> str:
    declared = status.declared
    if status.faked:
        return status.faked
    if status.ended:
        return ""
    if declared.key not in declared.loader.applied_migrations and status.verifiable:
        return (
            f"{declared.place} is not recorded as applied, though it has run. If it was unapplied with --fake, record "
            f"it with `manage.py migrate --fake {' '.join(declared.key)}`; then, or else, run `manage.py migrate`."
        )
    if status.defects:
        return f"{' '.join(status.defects)} `manage.py retiremoves {status.declared.move.target}` rebuilds it."
    if broken := status.broken:
        return " ".join(broken)
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
        "stranded": status.stranded,
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


def describe_ending(ending: Ending) -> dict[str, Any]:
    """Of a move that no migration declares any more."""
    return {
        "move": str(ending),
        "migration": ending.place,
        "phase": ending.phase,
        "rows": ending.run.rows if ending.run else None,
        **dict.fromkeys(["sync", "old_writes", "old_writes_since_verification", "counted_at", "writers"]),
        "stranded": {},
        **dict.fromkeys(["verified_at", "verified_ok"]),
        "note": ending.note,
    }


def row_of_ending(ending: Ending) -> dict[str, Any]:
    return {**describe_ending(ending), "since_verification": None, "last_verification": None}
