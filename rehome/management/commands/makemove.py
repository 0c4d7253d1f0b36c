import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.writer import MigrationWriter

from rehome.graph.draft import Draft, make_draft
from rehome.management.base import USAGE


class Command(BaseCommand):
    help = "Writes the migration that moves the rows of one model to a model of another app."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="The model that has the rows, such as portal.Printer.")
        parser.add_argument("target", help="The model that gets them, such as printers.Printer.")
        parser.add_argument("-n", "--name", help="Name of the migration, without its number.")
        parser.add_argument("--dry-run", action="store_true", help="Print the migration; write nothing.")

    def handle(self, *args: Any, **options: Any) -> str | None:
        for label in (options["source"], options["target"]):
            if not all(part.isidentifier() for part in label.split(".")) or label.count(".") != 1:
                raise CommandError(f"{label!r} is no model; write it as app_label.ModelName.", returncode=USAGE)
        if options["name"] and not options["name"].isidentifier():
            raise CommandError(f"{options['name']!r} can't be the name of a Python module.", returncode=USAGE)
        loader = MigrationLoader(None)
        refuse_conflicts(loader)
        draft = make_draft(options["source"], options["target"], loader, name=options["name"])
        if options["dry_run"]:
            return draft.as_text()
        path = Path(MigrationWriter(draft.migration).path)
        with path.open("x", encoding="utf-8") as file:
            file.write(draft.as_text())
        if options["verbosity"]:
            self.report(draft, path)
        return None

    def report(self, draft: Draft, path: Path) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(f"Migrations for {draft.app_label!r}:"))
        self.stdout.write(f"  {self.style.MIGRATE_LABEL(min(str(path), os.path.relpath(path), key=len))}")
        self.stdout.write(f"    + Move {draft.source} to {draft.target}")
        if draft.questions:
            self.stdout.write("Decide before it can run:")
        for question in draft.questions:
            self.stdout.write(f"  - {question}")


def refuse_conflicts(loader: MigrationLoader) -> None:
    if conflicts := loader.detect_conflicts():
        names = "; ".join(f"{', '.join(names)} in {app}" for app, names in sorted(conflicts.items()))
        raise CommandError(
            f"Several migrations are the last of their app: {names}. Run `manage.py makemigrations --merge` first."
        )
