"""The version of the farm: a number that is another one as soon as anything that pages show of it is another.

Triggers add a row to `FleetChange` in the transaction that changes something, and the version is the sum over them. So
it rises exactly when that transaction is committed, in whatever order transactions are, and nobody waits for a lock.
"""

from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, Subquery

from monitoring.models import FleetChange

MANY = 1000
"""Rows from which on whoever reads them folds them."""

FOLD = """
WITH folded AS (
    DELETE FROM monitoring_fleetchange
     WHERE id IN (SELECT id FROM monitoring_fleetchange FOR UPDATE SKIP LOCKED)
       AND (SELECT count(*) FROM monitoring_fleetchange) > 1
    RETURNING number
)
INSERT INTO monitoring_fleetchange (number) SELECT sum(number) FROM folded HAVING count(*) > 0
"""
"""One row instead of all that are there, with their sum, which is so the same before and after. Two who fold at once
fold different rows. One row stays as it is."""


class _Aggregate(Subquery):
    output_field = BigIntegerField()

    def __init__(self, **options: Any) -> None:
        super().__init__(FleetChange.objects.values("number"), **options)


class Version(_Aggregate):
    """The version as a part of another query."""

    template = "(SELECT coalesce(sum(number), 0)::bigint FROM (%(subquery)s) AS change)"


class Changes(_Aggregate):
    """How many rows the version is the sum of."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS change)"


def current() -> int:
    """One read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(number), 0)::bigint FROM monitoring_fleetchange")
        return int(cursor.fetchone()[0])


def fold() -> None:
    """Keep the table small. Whoever polls calls it about once a minute."""
    with connection.cursor() as cursor:
        cursor.execute(FOLD)
