"""Sends the models of legacy_app to the older database, for reading only."""

from typing import Any

from django.db.models import Model

from core.legacy import ALIAS, APP
from rehome.errors import Refused


class LegacyRouter:
    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return ALIAS if is_legacy(model) else None

    def db_for_write(self, model: type[Model], **hints: Any) -> None:
        """Django asks before it saves, creates, updates, deletes or locks anything."""
        if is_legacy(model):
            raise Refused(
                f"{model._meta.label} is a table of the older database, which is only read.",
                "Write to the model that it is imported into.",
            )

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool | None:
        """Only within the older database: no foreign key can refer to another server."""
        legacy = {is_legacy(one), is_legacy(other)}
        return None if legacy == {False} else legacy == {True}

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Its tables belong to another application, and no app of this project has tables there."""
        return False if db == ALIAS or app_label == APP else None


def is_legacy(model: Model | type[Model]) -> bool:
    return model._meta.app_label == APP
