from typing import Any

from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.loader import MigrationLoader

from rehome import abandoning


class Command(migrate.Command):
    """Django's own, for which a move that was cut short is a migration that never ran: it has nothing to take back."""

    def handle(self, *args: Any, **options: Any) -> None:
        if options["migration_name"] and not (options["plan"] or options["fake"] or options["check_unapplied"]):
            self.give_up(options["app_label"], options["migration_name"], options["database"])
        super().handle(*args, **options)

    def give_up(self, app_label: str, name: str, alias: str) -> None:
        """Undo what is half done of the migrations that `migrate app_label name` takes back."""
        connection = connections[alias]
        loader = MigrationLoader(connection)
        try:
            taken_back = abandoning.taken_back(loader, app_label, name)
        except (AmbiguityError, KeyError):
            return  # Django says it better.
        for declared in abandoning.give_up(taken_back, loader, connection):
            self.stdout.write(self.style.MIGRATE_LABEL(f"  Gave up {declared}, which was cut short."))
