from typing import Any

from django.core.management.base import SystemCheckError
from django.core.management.commands import check
from django.db import connections

from core.legacy import ALIAS
from legacy_app import checks


class Command(check.Command):
    """Django's own, which asks a MySQL server for its settings and ends in a traceback where there is none to ask."""

    def check(self, *args: Any, **options: Any) -> Any:
        if ALIAS in (options.get("databases") or ()):
            self.refuse_closed()
        return super().check(*args, **options)

    def refuse_closed(self) -> None:
        if closed := list(checks.check_connection(connections[ALIAS])):
            found = "\n\n".join(map(str, closed))
            raise SystemCheckError(self.style.ERROR(f"SystemCheckError: System check identified issues:\n\n{found}"))
