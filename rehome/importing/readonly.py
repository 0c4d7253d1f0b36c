"""An older database in a project's settings: an alias whose sessions can't write, and a router that never tries."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models import Model

from rehome.errors import Refused

APPS = "READ_ONLY_APPS"
SESSION = {
    "postgresql": {"options": "-c default_transaction_read_only=on"},
    "mysql": {"init_command": "SET SESSION TRANSACTION READ ONLY"},
}
"""By the kind of server, what keeps a session from writing, SQL that passes by the router too."""
BETWEEN = {"options": " ", "init_command": "; "}
KINDS = {"postgis": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}
"""By the last part of an engine's name."""


def read_only(database: Mapping[str, Any], *, apps: Iterable[str] = ()) -> dict[str, Any]:
    """An entry of DATABASES whose sessions only read. The models of `apps`, by label, are read from it.

    What OPTIONS say stays. Django's test runner makes no database for it. Raises ImproperlyConfigured for an engine
    that no rows are imported from.
    """
    kind = KINDS.get(str(database.get("ENGINE", "")).rpartition(".")[2])
    if kind is None:
        raise ImproperlyConfigured(
            f"ENGINE is {database.get('ENGINE')!r}, which rehome can't keep from writing; name one of Django's for "
            "PostgreSQL, PostGIS, MySQL or MariaDB."
        )
    options = dict(database.get("OPTIONS", {}))
    for name, setting in SESSION[kind].items():
        options[name] = BETWEEN[name].join(filter(None, [options.get(name), setting]))
    # The runner makes and drops the databases of all aliases, but for mirrors.
    test = {"MIRROR": "default", **database.get("TEST", {})}
    return {**database, "OPTIONS": options, "TEST": test, APPS: tuple(apps)}


class ReadOnlyRouter:
    """Reads the models of read-only aliases there, and refuses each write to them. Others are none of its concern."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return alias_of(model)

    def db_for_write(self, model: type[Model], **hints: Any) -> None:
        """Django asks before it saves, creates, updates, deletes or locks anything."""
        if alias := alias_of(model):
            raise Refused(
                f"{model._meta.label} is a table of database {alias!r}, which is only read.",
                "Write to the model that it is imported into.",
            )

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool | None:
        """Only within a database: no foreign key can refer to another server."""
        aliases = {alias_of(one), alias_of(other)}
        return None if aliases == {None} else len(aliases) == 1

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Its tables belong to another application, and no app of this project has tables there."""
        return False if is_read_only(db) or app_label in homes() else None


def is_read_only(alias: str) -> bool:
    return APPS in connections.databases.get(alias, {})


def homes() -> dict[str, str]:
    """By the label of an app, the read-only alias that its models are read from."""
    return {app: alias for alias, database in connections.databases.items() for app in database.get(APPS, ())}


def alias_of(model: Model | type[Model]) -> str | None:
    return homes().get(model._meta.app_label)
