"""Whether a database is as an ending leaves it, where no record says so: the last ending drops the record, and a new
database never had one. One whose migrations were faked has none either.
"""

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from rehome.parts.ending import Tables
from rehome.postgres import resolution


def find_contradiction(tables: Tables, loader: MigrationLoader, connection: BaseDatabaseWrapper) -> str:
    """What shows that an ending did not run here though it is recorded as applied, as part of a sentence; empty where
    nothing does.

    What later migrations have made under an old name, or made of a new table, shows nothing.
    """
    left = present(tables.old, connection)
    missing = sorted({*tables.new} - present(tables.new, connection))
    if not left and not missing:
        return ""
    expected = made_by(loader, connection)
    if found := [name for name in missing if name in expected]:
        return f"{', '.join(found)} is missing"
    return f"{', '.join(found)} is still there" if (found := sorted(left - expected)) else ""


def present(names: tuple[str, ...], connection: BaseDatabaseWrapper) -> set[str]:
    oids = resolution.find_all(connection, names)
    return {name for name, oid in zip(names, oids, strict=True) if oid is not None}


def made_by(loader: MigrationLoader, connection: BaseDatabaseWrapper) -> set[str]:
    """The tables, quoted, that all applied migrations together have made, of those that routers let be here."""
    applied = [key for key in loader.applied_migrations if key in loader.graph.nodes]
    models = loader.project_state(applied).apps.get_models(include_auto_created=True)
    return {
        connection.ops.quote_name(model._meta.db_table)
        for model in models
        if model._meta.managed and router.allow_migrate_model(connection.alias, model)
    }
