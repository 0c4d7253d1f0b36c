"""What the commands that import have in common."""

import contextlib
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.core.checks import Tags, run_checks
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from rehome import terminal
from rehome.importing import running
from rehome.importing.declaration import Import
from rehome.importing.rejected.rejects import count
from rehome.importing.report import ImportReport
from rehome.importing.running import Options
from rehome.management.base import USAGE, as_table

HEADINGS = ["import", "read", "inserted", "updated", "unchanged", "gone", "deleted", "rejected", "seconds"]
ALL_NAMED = 2
"""The verbosity at which every row that can't go in is named."""


class ImportCommand(BaseCommand):
    """Runs `imports` in order, in one transaction: all of it, or nothing."""

    imports: ClassVar[Sequence[Import]]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            choices=tuple(connections),
            help='The database to import into. Defaults to "default".',
        )
        parser.add_argument(
            "--source", choices=tuple(connections), help="The database to read; else the one that the routers name."
        )
        parser.add_argument("--dry-run", action="store_true", help="Do everything, and roll it back.")
        parser.add_argument(
            "--delete", action="store_true", help="Delete rows that an earlier run brought and the source has no more."
        )
        parser.add_argument(
            "--skip-bad",
            type=Path,
            metavar="FILE",
            help="Write the rows that can't go in to this file, as JSON lines, and bring in the others.",
        )
        parser.add_argument(
            "--from-rejects",
            type=Path,
            metavar="FILE",
            help="Read only the rows that are named in such a file of an earlier run.",
        )
        parser.add_argument(
            "--since-last",
            action="store_true",
            help="Read only what has changed since the last run, by the field that each import names.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = choose(options)
        with terminal.noticed() as signals:
            try:
                refuse_unfit(options["source"] or running.find_source(self.imports))
                reports = running.run(
                    self.imports,
                    chosen,
                    source=options["source"],
                    target=options["database"],
                    committing=signals.ignore,
                )
            except KeyboardInterrupt:
                code = 128 + (signals.received or signal.SIGINT)
                raise CommandError("Interrupted; nothing is committed.", returncode=code) from None
        self.tell(reports, chosen)

    def tell(self, reports: list[ImportReport], chosen: Options) -> None:
        if not reports:
            self.stdout.write(f"{chosen.from_rejects} names no row.")
            return
        self.stdout.write(as_table(HEADINGS, [row_of(report) for report in reports]))
        for report in reports:
            self.tell_gone(report, deleted=chosen.delete)
            if chosen.since_last and report.whole:
                self.stdout.write(
                    f"\n{report.name}: every row was read, since no run by this declaration told how far it came."
                )
        if rejected := sum(report.counts.rejected for report in reports):
            self.stdout.write(f"\n{count(rejected)} can't go in; see {chosen.skip_bad}.")
            self.stderr.write(f"{count(rejected)} can't go in and stay as they were.", self.style.NOTICE)
        if chosen.dry_run:
            self.stdout.write("\nA dry run: nothing is committed.")

    def tell_gone(self, report: ImportReport, *, deleted: bool) -> None:
        if report.counts.gone and not deleted:
            more = ", ..." if report.counts.gone > len(report.counts.gone_keys) else ""
            self.stdout.write(
                f"\n{report.name}: {report.counts.gone} rows are gone at the source and stay here: "
                f"{', '.join(report.counts.gone_keys)}{more}. --delete deletes them."
            )


def choose(options: Mapping[str, Any]) -> Options:
    if options["from_rejects"] and options["delete"]:
        raise CommandError(
            "--from-rejects reads a few rows alone, so that --delete can't know which are gone. Leave one out.",
            returncode=USAGE,
        )
    return Options(
        delete=options["delete"],
        dry_run=options["dry_run"],
        skip_bad=options["skip_bad"],
        from_rejects=options["from_rejects"],
        since_last=options["since_last"],
        named=None if options["verbosity"] >= ALL_NAMED else Options.named,
    )


def row_of(report: ImportReport) -> list[Any]:
    shown = report.as_json()
    return [shown[name] for name in HEADINGS]


def refuse_unfit(alias: str) -> None:
    """Say of a source what the project's own checks of it say, in the words of `check --database`."""
    with contextlib.suppress(DatabaseError):  # Django's own of MySQL; who reads says it better.
        found = run_checks(tags=[Tags.database], databases=[alias])
        if wrong := [f"{message.msg} {message.hint or ''}".strip() for message in found if message.is_serious()]:
            raise CommandError("\n".join(wrong))
