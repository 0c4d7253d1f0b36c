from django.apps import AppConfig
from django.db.models.signals import post_save


class CoreConfig(AppConfig):
    name = "core"

    def ready(self) -> None:
        from core.checks import database, packages, settings  # noqa: F401  They register themselves.
        from core.moves import discrepancies
        from rehome.models import MoveRun

        post_save.connect(discrepancies.keep, MoveRun, dispatch_uid="core.moves.discrepancies")
