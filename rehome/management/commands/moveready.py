from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.management.base import DatabaseCommand, add_format, as_json
from rehome.management.ops import hours, positive, seconds
from rehome.ops.readiness import day, verdict
from rehome.ops.readiness.day import Limits
from rehome.ops.readiness.line import Line
from rehome.ops.readiness.proofs import NO_MOVE
from rehome.postgres import conf

MARKS = {"ok": "ok", "no": "NO", "unknown": "?"}


class Command(DatabaseCommand):
    help = (
        "Says whether everything is ready for the moves that `migrate` would run: a line each, with what to do, and "
        "exits with 0 only when nothing speaks against it. Nothing is written to the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_format(parser)
        parser.add_argument(
            "--backup-hours", type=hours, default=Limits.backup_hours, metavar="N",
            help="How old the proved backup may be. Defaults to 24.",
        )  # fmt: skip
        parser.add_argument(
            "--window",
            type=positive,
            metavar="MINUTES",
            help="The window that is announced, to compare with the measured one.",
        )
        parser.add_argument(
            "--writer", action="append", default=[], metavar="NAME",
            help="A program (its application_name) or a role that may write on; several times, beside REHOME_WRITERS.",
        )  # fmt: skip
        parser.add_argument(
            "--seconds", type=seconds, default=Limits.seconds, metavar="N",
            help="For how long sessions are looked at. Defaults to 5.",
        )  # fmt: skip
        parser.add_argument(
            "--accept", action="append", default=[], choices=tuple(verdict.CHECKS), metavar="LINE",
            help="A line that could not be known, and that you have looked at yourself; several times.",
        )  # fmt: skip

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> None:
        limits = Limits(
            backup_hours=options["backup_hours"],
            window=options["window"],
            writers=(*conf.writers(), *options["writer"]),
            seconds=options["seconds"],
        )
        found = day.look(connection.alias, limits)
        lines = verdict.judge(found)
        left = verdict.left(lines, options["accept"])
        if options["format"] == "json":
            shown = [{"line": one.name, "state": one.state, "what": one.what, "todo": one.todo} for one in lines]
            self.stdout.write(as_json({"ready": not left, "lines": shown}))
        else:
            self.stdout.write(f"{found.where.database} on {found.where.host}:{found.where.port}, PostgreSQL "
                              f"{found.where.release}: {', '.join(found.moves) or 'no move'}\n")  # fmt: skip
            width = max(len(line.name) for line in lines)
            for line in lines:
                self.tell(line, width, accepted=line.name in options["accept"])
        if left:
            raise CommandError(f"Not ready: {', '.join(line.name for line in left)}.")
        if options["format"] == "text":
            self.stdout.write("\nReady." if found.moves else f"\nReady: {NO_MOVE}.")

    def tell(self, line: Line, width: int, *, accepted: bool) -> None:
        mark = "accepted" if accepted and line.state == "unknown" else MARKS[line.state]
        self.stdout.write(f"  {mark:<8}  {line.name:<{width}}  {line.what}")
        if line.state != "ok":
            self.stdout.write(f"{'':{width + 14}}{line.todo}")
