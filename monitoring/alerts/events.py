"""What happened, kept as rows: an event begins and ends with the state that pages show of a printer.

Twice: beside each batch of looks, so that a spell between two rounds is not missed, and once a round for all printers,
which catches up with what people do (signing off, out of order) and with rounds that did not happen.
"""

import logging
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from monitoring.alerts.models import ENDED_BY_PEOPLE, TOLD, Event
from monitoring.models import Print
from printers.models import Printer
from printers.signals import Change
from printers.states import State

logger = logging.getLogger(__name__)
BATCH = 1000
VALUES = [state.value for state in TOLD]


def follow_changes(sender: Any, changes: Iterable[Change], **given: Any) -> None:
    """The receiver of `kept`. What it can't write the next round catches up with; a look is kept all the same."""
    keys = [change.printer for change in changes if is_news(change)]
    if not keys:
        return
    try:
        with transaction.atomic():
            follow(timezone.now(), keys)
    except DatabaseError:
        logger.exception("Events of %s printers were not kept; the next round does it.", len(keys))


def is_news(change: Change) -> bool:
    """Whether another state may be shown than before."""
    return change.before is None or change.before.state != change.after.state


def follow(now: datetime, keys: Collection[int] | None = None) -> None:
    """End what is over and begin what is new, of these printers or of all. In a transaction."""
    end(now, keys)
    begin(now, keys)


def shown(**conditions: Any) -> "QuerySet[Any]":
    return Printer.objects.with_state().filter(**conditions)


def of(events: "QuerySet[Event]", keys: Collection[int] | None) -> "QuerySet[Event]":
    return events if keys is None else events.filter(printer__in=list(keys))


def end(now: datetime, keys: Collection[int] | None) -> None:
    """A printer that is gone ends its event as well. Rows are locked in the order of keys, as everywhere."""
    still = shown(pk=OuterRef("printer_id"), state_value=OuterRef("state"))
    over = of(Event.objects.filter(~Exists(still) | Q(Exists(later_print()), state__in=ENDED_BY_PEOPLE)), keys)
    ended = list(over.filter(ended_at=None).order_by("printer_id").select_for_update(of=("self",)))
    if not ended:
        return
    became = dict(shown(pk__in=[event.printer_id for event in ended]).values_list("pk", "state_value"))
    for event in ended:
        event.ended_at, event.became = max(now, event.began_at), became.get(event.printer_id, "")
        event.closed = not recovers(event)
    Event.objects.bulk_update(ended, ["ended_at", "became", "closed"], batch_size=BATCH)


def later_print() -> "QuerySet[Print]":
    """That has ended on the printer since, and waits as well: nobody has signed the first one off."""
    return Print.objects.filter(printer=OuterRef("printer_id"), ended_at__gt=OuterRef("began_at"), signed_off_at=None)


def recovers(event: Event) -> bool:
    """Whether its end is news. A printer that is deleted or taken out of order has not recovered."""
    return event.state not in ENDED_BY_PEOPLE and event.became not in ("", State.OUTOFORDER)


def begin(now: datetime, keys: Collection[int] | None) -> None:
    there = Event.objects.filter(printer=OuterRef("pk"), state=OuterRef("state_value"), ended_at=None)
    new = shown(state_value__in=VALUES).exclude(Exists(there)).select_related("last_seen").order_by("pk")
    found = list(new if keys is None else new.filter(pk__in=list(keys)))
    if not found:
        return
    prints = ended_prints(found)
    Event.objects.bulk_create(
        [event_of(printer, prints.get(printer.pk), now) for printer in found],
        batch_size=BATCH,
        update_conflicts=True,
        # The same spell again, such as a print that nobody has signed off after a fault. Rules are asked again, for it
        # may not have been told; where it was, it is not told twice.
        unique_fields=["printer", "state", "began_at"],
        update_fields=["ended_at", "became", "closed", "matched"],
    )


def ended_prints(printers: Iterable[Any]) -> dict[int, Print]:
    """The last print of each printer that waits for somebody."""
    waiting = [printer.pk for printer in printers if printer.state_value in ENDED_BY_PEOPLE]
    if not waiting:
        return {}
    ended = Print.objects.filter(printer__in=waiting, ended_at__isnull=False, signed_off_at=None)
    return {found.printer_id: found for found in ended.order_by("ended_at")}


def event_of(printer: Any, ended: Print | None, now: datetime) -> Event:
    seen = printer.last_seen
    return Event(
        printer=printer,
        state=printer.state_value,
        began_at=ended.ended_at if ended else min(seen.since, now),
        file=ended.file if ended else seen.file,
        progress=None if ended else seen.progress,
        message=ended.reason if ended else seen.message,
    )
