"""What an ending drops: the old rows that a retired move has set aside."""

from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader

from rehome.graph.ending.found import Ending, read_endings
from rehome.ops import servers
from rehome.parts import aside
from rehome.plan.record import Record
from rehome.postgres import asking, catalog, sql
from rehome.postgres.tables import Table

SIZE = "SELECT pg_total_relation_size(%s::oid)"


def find(
    migrations: Iterable[Migration], loader: MigrationLoader, connection: BaseDatabaseWrapper
) -> Iterator[tuple[Ending, list[Table]]]:
    """Each ending among these migrations that is not applied, and the tables with rows that it drops."""
    keys = {(one.app_label, one.name) for one in migrations}
    for ending in read_endings(loader, connection):
        if ending.key in keys and ending.run is not None and not ending.applied:
            names = [place.as_string() for place in aside.places(Record.of(ending.run))]
            if tables := with_rows(names, connection):
                yield ending, tables


def described(found: Iterable[tuple[Ending, list[Table]]], connection: BaseDatabaseWrapper) -> str:
    """What is agreed to."""
    lines = [
        f"  {table}, {servers.sized(asking.value(connection, SIZE, [table.oid]))}, of {ending}; {ending.place} ends it"
        for ending, tables in found
        for table in tables
    ]
    return "\n".join(["Old rows that are set aside will be dropped, and there is no way back after that:", *lines])


def with_rows(names: Iterable[str], connection: BaseDatabaseWrapper) -> list[Table]:
    """Of the tables of these quoted names, those that are there and not empty."""
    found = filter(None, catalog.read_tables(connection, list(names)))
    return [table for table in found if asking.value(connection, sql.has_rows(table).as_string())]
