import sys
from typing import Any

import psycopg
from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from rehome.errors import one_line
from rehome.management.base import USAGE, DatabaseCommand, as_json
from rehome.ops import scratch, servers
from rehome.ops.backups.store import Store
from rehome.ops.rehearsal import page, reports
from rehome.ops.rehearsal.rehearse import ROOM, Wish, rehearse
from rehome.ops.servers import Server
from rehome.terminal import Progress

STEPS = {True: 3, False: 4}
"""Until the copy is there: of a backup, and of a fresh one."""


class Command(DatabaseCommand):
    help = (
        "Runs the migrations that `migrate` would run on a copy: forwards, verified, written to through both names, "
        "back, and forwards again; measures each step, looks at the source meanwhile, and reports. Nothing is written "
        "to the source. Exits with 0 when all of it worked, with 1 when not."
    )
    interrupted = "Interrupted. The copy is dropped; nothing was written to the source."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        place = parser.add_mutually_exclusive_group()
        place.add_argument(
            "--on",
            metavar="URL",
            help="The server to make the copy on, such as postgres://user@host:5432; libpq's ~/.pgpass has passwords.",
        )
        place.add_argument(
            "--here", action="store_true", help="Make the copy on the source's own server, beside its database."
        )
        parser.add_argument(
            "--from-backup",
            metavar="FILE",
            help="The backup to restore: its name in the storage, the path of an archive, or latest; else a fresh one.",
        )
        parser.add_argument("--online", action="store_true", help="Rehearse with REHOME_ONLINE=1.")
        parser.add_argument("--keep", action="store_true", help="Keep the copy, under a name with the date.")
        parser.add_argument(
            "--format", default="md", choices=("md", "json"), help="Of the report on stdout. Defaults to md."
        )

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> str:
        source = Server.of(connection)
        there = Server.at(options["on"]) if options["on"] else None
        if not there and not options["here"]:
            raise CommandError(self.ask_where(source), returncode=USAGE)
        store = Store.default()
        if there:
            self.refuse_unreachable(there)
        self.offer_leftovers(there or source)
        wish = Wish(
            alias=connection.alias,
            there=there,
            backup=options["from_backup"],
            online=options["online"],
            keep=options["keep"],
        )
        progress = Progress(f"Copying database {connection.alias!r}", STEPS[bool(wish.backup)])
        say = self.say if options["verbosity"] else lambda line: None
        done = rehearse(wish, progress.step, say, verbosity=options["verbosity"])
        # Before it is stored, which may fail.
        self.stdout.write(as_json(done.report.as_json()) if options["format"] == "json" else page.markdown(done.report))
        name = reports.save(store, done.report)
        say(f"The report lies beside the backups as {name}.")
        if done.kept:
            self.say(f"The copy stays as database {done.kept!r}; drop it when it has served.")
        if not done.report.ok:
            failed = next(stage for stage in done.report.stages if stage.problem)
            raise CommandError(
                f"The rehearsal failed, {failed.name}: {failed.problem} Do not move before one has worked."
            )
        return ""

    def refuse_unreachable(self, there: Server) -> None:
        try:
            with there.outside():
                return
        except psycopg.OperationalError as error:
            raise CommandError(
                f"The server of --on can't be used: {one_line(error)}. Check its host, port and user, and that "
                "~/.pgpass has the password. Nothing was rehearsed."
            ) from error

    def ask_where(self, source: Server) -> str:
        with source.session() as session:
            where = servers.look(session)
        size, room = page.size(where.size), page.size(int(where.size * ROOM))
        return (
            f"Say where the copy of {where.database!r} ({size}) shall be made: --on postgres://user@host, on another "
            f"server; or --here, on its own, which needs about {room} of disk there, and some of its time."
        )

    def offer_leftovers(self, server: Server) -> None:
        """Copies that a killed run has left."""
        for leftover in scratch.leftovers(server):
            told = f"A run that was killed has left database {leftover} with {page.size(leftover.size)}."
            if not sys.stdin.isatty():
                name = sql.Identifier(leftover.name).as_string()
                self.say(f"{told} Drop it with DROP DATABASE {name}, or run this on a terminal.")
            elif input(f"{told}\nDrop it? Type 'yes' to drop, anything else to leave it: ") == "yes":
                scratch.drop(server, leftover)
