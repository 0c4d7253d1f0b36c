import contextlib
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from rehome.errors import Refused
from rehome.management.base import USAGE
from rehome.management.ops import OpsCommand, add_confirm, add_noinput, as_rows
from rehome.ops import confirming
from rehome.ops.backups import piping, proving, restoring
from rehome.ops.backups.manifest import Manifest
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server, Where
from rehome.terminal import Progress

QUESTION = """\
{backup} is restored beside this database, and every table is compared.
  it is of    {database} on {host}, as of {taken}
  moves       {moves}
What was written here since then is not in it. It takes the place of this database, which is kept under a dated name;
`manage.py restorebackup --undo` swaps both again. Connected now, and disconnected then: {others}.
Stays with the database that is kept: {followers}."""
UNDO = """\
{kept} takes the place of this database, which is kept under a dated name.
What was written here since the swap is not in the other."""


class Command(OpsCommand):
    help = (
        "Puts a backup in the place of a database: restores it beside that one, compares it, asks, and swaps names; "
        "the old database is kept."
    )
    interrupted = "Interrupted before the swap; the database is as it was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("backup", nargs="?", help="Its name, or - for one from stdin. Without it, all are listed.")
        super().add_arguments(parser)
        add_noinput(parser)
        add_confirm(parser)
        parser.add_argument(
            "--from-other", action="store_true", help="Accept a backup of another database, or of another server."
        )
        parser.add_argument(
            "--undo", action="store_true", help="Swap the last database that was kept into its old place again."
        )

    def ready(self, connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[None]:
        """The database need not be there; the server must."""
        if connection.vendor != "postgresql":
            raise Refused(f"Database {connection.alias!r} is not PostgreSQL.", "Choose another with --database.")
        with contextlib.suppress(OperationalError):
            connection.ensure_connection()
        connection.close()
        return contextlib.nullcontext()

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> None:
        kept, server = Store.default(self.say), Server.of(connection)
        if options["undo"] and options["backup"]:
            raise CommandError("--undo swaps the databases again, and takes no backup.", returncode=USAGE)
        if not (options["undo"] or options["backup"]):
            backups = kept.all()
            self.stdout.write(as_rows(backups) if backups else "There is no backup.")
            raise CommandError("Say which one: `manage.py restorebackup NAME`.", returncode=USAGE)
        if options["undo"] and not restoring.kept_ones(server):
            raise Refused(f"No database was kept of {server.database!r}.", "There is nothing to undo.")
        where = restoring.look(server)
        if where:
            confirming.refuse_unasked(where, options["confirm"], interactive=options["interactive"])
        restoring.refuse_unable(server)
        self.offer_leftovers(server, interactive=options["interactive"])
        if options["undo"]:
            self.undo(server, where, options)
        else:
            self.restore(kept, server, where, options)

    def restore(self, kept: Store, server: Server, where: Where | None, options: dict[str, Any]) -> None:
        with piping.opened(options["backup"], kept, sys.stdin.buffer) as (manifest, archive):
            if where and not options["from_other"]:
                restoring.refuse_other(manifest, where)
            if short := proving.short_of_room(manifest, server):  # Of the old rows' dead versions, it needs none.
                self.say(f"{short} A full disk would stop it and every other database of the server.")
            progress = Progress(f"Restoring {manifest.name}", 3)
            with restoring.restored(manifest, archive, server, progress.step) as new:
                for refused in restoring.dress(new, manifest, server, where):
                    self.say(f"This role may not carry over what the database had; a superuser may: {refused};")
                if where := restoring.look(server):  # It has been written to meanwhile.
                    self.ask(self.question(manifest, server, where), where, options)
                self.signals.ignore()
                # At once, for a server that is lost now keeps both databases as they are.
                self.report(restoring.swap(server, new.database))

    def undo(self, server: Server, where: Where | None, options: dict[str, Any]) -> None:
        *_, last = restoring.kept_ones(server)
        if where:
            self.ask(UNDO.format(kept=last), where, options)
        self.signals.ignore()
        self.report(restoring.swap(server, last, restoring.UNDONE))

    def ask(self, question: str, where: Where, options: dict[str, Any]) -> None:
        confirming.ask(question, where, options["confirm"], interactive=options["interactive"], say=self.stdout.write)

    def question(self, manifest: Manifest, server: Server, where: Where) -> str:
        with server.outside() as session:
            others = restoring.others(session, where.database)
            followers = restoring.followers(session, where.database)
        return QUESTION.format(
            backup=manifest.name,
            database=manifest.database,
            host=manifest.host,
            taken=f"{manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC",
            moves=", ".join(f"{move} ({phase})" for move, phase in manifest.moves.items()) or "none",
            others=others,
            followers=followers,
        )

    def report(self, swapped: restoring.Swapped) -> None:
        self.stdout.write(f"{swapped.database} is the restored database.")
        if swapped.kept:
            self.stdout.write(
                f"The one before is kept as {swapped.kept}. `manage.py restorebackup --undo` swaps both again; when "
                f"you are sure: DROP DATABASE {sql.Identifier(swapped.kept).as_string()};"
            )
