"""What the commands that import have in common."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from rehome.importing import running
from rehome.importing.declaration import Import
from rehome.importing.report import ImportReport
from rehome.importing.running import Options
from rehome.management.base import INTERRUPTED, as_table

HEADINGS = ["import", "read", "inserted", "updated", "unchanged", "gone", "deleted", "seconds"]


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

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = Options(delete=options["delete"], dry_run=options["dry_run"])
        try:
            reports = running.run(self.imports, chosen, source=options["source"], target=options["database"])
        except KeyboardInterrupt:
            raise CommandError("Interrupted; nothing is committed.", returncode=INTERRUPTED) from None
        self.stdout.write(as_table(HEADINGS, [row_of(report) for report in reports]))
        for report in reports:
            self.tell_gone(report, deleted=chosen.delete)
        if chosen.dry_run:
            self.stdout.write("\nA dry run: nothing is committed.")

    def tell_gone(self, report: ImportReport, *, deleted: bool) -> None:
        if report.counts.gone and not deleted:
            more = ", ..." if report.counts.gone > len(report.counts.gone_keys) else ""
            self.stdout.write(
                f"\n{report.name}: {report.counts.gone} rows are gone at the source and stay here: "
                f"{', '.join(report.counts.gone_keys)}{more}. --delete deletes them."
            )


def row_of(report: ImportReport) -> list[Any]:
    shown = report.as_json()
    return [shown[name] for name in HEADINGS]
