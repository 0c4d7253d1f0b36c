import datetime
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.backends.base.base import BaseDatabaseWrapper

from rehome.management.base import add_format, as_json
from rehome.management.ops import OpsCommand, add_noinput, hours
from rehome.ops.backups import piping, proving, required
from rehome.ops.backups.manifest import Manifest, Proof
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server, elapsed
from rehome.terminal import Progress


class Command(OpsCommand):
    help = "Proves a backup: restores it into a scratch database, compares every table with the manifest, and drops it."
    interrupted = "Interrupted; the scratch database is dropped, and the backup is as it was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "backup", nargs="?", help="Its name, or - for one from stdin. Default: the last one of the database."
        )
        super().add_arguments(parser)
        add_format(parser)
        add_noinput(parser)
        parser.add_argument(
            "--on", metavar="URL", help="Another server to restore on, such as postgres://user@host/postgres."
        )
        parser.add_argument(
            "--within",
            type=hours,
            metavar="HOURS",
            help="Restore nothing; fail unless a proved backup of the database is younger.",
        )

    def handle_database(self, connection: BaseDatabaseWrapper, **options: Any) -> None:
        kept = Store.default(self.say)
        if options["within"] is not None:
            return self.look(connection, kept, options["within"], options["format"])
        server = Server.at(options["on"]) if options["on"] else Server.of(connection)
        self.offer_leftovers(server, interactive=options["interactive"])
        name = options["backup"] or str(required.last(kept, connection))
        with piping.opened(name, kept, sys.stdin.buffer) as (manifest, archive):
            progress = Progress(f"Proving {manifest.name}", 2)
            proof = proving.prove(manifest, archive, server, progress.step)
        if name != piping.STREAM:
            kept.keep_proof(proof)
        self.report(manifest, proof, options["format"])

    def look(self, connection: BaseDatabaseWrapper, kept: Store, within: float, form: str) -> None:
        backup = required.find_proved(kept, required.where_of(connection), datetime.timedelta(hours=within))
        if form == "json":
            self.stdout.write(as_json({"ok": True, "backup": str(backup), "age": backup.age.total_seconds()}))
        else:
            self.stdout.write(f"{backup} is proved, and {elapsed(backup.age)} old.")

    def report(self, manifest: Manifest, proof: Proof, form: str) -> None:
        if form == "json":
            self.stdout.write(as_json({"ok": proof.ok, "backup": manifest.name, "differences": proof.differences}))
        elif proof.ok:
            rows = manifest.fingerprint.rows
            self.stdout.write(
                f"Proved: {manifest.name} was restored in {proof.restore_seconds:.0f} s, and has every one of "
                f"{rows:,} rows in {len(manifest.fingerprint.tables)} tables."
            )
        else:
            self.stdout.write("\n".join(proof.differences))
        if not proof.ok:
            raise CommandError(f"{manifest.name} was restored, and is not what was dumped. Do not rely on it.")
