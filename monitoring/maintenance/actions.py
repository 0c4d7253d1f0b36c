"""What people do: record work that was done, and plan work that comes back. Each in one transaction."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from monitoring.maintenance import due
from monitoring.maintenance.models import Entry, Task
from printers.models import Printer


def record(
    user: Any, printer: Printer, what: str, done_at: datetime, *, tasks: Iterable[Task] = (), parts: str = "",
    cost: Decimal | None = None,
) -> Entry:  # fmt: skip
    """An entry of the log; with `tasks`, these are counted anew from `done_at` on, unless they were done later."""
    done = [task for task in tasks if task.printer_id == printer.pk]
    with transaction.atomic():
        for task in done:
            Task.objects.filter(pk=task.pk, done_at__lt=done_at).update(done_at=done_at)
        due.count([printer.pk])
        return Entry.objects.create(
            printer=printer, task=done[0] if done else None, what=what, done_at=done_at, by=user,
            by_name=(user.get_full_name() or user.get_username())[:150], parts=parts, cost=cost,
        )  # fmt: skip


def plan(task: Task, printers: Iterable[Printer]) -> int:
    """The same work for each of these printers that has none of this name; how many there were."""
    keys = [printer.pk for printer in printers]
    with transaction.atomic():
        planned = Task.objects.filter(printer__in=keys, what__iexact=task.what)
        have = set(planned.values_list("printer", flat=True))
        new = [copy_of(task, key) for key in keys if key not in have]
        Task.objects.bulk_create(new)
        due.count([each.printer_id for each in new])
    return len(new)


def copy_of(task: Task, printer: int) -> Task:
    intervals = {name: getattr(task, name) for name in ("what", "every_hours", "every_days", "every_prints", "done_at")}
    return Task(printer_id=printer, **intervals)
