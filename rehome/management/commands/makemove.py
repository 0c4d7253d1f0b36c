import itertools
import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations
from django.db.migrations import AlterField, CreateModel, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation

from rehome.graph import row_locks, system_checks
from rehome.graph.discovery import move_of
from rehome.graph.drafting.draft import Draft, Options, make_draft
from rehome.graph.drafting.move import IN_PLACE
from rehome.graph.drafting.stages import Kinds
from rehome.graph.drafting.writing import write
from rehome.graph.operations.adopt import Adopt
from rehome.graph.operations.names_aside import NamesAside
from rehome.graph.operations.rebase import Rebase
from rehome.graph.operations.relabel import Relabel
from rehome.graph.operations.repoint import Repoint
from rehome.management.base import USAGE, readable_migrations
from rehome.terminal import interruptible


def repoint(operation: Operation) -> Operation:
    """Of what changes the end of a foreign key or of the table between two models; anything else stays."""
    if type(operation) is not AlterField or getattr(operation.field.remote_field, "through", None):
        return operation
    return Repoint(model_name=operation.model_name, name=operation.name, field=operation.field)


def adopt(operation: CreateModel) -> Operation:
    _, args, kwargs = operation.deconstruct()
    return Adopt(*args, **kwargs)


KINDS = Kinds(adopt=adopt, names_aside=NamesAside, rebase=Rebase, relabel=Relabel, repoint=repoint)


class Command(BaseCommand):
    help = "Writes every migration that one or several models need to move to another app with their rows."
    # Two classes of the same names fail Django's checks, and this command says what to write.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="The model that has the rows, such as portal.Printer.")
        parser.add_argument("target", help="The model that gets them, such as printers.Printer.")
        parser.add_argument("more", nargs="*", help="Further pairs, for models that move together.")
        parser.add_argument("-n", "--name", help="Name of the migration of the rows, without its number.")
        parser.add_argument("--dry-run", action="store_true", help="Print the migrations; write nothing.")
        parser.add_argument(
            "--state-only", action="store_true", help="Leave the rows in their table, which the new model takes over."
        )

    @no_translations
    def handle(self, *args: Any, **options: Any) -> str | None:
        labels = read_labels([options["source"], options["target"], *options["more"]])
        if options["name"] and not options["name"].isidentifier():
            raise CommandError(f"{options['name']!r} can't be the name of a Python module.", returncode=USAGE)
        chosen = Options(name=options["name"], state_only=options["state_only"])
        with interruptible("Interrupted; nothing is written."), readable_migrations():
            draft = make_draft(labels, KINDS, chosen, () if chosen.state_only else row_locks.find())
        if options["dry_run"]:
            return as_text(draft)
        write([*draft.files, *draft.edited], [*draft.replaced, *(file.path for file in draft.edited)])
        if options["verbosity"]:
            self.report(draft)
        return None

    def report(self, draft: Draft) -> None:
        for path in draft.replaced:
            self.stdout.write(f"Replaced, which knows no move: {self.style.MIGRATE_LABEL(readable(path))}")
        for file in draft.edited:
            edited = self.style.MIGRATE_LABEL(readable(file.path))
            self.stdout.write(f"Edited, for the table is another model's: {edited}")
        for line in draft.assumed:
            self.stdout.write(line)
        files = zip(draft.migrations, draft.files, strict=True)
        for app_label, group in itertools.groupby(files, key=lambda part: part[0].app_label):
            self.stdout.write(self.style.MIGRATE_HEADING(f"Migrations for {app_label!r}:"))
            for migration, file in group:
                self.stdout.write(f"  {self.style.MIGRATE_LABEL(readable(file.path))}")
                for operation in migration.operations:
                    for line in described(operation):
                        self.stdout.write(f"    {line}")
        self.list("Decide before it can run:", draft.questions)
        self.list(IN_PLACE, draft.advice)
        moves = [(migration.app_label, migration.name) for migration in draft.migrations]
        self.list("Correct before you migrate:", tuple(map(str, system_checks.find_of(moves))))
        self.list("What else to look at:", draft.notes)

    def list(self, heading: str, points: tuple[str, ...]) -> None:
        if points:
            self.stdout.write(heading)
        for point in points:
            self.stdout.write(f"  - {point}")


def read_labels(given: list[str]) -> list[tuple[str, str]]:
    for label in given:
        if not all(part.isidentifier() for part in label.split(".")) or label.count(".") != 1:
            raise CommandError(f"{label!r} is no model; write it as app_label.ModelName.", returncode=USAGE)
    if len(given) % 2:
        raise CommandError(f"{given[-1]} has no target; name a target after each source.", returncode=USAGE)
    return list(zip(given[::2], given[1::2], strict=True))


def described(operation: Operation) -> list[str]:
    """As `makemigrations` shows it; what changes no table says so."""
    if move := move_of(operation):
        return [f"+ Move {move.source} to {move.target}"]
    if isinstance(operation, SeparateDatabaseAndState):
        return [f"{part.formatted_description()} (its table stays)" for part in operation.state_operations]
    return [operation.formatted_description()]


def as_text(draft: Draft) -> str:
    """Every file under its path, and the paths of those that go."""
    gone = [f"# {readable(path)} is deleted.\n" for path in draft.replaced]
    return "\n".join([*gone, *(f"# {readable(file.path)}\n{file.text}" for file in [*draft.files, *draft.edited])])


def readable(path: Path) -> str:
    return min(str(path), os.path.relpath(path), key=len)
