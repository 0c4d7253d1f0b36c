from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import squashmigrations
from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.loader import MigrationLoader

from rehome.graph import squashing
from rehome.management.base import readable_migrations
from rehome.terminal import interruptible


class Command(squashmigrations.Command):
    """Django's own writes a squashed migration that makes the graph circular, after which no command can read it."""

    def handle(self, *args: Any, **options: Any) -> None:
        with interruptible("Interrupted; `git status` shows what is written."), readable_migrations():
            loader = MigrationLoader(None, ignore_no_migrations=True)
            names = options["app_label"], options["start_migration_name"], options["migration_name"]
            try:
                members = squashing.squashed(loader, *names)
            except (AmbiguityError, KeyError, ValueError):
                members = []  # Django's own error is clearer.
            if circle := squashing.find_circle(members, loader, {}) if members else None:
                raise CommandError(f"{circle.problem} {circle.hint}")
            super().handle(*args, **options)
