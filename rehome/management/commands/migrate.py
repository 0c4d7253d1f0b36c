from typing import Any

from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.loader import MigrationLoader

from rehome import abandoning, lookahead


class Command(migrate.Command):
    """Django's own, which takes one migration back after the other: it asks no move before its turn, and for it one
    that was cut short is a migration that never ran.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        if options["migration_name"] and not (options["plan"] or options["fake"] or options["check_unapplied"]):
            self.prepare_back(options["app_label"], options["migration_name"], options["database"])
        super().handle(*args, **options)

    def prepare_back(self, app_label: str, name: str, alias: str) -> None:
        """Of the migrations that `migrate app_label name` takes back, refuse what can't go back while nothing is
        changed, and undo what is half done.
        """
        connection = connections[alias]
        loader = MigrationLoader(connection)
        try:
            taken_back = abandoning.taken_back(loader, app_label, name)
        except (AmbiguityError, KeyError):
            return  # Django says it better.
        lookahead.refuse_stuck(taken_back, loader, connection)
        for declared in abandoning.give_up(taken_back, loader, connection):
            self.stdout.write(self.style.MIGRATE_LABEL(f"  Gave up {declared}, which was cut short."))
