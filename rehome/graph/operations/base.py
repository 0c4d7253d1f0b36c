"""What the operations have in common."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations.base import Operation as DjangoOperation
from django.db.migrations.operations.base import OperationCategory

from rehome.errors import Refused

if TYPE_CHECKING:
    from rehome.postgres.session import Group


class Operation(DjangoOperation):
    """Changes no model's state unless it says so, and runs nothing where PostgreSQL does not."""

    category = OperationCategory.ALTERATION

    def state_forwards(self, app_label: str, state: object) -> None:
        pass


def run(connection: BaseDatabaseWrapper, groups: "Iterable[Group]") -> None:
    """Each group all or nothing, and again while a lock is not granted; raises LockNotObtained after the last try."""
    from rehome.postgres.session import Session

    session = Session(connection)
    for group in groups:
        session.run_group(group)


def is_run_by(connection: BaseDatabaseWrapper) -> bool:
    """Raises Refused where what it needs of rehome can't be imported."""
    if connection.vendor == "postgresql" and not apps.is_installed("rehome"):
        raise Refused(
            "'rehome' is not in INSTALLED_APPS.",
            "Add it until its moves have ended, for a migration has operations of it.",
        )
    return connection.vendor == "postgresql"
