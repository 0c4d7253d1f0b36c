"""What Django loads as the engine."""

from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.creation import DatabaseCreation
from django.db.backends.postgresql.operations import DatabaseOperations

from scripts.behind_views import moving


class Creation(DatabaseCreation):
    def create_test_db(self, *args: Any, **options: Any) -> str:
        name: str = super().create_test_db(*args, **options)
        moving.replace_tables(self.connection)
        return name


class Operations(DatabaseOperations):
    def sql_flush(self, style: Any, tables: list[str], **options: Any) -> list[str]:
        """With the tables that have the rows: no installed model has them."""
        if not tables:
            return []
        found: list[str] = super().sql_flush(style, [*tables, *moving.behind(self.connection)], **options)
        return found


class DatabaseWrapper(base.DatabaseWrapper):
    creation_class = Creation
    ops_class = Operations
