"""Who polls: a row for each kind, with an expiry. No connection is held, so no lock of the database's could say it.

By the database's clock, which is one for all machines. An expiry further away than any that is written was written
before that clock was set back, and counts for nothing.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from monitoring.models import Lease

SECONDS = 30.0
"""As long as this a farm stands unasked when the process that polls it is killed."""
TAKE = """
INSERT INTO monitoring_lease AS lease (kind, holder, until)
SELECT kind, %(holder)s, clock_timestamp() + %(seconds)s * interval '1 second'
FROM unnest(%(kinds)s::text[]) AS kind ORDER BY kind
ON CONFLICT (kind) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE lease.holder = excluded.holder OR lease.until < clock_timestamp()
    OR lease.until > clock_timestamp() + 2 * %(seconds)s * interval '1 second'
RETURNING kind
"""


def take(holder: str, kinds: Collection[str], seconds: float = SECONDS) -> set[str]:
    """Those of the kinds that `holder` may poll for so long: taken, or renewed. Others are another process's."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"holder": holder, "kinds": sorted(kinds), "seconds": seconds})
        return {kind for (kind,) in cursor.fetchall()}


def release(holder: str) -> None:
    """Whoever waits may begin."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE monitoring_lease SET until = '-infinity' WHERE holder = %s", [holder])


def asked(holder: str, kinds: Collection[str], at: datetime) -> None:
    """A round that began at this moment has asked every printer that answers."""
    Lease.objects.filter(holder=holder, kind__in=kinds).update(polled_at=at)
