"""The reader of a source, and the query of an import's rows."""

from collections.abc import Generator
from typing import Any

from django.core.exceptions import ValidationError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from rehome.errors import Refused
from rehome.importing.failures import explained
from rehome.importing.plan import ImportPlan
from rehome.importing.sources.postgresql import PostgreSQLReader
from rehome.importing.sources.reader import Block, Reader, Report


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
    with explained(plan.source):
        return query(plan).count()


def read(plan: ImportPlan, reader: Reader, report: Report | None = None) -> Generator[Block, None, None]:
    with explained(plan.source, of_rows=report is not None):
        yield from reader.rows(plan, query(plan), report)


def refuse_unreadable(plan: ImportPlan) -> None:
    """Let the source's server refuse the query before the first row is read."""
    with explained(plan.source):
        query(plan).explain()


def query(plan: ImportPlan) -> "QuerySet[Any, Any]":
    """One column for each of the plan's `taken`, in their order."""
    rows: QuerySet[Any, Any] = plan.source_model._base_manager.using(plan.source.alias).order_by()
    for condition in (plan.declared.where, plan.since):
        rows = rows.filter(condition or Q())
    values = {f"rehome_{number}": taken.expression for number, taken in enumerate(plan.taken)}
    taken: QuerySet[Any, Any] = rows.annotate(**values)
    if plan.only is not None:
        try:
            taken = taken.filter(has_key(plan))
        except (ValueError, TypeError, ValidationError) as error:
            raise Refused(f"{plan} can't look for a key: {error}.", "Correct it in the file of rejects.") from error
    return taken.values_list(*values)


def has_key(plan: ImportPlan) -> Q:
    """Whether a row has one of the keys that are to be read again, as a condition of `query`."""
    places = {taken.field.name: f"rehome_{n}" for n, taken in enumerate(plan.taken) if not taken.constant}
    keys = [{places[name]: value for name, value in key.items() if name in places} for key in plan.only or ()]
    if len({name for key in keys for name in key}) == 1:
        (place,) = keys[0]
        known = [Q((f"{place}__in", [key[place] for key in keys if key[place] is not None]))]
        known += [Q((f"{place}__isnull", True)) for key in keys if key[place] is None]
    else:
        known = [
            Q(*((name, value) if value is not None else (f"{name}__isnull", True) for name, value in key.items()))
            for key in keys
        ]
    return Q(*known, _connector=Q.OR)
