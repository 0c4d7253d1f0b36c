import os
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.errors import BackupFailed
from rehome.management.base import USAGE, add_format, as_json
from rehome.management.ops import OpsCommand, as_rows, positive, row_of
from rehome.ops import servers
from rehome.ops.backups import dumping, piping
from rehome.ops.backups.manifest import Manifest
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server, sized
from rehome.postgres import conf
from rehome.terminal import Progress


class Command(OpsCommand):
    help = (
        "Backs a database up with pg_dump, and stores the archive with a manifest of what must be in it; checkbackup "
        "proves it."
    )
    interrupted = "Interrupted; no backup was made."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_format(parser)
        parser.add_argument(
            "--keep",
            type=positive,
            metavar="NUMBER",
            help="Afterwards, delete all but this many of its backups, and the last proved one. Default: all are kept.",
        )
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument("--list", action="store_true", help="Make none; list those of every database.")
        ways.add_argument(
            "--pipe", action="store_true", help="Store nothing; write it to stdout, for a pipe such as gpg."
        )

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> None:
        if options["list"]:
            self.tell_all(options["format"])
        elif options["pipe"]:
            self.pipe(connection)
        else:
            self.store(connection, options["keep"] or conf.backup_keep(), options["format"])

    def tell_all(self, form: str) -> None:
        backups = Store.default(self.say).all()
        if form == "json":
            self.stdout.write(as_json([row_of(one) for one in backups]))
        else:
            self.stdout.write(as_rows(backups) if backups else "There is no backup.")

    def pipe(self, connection: BaseDatabaseWrapper) -> None:
        if sys.stdout.isatty():
            raise CommandError("stdout is a terminal; let a file or a program take the backup.", returncode=USAGE)
        with dumping.dumped(connection, self.progress(connection, 2).step) as (manifest, archive):
            try:
                piping.write(manifest, archive, sys.stdout.buffer)
            except BrokenPipeError:
                # What is left in the buffer has no reader; at its end Python would write it again, and complain.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise BackupFailed(
                    "What the backup was piped into has ended before it had all of it, and is no backup. See what that "
                    "program says, and run both again."
                ) from None
        self.say(told(manifest))

    def store(self, connection: BaseDatabaseWrapper, keep: int, form: str) -> None:
        kept, progress = Store.default(self.say), self.progress(connection, 3)
        with (
            dumping.dumped(connection, progress.step) as (manifest, archive),
            progress.step("store it, read it back, and store the manifest"),
        ):
            kept.keep(manifest, archive)
        self.interrupted = f"Interrupted; {manifest.name} is stored."
        backup = kept.read_backup(manifest.name)
        if form == "json":
            self.stdout.write(as_json(row_of(backup)))
        else:
            self.stdout.write(f"{told(manifest)} Prove it with `manage.py checkbackup`.")
        for left in kept.clear(manifest.system_identifier, manifest.database):
            self.say(f"Deleted {left}, which never had a manifest.")
        if keep:
            for old in kept.retain(manifest.system_identifier, manifest.database, keep):
                self.say(f"Deleted {old}, of {old.manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC.")

    def progress(self, connection: BaseDatabaseWrapper, steps: int) -> Progress:
        with Server.of(connection).session() as session:
            return Progress(f"Backup of {servers.look(session)}", steps)


def told(manifest: Manifest) -> str:
    rows = manifest.fingerprint.rows
    return (
        f"{manifest.name}: {sized(manifest.size)}, {rows:,} rows in {len(manifest.fingerprint.tables)} tables, as of "
        f"{manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC, in {manifest.seconds:.0f} s."
    )
