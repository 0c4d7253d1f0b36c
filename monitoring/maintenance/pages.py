"""What the page of a printer shows of its maintenance."""

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone

from monitoring.maintenance import due
from monitoring.maintenance.models import Entry, Task
from printers.models import Printer

LATEST = 3


def section(request: HttpRequest, printer: Printer, rights: set[str]) -> str:
    context = {
        "printer": printer,
        "rights": rights,
        "tasks": tasks_of(printer),
        "entries": Entry.objects.filter(printer=printer)[:LATEST],
    }
    return render_to_string("maintenance/_section.html", context, request)


def tasks_of(printer: Printer) -> list[Task]:
    """What is overdue first. Each with `over`, a sentence or "", and `left`, in words."""
    now = timezone.now()
    tasks = list(Task.objects.filter(printer=printer))
    for task in tasks:
        task.over, task.left = due.sentence(task, now), due.left(task, now)  # type: ignore[attr-defined]
    return sorted(tasks, key=lambda task: not due.is_overdue(task, now))
