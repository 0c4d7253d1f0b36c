import os
from typing import Any

from django.core.management.commands import dbshell
from django.db import connections

from core.legacy import ALIAS
from rehome.importing.readonly import SESSION


class Command(dbshell.Command):
    """Django's own, whose shell of the older database is as read-only as every other connection to it."""

    def handle(self, **options: Any) -> None:
        if options["database"] == ALIAS:
            self.forbid_writing(options)
        super().handle(**options)

    def forbid_writing(self, options: dict[str, Any]) -> None:
        """Django hands a client neither `options` nor `init_command`."""
        vendor = connections[ALIAS].vendor
        if vendor == "postgresql":
            # What the person at the shell has set comes first, so that it can't undo this by accident.
            own = os.environ.get("PGOPTIONS", "")
            os.environ["PGOPTIONS"] = f"{own} {SESSION[vendor]['options']}".strip()
        else:
            command = f"--init-command={SESSION[vendor]['init_command']}"
            options["parameters"] = [command, *options["parameters"]]
