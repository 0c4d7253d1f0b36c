"""What agents beside printers tell of them: kept once for each key, however often it is sent."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from api.models import Report
from monitoring.prints import recording
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import LastSeen
from printers.models import Printer

REMEMBERED = timedelta(days=1)
CLOCKS = timedelta(minutes=1)
"""How far an agent's clock may be ahead; what it tells is kept as of now then."""


class AnotherBody(Exception):
    """The key came with something else before."""


class Ahead(Exception):
    """The moment has not been yet."""


def keep(user: Any, printer: int, key: str, seen: Seen, at: datetime | None, body: Any) -> tuple[Report, bool]:
    """The report, and whether it came for the first time. One transaction; raises AnotherBody or Ahead.

    Of two at once that have the same key, the second waits for the first. What was seen later stays.
    """
    now = timezone.now()
    if at and at > now + CLOCKS:
        raise Ahead
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        Report.objects.filter(at__lt=now - REMEMBERED).delete()
        report, made = Report.objects.get_or_create(
            user=user, printer_id=printer, key=key, defaults={"digest": digest, "at": now}
        )
        if report.digest != digest:
            raise AnotherBody
        if made:
            write(printer, seen, min(at or now, now))
    return report, made


def write(printer: int, seen: Seen, at: datetime) -> None:
    """As a look at the printer is kept; the lock is that of whoever keeps one."""
    Printer.objects.select_for_update(no_key=True).filter(pk=printer).first()
    later = LastSeen.objects.filter(printer=printer, asked_at__gt=at)
    # What is still to come was written by a clock that was wrong.
    if later.filter(asked_at__lte=timezone.now()).exists():
        return
    with recording.found_by_agent(printer):
        looking.keep([(printer, seen)], at)
