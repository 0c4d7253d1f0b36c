"""The reader of a source, and the query of an import's rows."""

import re
from collections.abc import Generator, Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from rehome.errors import Refused
from rehome.importing.failures import NOT_THERE, explained, message, state_of
from rehome.importing.plan import ImportPlan
from rehome.importing.sources.postgresql import PostgreSQLReader
from rehome.importing.sources.reader import Block, Reader, Report

NEVER = RawSQL("1 = 0", [], output_field=BooleanField())  # noqa: S611


def open_reader(connection: BaseDatabaseWrapper) -> Reader:
    if connection.vendor == "postgresql":
        return PostgreSQLReader(connection)
    if connection.vendor == "mysql":
        # Its driver is installed only where such a database is read.
        from rehome.importing.sources.mysql import MySQLReader

        return MySQLReader(connection)
    raise Refused(
        f"Database {connection.alias!r} is {connection.display_name}, and no import can read that.",
        "Import from PostgreSQL, MySQL or MariaDB.",
    )


def count(plan: ImportPlan) -> int:
    if plan.only is not None:
        return len(plan.only)
    with explained(plan.source):
        return query(plan).count()


def read(plan: ImportPlan, reader: Reader, report: Report | None = None) -> Generator[Block, None, None]:
    with explained(plan.source, of_rows=report is not None):
        yield from reader.rows(plan, query(plan), report)


def refuse_unreadable(plan: ImportPlan) -> None:
    """Let the source's server refuse the query before the first row is read."""
    with explained(plan.source):
        try:
            query(plan).explain()
        except DatabaseError as error:
            refuse_added_key(plan, error)
            raise


def refuse_added_key(plan: ImportPlan, error: DatabaseError) -> None:
    """Where a table has no primary key, Django adds one to its model, and inspectdb says nothing else."""
    model, key = plan.source_model, plan.source_model._meta.pk
    if state_of(error) in NOT_THERE and key.auto_created and re.search(rf"\b{key.column}\b", message(error)):
        raise Refused(
            f"{plan}: table {model._meta.db_table} of database {plan.source.alias!r} has no column {key.column}, which "
            f"Django adds to {model._meta.label} because none of its fields is a primary key.",
            "Write primary_key=True at a field that has another value in each row, or pk = "
            "models.CompositePrimaryKey(...) with several that have together; `manage.py checkschema "
            f"{model._meta.app_label} --database {plan.source.alias}` names those that the table has as unique.",
        ) from error


def find_times(plan: ImportPlan, reader: Reader) -> Mapping[int, str]:
    with explained(plan.source):
        return reader.times(query(plan))


def query(plan: ImportPlan) -> "QuerySet[Any, Any]":
    """One column for each of the plan's `taken`, in their order."""
    rows: QuerySet[Any, Any] = plan.source_model._base_manager.using(plan.source.alias).order_by()
    values = {f"rehome_{number}": taken.expression for number, taken in enumerate(plan.taken)}
    found: QuerySet[Any, Any]
    try:
        found = rows.filter(plan.declared.where or Q(), plan.since or Q()).annotate(**values).values_list(*values)
        found.query.get_compiler(plan.source.alias).as_sql()
    except EmptyResultSet:  # Django knows that no row is meant, and would write no query.
        found = rows.filter(NEVER).annotate(**values).values_list(*values)
    return found
