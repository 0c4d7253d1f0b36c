import contextlib
from typing import Any

from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.loader import MigrationLoader
from django.db.models.signals import pre_migrate

from rehome.graph import faking, rollback


class Command(migrate.Command):
    """Django's own unapplies one migration after the other. It does not check a move before its turn, takes an
    interrupted one for a migration that never ran, and knows tables only by their names.
    """

    guard: rollback.Guard | None = None

    def handle(self, *args: Any, **options: Any) -> None:
        with contextlib.ExitStack() as stack:
            if options["migration_name"] and not (options["plan"] or options["fake"] or options["check_unapplied"]):
                self.guard = self.prepare_back(options["app_label"], options["migration_name"], options["database"])
                stack.enter_context(connections[options["database"]].execute_wrapper(self.guard))
            if options["fake_initial"] and not options["fake"]:
                pre_migrate.connect(refuse_drift, weak=False)
                stack.callback(pre_migrate.disconnect, refuse_drift)
            super().handle(*args, **options)

    def migration_progress_callback(self, action: str, migration: Any | None = None, fake: bool = False) -> None:
        super().migration_progress_callback(action, migration, fake)
        if action == "unapply_start" and self.guard and migration:
            self.guard.begin(migration)

    def prepare_back(self, app_label: str, name: str, alias: str) -> rollback.Guard:
        """Refuse, before anything is changed, the migrations that `migrate app_label name` can't unapply, and cancel
        interrupted moves. Returns the guard that checks each migration again at its turn.
        """
        connection = connections[alias]
        loader = MigrationLoader(connection)
        try:
            taken_back = rollback.unapplied(loader, app_label, name)
        except (AmbiguityError, KeyError):
            return rollback.Guard([], connection)  # Django's own error is clearer.
        found = rollback.refuse_stuck(taken_back, loader, connection)
        for declared in rollback.cancel(taken_back, loader, connection):
            self.stdout.write(self.style.MIGRATE_LABEL(f"  Cancelled {declared}, which was interrupted."))
        return rollback.Guard(found, connection)


def refuse_drift(plan: list[tuple[Migration, bool]], using: str, **signal: Any) -> None:
    """Before the first migration is applied, check those that Django would take for applied."""
    pre_migrate.disconnect(refuse_drift)  # The signal is sent once for each app.
    if plan:
        faking.refuse_drift(plan, connections[using])
