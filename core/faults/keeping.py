"""Faults in the database: counted, and claimed by the one process that tells people this hour."""

from datetime import timedelta

from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F, Q

from core.faults.models import Fault, FaultCount
from core.faults.seeing import Seen

TELL_AGAIN = timedelta(hours=1)
KEPT = timedelta(days=30)
WAIT = "2s"
"""An error on a table that somebody has locked is not worth more."""

_told_here: dict[str, float] = {}
"""When this process has told, by fingerprint: what is left to ask when database and cache are gone."""


def keep(seen: Seen) -> bool:
    """Count it, and say whether to tell people now: to one of all processes, once an hour for each fingerprint.

    Without the database nothing is counted, and the cache says who tells: among the processes that share it.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                           [WAIT, WAIT])  # fmt: skip
            count(seen)
            return claim(seen)
    except (DatabaseError, InterfaceError):
        return claim_without_database(seen)


def count(seen: Seen) -> None:
    last = {
        "kind": seen.kind, "message": seen.message, "place": seen.place, "route": seen.route, "trace": seen.trace,
        "request_id": seen.request_id, "last_at": seen.at,
    }  # fmt: skip
    Fault.objects.bulk_create(
        [Fault(fingerprint=seen.fingerprint, first_at=seen.at, **last)],
        update_conflicts=True, unique_fields=["fingerprint"], update_fields=[*last],
    )  # fmt: skip
    hour = {
        "fault_id": seen.fingerprint, "side": seen.side, "user_id": seen.user_id,
        "hour": seen.at.replace(minute=0, second=0, microsecond=0),
    }  # fmt: skip
    FaultCount.objects.bulk_create([FaultCount(**hour, count=0)], ignore_conflicts=True)
    FaultCount.objects.filter(**hour).update(count=F("count") + 1)


def claim(seen: Seen) -> bool:
    """The row's lock lets one process change `told_at`, and the next one see that."""
    due = Q(told_at__isnull=True) | Q(told_at__lte=seen.at - TELL_AGAIN)
    claimed = Fault.objects.filter(due, fingerprint=seen.fingerprint).update(told_at=seen.at)
    if claimed:
        FaultCount.objects.filter(hour__lt=seen.at - KEPT).delete()
        Fault.objects.filter(last_at__lt=seen.at - KEPT).delete()
    return bool(claimed)


def claim_without_database(seen: Seen) -> bool:
    moment = seen.at.timestamp()
    if moment - _told_here.get(seen.fingerprint, float("-inf")) < TELL_AGAIN.total_seconds():
        return False
    _told_here[seen.fingerprint] = moment
    try:
        return cache.add(f"fault-{seen.fingerprint}", True, TELL_AGAIN.total_seconds())
    except Exception:  # noqa: BLE001  Each client of a cache has its own errors, and one message too many is no harm.
        return True


def keep_telling(seen: Seen, told: str, *, reached: bool) -> None:
    """How telling went. Where nobody was reached, the next time tells again."""
    moment = {} if reached else {"told_at": None}
    try:
        with transaction.atomic():
            Fault.objects.filter(fingerprint=seen.fingerprint).update(told=told[:300], **moment)
    except (DatabaseError, InterfaceError):
        if not reached:
            _told_here.pop(seen.fingerprint, None)
