"""`check --database legacy`: whether the older database can be reached, logged in to and read."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, NotSupportedError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model

from core.legacy import ALIAS, APP, POSTGIS
from legacy_app import answers
from rehome.errors import one_line

OLDEST_POSTGIS = (3, 1)
"""The oldest that Django supports."""
WITH_GEOMETRIES = {
    "django.db.backends.postgresql": POSTGIS,
    "django.db.backends.mysql": "django.contrib.gis.db.backends.mysql",
}
READ_ONLY = {"postgresql": "SHOW transaction_read_only", "mysql": "SELECT @@session.transaction_read_only"}
MARIADB_READ_ONLY = "SELECT @@session.tx_read_only"


@register(Tags.database)
def check_legacy(databases: Sequence[str] | None, **options: Any) -> list[CheckMessage]:
    """Asks the server what an import will ask, and reads no row. Without a connection it checks nothing else."""
    if ALIAS not in (databases or ()):
        return []
    connection = connections[ALIAS]
    return list(check_connection(connection)) or [
        *check_postgis(connection),
        *check_read_only(connection),
        *(message for model in apps.get_app_config(APP).get_models() for message in check_model(connection, model)),
    ]


def check_connection(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    settings = connection.settings_dict
    place = f"{settings['NAME']!r} on {':'.join(filter(None, [settings['HOST'], settings['PORT']])) or 'this machine'}"
    try:
        connection.ensure_connection()
        connection.check_database_version_supported()  # Django itself checks only the first connection.
    except NotSupportedError as error:
        yield Error(
            f"The server of the older database {place} is too old: {one_line(error)}.",
            hint="Upgrade it, or restore a backup on a newer server and name that server in LEGACY_DB_HOST.",
            id="legacy_app.E003",
        )
    except DatabaseError as error:
        if answers.is_refusal(error):
            yield Error(
                f"The server of the older database {place} refused the login: {one_line(error)}.",
                hint="Correct LEGACY_DB_USER, LEGACY_DB_PASSWORD or LEGACY_DB_DB, or have the login allowed there.",
                id="legacy_app.E002",
            )
        else:
            yield Error(
                f"The older database {place} can't be reached: {one_line(error)}.",
                hint="Correct LEGACY_DB_HOST or LEGACY_DB_PORT, start its server, or open the network to it.",
                id="legacy_app.E001",
            )


def check_postgis(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    if connection.settings_dict["ENGINE"] != POSTGIS:
        return
    try:
        version = connection.ops.spatial_version
        if version >= OLDEST_POSTGIS:
            return
        found = f"has PostGIS {'.'.join(map(str, version))}"
    except ImproperlyConfigured:
        found = "has no PostGIS"
    yield Error(
        f"The older database {found}, and Django needs {'.'.join(map(str, OLDEST_POSTGIS))} or newer.",
        hint="Run CREATE EXTENSION postgis or ALTER EXTENSION postgis UPDATE there. "
        "If no model has geometries, set LEGACY_DB_ENGINE=django.db.backends.postgresql.",
        id="legacy_app.E004",
    )


def check_read_only(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    mariadb = getattr(connection, "mysql_is_mariadb", False)
    with connection.cursor() as cursor:
        cursor.execute(MARIADB_READ_ONLY if mariadb else READ_ONLY[connection.vendor])
        (answer,) = cursor.fetchone()
    if answer not in ("on", 1):
        yield Error(
            "The session of the older database can write, though its settings ask for read-only.",
            hint="Connect without the pooler that drops the session's settings, or set the role's default: "
            "ALTER ROLE ... SET default_transaction_read_only = on.",
            id="legacy_app.E005",
        )


def check_model(connection: BaseDatabaseWrapper, model: type[Model]) -> Iterator[CheckMessage]:
    table, fields = model._meta.db_table, model._meta.concrete_fields
    if refusal := answers.ask(connection, table):
        yield explain(refusal, model, table)
    elif answers.ask(connection, table, *(field.column for field in fields)):
        for field in fields:
            if refusal := answers.ask(connection, table, field.column):
                yield explain(refusal, model, table, field)
    yield from check_geometries(connection, model)


def check_geometries(connection: BaseDatabaseWrapper, model: type[Model]) -> Iterator[CheckMessage]:
    if connection.features.gis_enabled:
        return
    engine = connection.settings_dict["ENGINE"]
    for field in model._meta.concrete_fields:
        if hasattr(field, "geom_type"):
            yield Error(
                f"{model._meta.label}.{field.name} is a geometry, which {engine} does not support.",
                hint=f"Set LEGACY_DB_ENGINE={WITH_GEOMETRIES[engine]}.",
                obj=model,
                id="legacy_app.E009",
            )


def explain(refusal: DatabaseError, model: type[Model], table: str, field: "Field[Any, Any] | None" = None) -> Error:
    what = f"{table}.{field.column}" if field else table
    match answers.meaning_of(refusal):
        case "no table":
            problem = f"The older database has no table {table}, which {model._meta.label} names, or hides it."
            hint, number = "Correct db_table, remove the model, or have the table granted with GRANT SELECT.", "E006"
        case "no column" if field:
            problem = f"The older database has no column {what}, which {model._meta.label}.{field.name} names."
            hint, number = "Correct the field's db_column, or remove the field from the model.", "E007"
        case "no right":
            user = connections[ALIAS].settings_dict["USER"]
            problem = f"The role {user!r} may not read {what} of the older database."
            hint, number = f"Have its owner run there: GRANT SELECT ON {table} TO {user}.", "E008"
        case _:
            problem = f"{what} of the older database can't be read: {one_line(refusal)}."
            hint, number = "Read the server's log; if the connection was lost, run the check again.", "E001"
    return Error(problem, hint=hint, obj=model, id=f"legacy_app.{number}")
