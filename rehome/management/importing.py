"""What the commands that import have in common."""

import contextlib
import dataclasses
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.core.checks import Tags, run_checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from rehome import terminal
from rehome.errors import visible
from rehome.importing import running
from rehome.importing.declaration import Import
from rehome.importing.merging import ImportReport
from rehome.importing.rejected.rejects import count
from rehome.importing.running import Options
from rehome.importing.sources.patience import patient
from rehome.management.base import USAGE, add_database, as_table

COLUMNS = ["import", "read", "inserted", "updated", "unchanged", "gone", "deleted", "rejected", "seconds"]
FLAGS = {
    "--dry-run": "Do everything, and roll it back.",
    "--delete": "Delete imported rows that are gone at the source.",
    "--delete-all": "The same where that is more than half of them, or where rows of other tables go along.",
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
                reports = self.run_imports(chosen, options, committing=signals.ignore)
            except (KeyboardInterrupt, CommandError):
                # A signal also closes the connections that it is waited for, and then either error may come first.
                if not (received := signals.received) and not isinstance(sys.exception(), KeyboardInterrupt):
                    raise
                code = 128 + (received or signal.SIGINT)
                raise CommandError("Interrupted; nothing is committed.", returncode=code) from None
        self.tell(reports, chosen)

    def run_imports(
        self, chosen: Options, options: Mapping[str, Any], committing: Callable[[], object]
    ) -> list[ImportReport]:
        source = options["source"] or running.find_source(self.imports)
        with patient(source):
            refuse_unfit(source)
            return running.run(self.imports, chosen, source=source, target=options["database"], committing=committing)

    def tell(self, reports: list[ImportReport], chosen: Options) -> None:
        if not reports:
            self.stdout.write(f"{chosen.from_rejects} names no row.")
            return
        self.stdout.write(as_table(COLUMNS, [report.as_json() for report in reports]))
        for report in reports:
            self.tell_gone(report, deleted=chosen.deletes)
            if chosen.since_last and report.whole:
                self.stdout.write(
                    f"\n{report.name}: every row was read, because no earlier run of this declaration is recorded."
                )
        for report in reports:
            if report.told:
                self.stdout.write(f"\n{report.name}: {report.told}")
            self.tell_missing(report, chosen)
        if rejected := sum(report.counts.rejected for report in reports):
            self.stdout.write(f"\n{count(rejected)} could not be imported; see {chosen.skip_bad}.")
            self.stderr.write(f"{count(rejected)} could not be imported and stay as they were.", self.style.NOTICE)
        if chosen.dry_run:
            self.stdout.write("\nA dry run: nothing is committed.")

    def tell_missing(self, report: ImportReport, chosen: Options) -> None:
        if report.missing:
            stay = f" They stay in {chosen.skip_bad}." if chosen.skip_bad else ""
            self.stdout.write(
                f"\n{report.name}: {count(report.missing)} of {chosen.from_rejects} not found at the source by key: "
                f"deleted there, given another key, or left out by `where`.{stay} A whole run with --skip-bad writes "
                "the file anew."
            )

    def tell_gone(self, report: ImportReport, *, deleted: bool) -> None:
        if report.counts.gone and not deleted:
            more = ", ..." if report.counts.gone > len(report.counts.gone_keys) else ""
            self.stdout.write(
                f"\n{report.name}: {report.counts.gone} rows are gone at the source and still here: "
                f"{', '.join(map(visible, report.counts.gone_keys))}{more}. --delete deletes them."
            )
        if report.counts.kept:
            self.stdout.write(
                f"\n{report.name}: {count(report.counts.kept)} not counted as gone, though the source has no such key: "
                f"it has rows whose keys are unknown, such as {report.counts.unknown_key}. Correct them, or what their "
                "keys are looked up in, and run the import again."
            )


def choose(options: Mapping[str, Any]) -> Options:
    if options["from_rejects"] and (options["delete"] or options["delete_all"]):
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
