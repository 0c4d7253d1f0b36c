"""The months of the tables of history: one partition each, made before its first row and dropped with its last.

A month is by UTC, whatever the time zone of a session, and has no rows of another.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import OperationalError, connection, transaction
from psycopg.sql import SQL, Composable, Identifier, Literal

logger = logging.getLogger(__name__)

TABLES = ("history_statechange", "history_temperature", "history_quarter")
AHEAD = timedelta(days=15)
"""So long before a month begins its partitions are there: whoever polls may be off for a while."""

# Rows and not to_regclass(), which may remember from before another session's commit that there was none.
MISSING = """
SELECT name FROM unnest(%s::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_class WHERE relname = name AND pg_table_is_visible(oid))
"""
# Attaching keeps nobody from reading or writing the other months; CREATE TABLE … PARTITION OF would.
ATTACH = "ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES FROM ({begin}) TO ({end})"
MONTHS = """
SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = ANY(%s::regclass[]) ORDER BY child.relname
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('history partitions'))"
# Whoever comes meanwhile waits behind it.
PATIENCE = "SET LOCAL lock_timeout = '200ms'"


def month_of(moment: datetime) -> datetime:
    """The first moment of its month, by UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def after(month: datetime) -> datetime:
    return month_of(month + timedelta(days=31))


def before(month: datetime, months: int) -> datetime:
    for _ in range(months):
        month = month_of(month - timedelta(days=1))
    return month


def name_of(table: str, month: datetime) -> str:
    return f"{table}_{month:%Y_%m}"


def ensure(moments: Iterable[datetime]) -> None:
    """The partitions of these moments are there afterwards. One short read where they are already."""
    wanted = {name_of(table, month): (table, month) for month in {month_of(m) for m in moments} for table in TABLES}
    if not _missing(wanted):
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(ONE_AT_A_TIME)
        for name in _missing(wanted):
            for statement in _made(name, *wanted[name]):
                cursor.execute(statement)


def make_ahead(now: datetime) -> None:
    ensure([now, now + AHEAD])


def drop_old(now: datetime) -> list[str]:
    """Drop the months that ended more than HISTORY_MONTHS ago; return the partitions.

    Whoever reads them is waited for only briefly: the next call tries again.
    """
    first_kept = before(month_of(now), settings.HISTORY_MONTHS)
    dropped = []
    for name in existing():
        if name[-7:] < f"{first_kept:%Y_%m}":
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(PATIENCE)
                    cursor.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(name)))
            except OperationalError as error:
                logger.warning("The partition %s is in use, and is dropped later: %s", name, error)
            else:
                dropped.append(name)
    return dropped


def existing() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(MONTHS, [list(TABLES)])
        return [name for (name,) in cursor.fetchall()]


def _missing(names: Iterable[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(MISSING, [list(names)])
        return [name for (name,) in cursor.fetchall()]


def _made(name: str, table: str, month: datetime) -> list[Composable]:
    parent, partition = Identifier(table), Identifier(name)
    begin, end = Literal(month.isoformat()), Literal(after(month).isoformat())
    return [
        SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(partition, parent),
        SQL(ATTACH).format(parent=parent, partition=partition, begin=begin, end=end),
    ]
