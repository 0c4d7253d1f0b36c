"""What the commands that import have in common."""

import contextlib
import dataclasses
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.core.checks import Tags, run_checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from rehome import terminal
from rehome.importing import running
from rehome.importing.declaration import Import
from rehome.importing.merging import ImportReport
from rehome.importing.rejected.rejects import count
from rehome.importing.running import Options
from rehome.management.base import USAGE, add_database, as_table

COLUMNS = ["import", "read", "inserted", "updated", "unchanged", "gone", "deleted", "rejected", "seconds"]
FLAGS = {
    "--dry-run": "Do everything, and roll it back.",
    "--delete": "Delete imported rows that are gone at the source.",
    "--since-last": "Read only what has changed since the last run, by the field that each import names.",
}
FILES = {
    "--skip-bad": "Write the rows that cannot be imported to this file, as JSON lines, and import the others.",
    "--from-rejects": "Read only the rows that such a file of an earlier run names.",
}
ALL_NAMED = 2
"""The verbosity at which an error names every row that cannot be imported."""


class ImportCommand(BaseCommand):
    """Runs `imports` in order, in one transaction: all of it, or nothing."""

    imports: ClassVar[Sequence[Import]]

    def add_arguments(self, parser: CommandParser) -> None:
        add_database(parser, "The database to import into.")
        parser.add_argument(
            "--source", choices=tuple(connections), help="The database to read. Default: the one that the routers name."
        )
        for name, told in FLAGS.items():
            parser.add_argument(name, action="store_true", help=told)
        for name, told in FILES.items():
            parser.add_argument(name, type=Path, metavar="FILE", help=told)

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = choose(options)
        with terminal.noticed() as signals:
            try:
                source = options["source"] or running.find_source(self.imports)
                refuse_unfit(source)
                reports = running.run(
                    self.imports, chosen, source=source, target=options["database"], committing=signals.ignore
                )
            except KeyboardInterrupt:
                code = 128 + (signals.received or signal.SIGINT)
                raise CommandError("Interrupted; nothing is committed.", returncode=code) from None
        self.tell(reports, chosen)

    def tell(self, reports: list[ImportReport], chosen: Options) -> None:
        if not reports:
            self.stdout.write(f"{chosen.from_rejects} names no row.")
            return
        self.stdout.write(as_table(COLUMNS, [report.as_json() for report in reports]))
        for report in reports:
            self.tell_gone(report, deleted=chosen.delete)
            if chosen.since_last and report.whole:
                self.stdout.write(
                    f"\n{report.name}: every row was read, because no earlier run of this declaration is recorded."
                )
        if rejected := sum(report.counts.rejected for report in reports):
            self.stdout.write(f"\n{count(rejected)} could not be imported; see {chosen.skip_bad}.")
            self.stderr.write(f"{count(rejected)} could not be imported and stay as they were.", self.style.NOTICE)
        if chosen.dry_run:
            self.stdout.write("\nA dry run: nothing is committed.")

    def tell_gone(self, report: ImportReport, *, deleted: bool) -> None:
        if report.counts.gone and not deleted:
            more = ", ..." if report.counts.gone > len(report.counts.gone_keys) else ""
            self.stdout.write(
                f"\n{report.name}: {report.counts.gone} rows are gone at the source and still here: "
                f"{', '.join(report.counts.gone_keys)}{more}. --delete deletes them."
            )


def choose(options: Mapping[str, Any]) -> Options:
    if options["from_rejects"] and options["delete"]:
        raise CommandError(
            "--from-rejects reads only a few rows, so --delete can't know which are gone. Leave one of them out.",
            returncode=USAGE,
        )
    given = {field.name: options[field.name] for field in dataclasses.fields(Options) if field.name in options}
    return Options(**given, named=None if options["verbosity"] >= ALL_NAMED else Options.named)


def refuse_unfit(alias: str) -> None:
    """Refuse a source for which the project's own checks fail, with their messages, as `check --database` does."""
    with contextlib.suppress(DatabaseError):  # From Django's own check of MySQL; the reader's error is clearer.
        found = run_checks(tags=[Tags.database], databases=[alias])
        if wrong := [f"{message.msg} {message.hint or ''}".strip() for message in found if message.is_serious()]:
            raise CommandError("\n".join(wrong))
