"""Prints, from what looks have changed: begun, gone on or ended. Within the transaction that keeps the look."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from monitoring.models import Print
from monitoring.prints import ends
from printers.fleet.models import LastSeen
from printers.signals import Change
from printers.states import State

WAITS = {
    Print.Outcome.FINISHED: State.FINISHED,
    Print.Outcome.FAILED: State.FAILED,
    Print.Outcome.CANCELLED: State.CANCELLED,
    # Something lies on the plate, and nobody knows what.
    Print.Outcome.LOST: State.FAILED,
}
"""What a machine shows until somebody has said how the print went."""
SET_WAITS = """
UPDATE fleet_lastseen AS old SET waits = new.waits
FROM unnest(%s::integer[], %s::text[]) AS new (printer_id, waits) WHERE old.printer_id = new.printer_id
"""
ENDED = ("ended_at", "outcome", "reason", "seconds", "filament_mm", "file", "seen_running")


class Book:
    """The prints of one batch: what is to be inserted, what updated, and which machines wait."""

    def __init__(self, latest: dict[int, Print]) -> None:
        self.latest = latest
        self.new: list[Print] = []
        self.updated: list[Print] = []
        self.waits: dict[int, str] = {}

    def enter(self, change: Change) -> None:
        latest = self.latest.get(change.printer)
        running = latest if latest and latest.ended_at is None else None
        if running and ends.is_another(running, change):
            self.end(running, ends.End(Print.Outcome.LOST, ends.NOBODY_SAW), change)
            running = None
        if change.after.prints:
            self.goes_on(running, change)
        elif running:
            if end := ends.end_of(running, change):
                self.end(running, end, change)
        elif end := ends.unseen(latest, change):
            self.new.append(self.ended(begun(latest, change), end, change))

    def goes_on(self, running: Print | None, change: Change) -> None:
        # Whoever began the next print has taken the last one off the plate.
        self.waits.pop(change.printer, None)
        latest = self.latest.get(change.printer)
        if running is None and latest and latest not in self.updated and ends.is_resumed(latest, change):
            latest.ended_at, latest.outcome, latest.reason, latest.seconds = None, "", "", None
            self.updated.append(latest)
            self.waits[change.printer] = ""
        elif running is None:
            self.new.append(begun(latest, change))
        elif not running.seen_running or (change.after.file and not running.file):
            running.seen_running, running.file = True, change.after.file or running.file
            self.updated.append(running)

    def end(self, running: Print, end: ends.End, change: Change) -> None:
        self.updated.append(self.ended(running, end, change))

    def ended(self, one: Print, end: ends.End, change: Change) -> Print:
        after = change.after
        one.ended_at, one.outcome, one.reason = max(after.at, one.started_at), end.outcome, end.reason
        one.seconds, one.filament_mm = ends.seconds_of(one.started_at, after), after.filament_mm
        self.waits[change.printer] = WAITS[end.outcome]
        return one

    def write(self) -> None:
        """An update and an insert, and the states that wait."""
        if self.updated:
            Print.objects.bulk_update(self.updated, ENDED)
        if self.new:
            Print.objects.bulk_create(self.new, ignore_conflicts=True)
        if self.waits:
            set_waits(self.waits)


def record(changes: Sequence[Change], **_: Any) -> None:
    """Receives `printers.signals.kept`. Most looks change a temperature, and nothing is asked for them."""
    telling = [change for change in changes if tells(change)]
    if not telling:
        return
    book = Book(latest_of(change.printer for change in telling))
    for change in telling:
        book.enter(change)
    book.write()


def tells(change: Change) -> bool:
    """Whether a look may say that a print has begun or ended. What runs is always compared with the row."""
    return change.after.answered and (
        change.after.prints
        or change.state_changed
        or (change.before is not None and change.before.file != change.after.file)
    )


def latest_of(printers: Iterable[int]) -> dict[int, Print]:
    """The last print of each: whoever keeps a look holds a lock on the printer, so it stays the last."""
    found = Print.objects.filter(printer__in=list(printers)).order_by("printer", "-started_at", "-id")
    return {one.printer_id: one for one in found.distinct("printer")}


def begun(latest: Print | None, change: Change) -> Print:
    """The machine may have printed for long when somebody looks for the first time. Where it prints on, but something
    else, its state is that of the print before, which ended first.
    """
    after = change.after
    started_at = after.since if change.before else after.at
    if latest and latest.ended_at:
        started_at = min(max(started_at, latest.ended_at), after.at)
    return Print(printer_id=change.printer, file=after.file, started_at=started_at)


def set_waits(waits: dict[int, str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SET_WAITS, [list(waits), [str(state) for state in waits.values()]])


def end_what_never_began() -> None:
    """Prints that a machine was told to print and that no look has ever found: nothing lies on the plate of them."""
    now = timezone.now()
    told = Print.objects.filter(ended_at=None, seen_running=False, started_at__lt=now - ends.BEGINS_WITHIN)
    told.update(ended_at=now, outcome=Print.Outcome.LOST, reason="It never began.", seconds=0)


def name_who_started(printer: int, file: str, user: Any, **_: Any) -> None:
    """Receives `printers.signals.started`. A look may have found it running already."""
    mine = {"started_by": user if user.pk else None, "found_by": Print.FoundBy.CONTROL}
    with transaction.atomic():
        LastSeen.objects.select_for_update().filter(pk=printer).first()
        told = mine | {"file": file, "started_at": timezone.now()}
        running = Print.objects.filter(printer=printer, ended_at=None)
        # One that nobody saw run never began, or the machine would not have been ready for this one.
        if not running.filter(seen_running=False).update(**told) and not running.update(**mine):
            Print.objects.create(printer_id=printer, seen_running=False, **told)


@contextmanager
def found_by_agent(printer: int) -> Iterator[None]:
    """Prints that a look within makes known were found by an agent. The caller holds the printer's lock."""
    mine = Print.objects.filter(printer=printer)
    last = mine.order_by("-pk").values_list("pk", flat=True).first() or 0
    yield
    mine.filter(pk__gt=last).update(found_by=Print.FoundBy.AGENT)
