from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import connections
from django.db.models.signals import post_migrate, pre_delete, pre_migrate


class RehomeConfig(AppConfig):
    name = "rehome"
    verbose_name = "Moves of models between apps"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """The signals are sent once for each app: this one alone listens, so each is heard once."""
        from rehome.graph import signals, squashing, system_checks
        from rehome.postgres import flushing, grouping

        grouping.install()
        flushing.install()
        checks.register(system_checks.check_moves)
        checks.register(squashing.check)
        # Whoever brings a `migrate` of his own sends these too.
        pre_migrate.connect(signals.before_migrations, sender=self)
        pre_migrate.connect(redirect_foreign_keys, sender=self)
        post_migrate.connect(leave_foreign_keys, sender=self)
        post_migrate.connect(signals.after_migrations, sender=self)
        post_migrate.connect(signals.after_tables_went, sender=self)
        pre_delete.connect(signals.before_label_goes, sender="contenttypes.ContentType")


def redirect_foreign_keys(using: str, **signal: Any) -> None:
    """Migrations that lead a foreign key to an old name lead it to where the rows are."""
    from rehome.parts import references

    references.start(connections[using])


def leave_foreign_keys(using: str, **signal: Any) -> None:
    from rehome.parts import references

    references.stop(connections[using])
