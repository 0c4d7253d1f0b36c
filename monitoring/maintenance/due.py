"""What is due on which machine: intervals against what has been counted since the work was last done."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Q, Value
from django.db.models.lookups import LessThanOrEqual
from django.utils import timezone

from monitoring.maintenance.models import Task

COUNT = """
UPDATE maintenance_task AS task SET seconds = found.seconds, prints = found.prints, counted_at = %(now)s
FROM (
    SELECT due.id, count(print.id) AS prints,
        COALESCE(sum(COALESCE(print.seconds, extract(epoch FROM print.ended_at - print.started_at))), 0) AS seconds
    FROM maintenance_task AS due
    LEFT JOIN monitoring_print AS print ON print.printer_id = due.printer_id
        AND print.started_at >= due.done_at AND print.ended_at IS NOT NULL
    WHERE (%(printers)s::integer[] IS NULL OR due.printer_id = ANY(%(printers)s))
        AND (due.every_hours IS NOT NULL OR due.every_prints IS NOT NULL)
    GROUP BY due.id
) AS found
WHERE found.id = task.id AND (task.seconds, task.prints) IS DISTINCT FROM (found.seconds, found.prints)
"""
"""A print that ran while the work was done began before it, and counts as before."""


def count_all() -> None:
    """A chore: writes the tasks on whose machines a print has ended since."""
    count(None)


def count(printers: Collection[int] | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"now": timezone.now(), "printers": None if printers is None else list(printers)})


def is_overdue(task: Task, now: datetime) -> bool:
    return bool(excess(task, now))


def excess(task: Task, now: datetime) -> str:
    """By how much it is over, in words; empty while it is not due: 12 h, 3 days, 20 prints."""
    hours = task.seconds / 3600
    if task.every_hours and hours >= task.every_hours:
        return f"{hours - task.every_hours:.0f} h"
    days = (now - task.done_at) / timedelta(days=1)
    if task.every_days and days >= task.every_days:
        return counted(int(days - task.every_days), "day")
    if task.every_prints and task.prints >= task.every_prints:
        return counted(task.prints - task.every_prints, "print")
    return ""


def late(now: datetime) -> Q:
    """The same for a query of tasks."""
    day = Value(timedelta(days=1), DurationField())
    due_at = ExpressionWrapper(F("done_at") + F("every_days") * day, DateTimeField())
    return (
        Q(every_hours__isnull=False, seconds__gte=F("every_hours") * 3600)
        | Q(every_prints__isnull=False, prints__gte=F("every_prints"))
        | Q(LessThanOrEqual(due_at, Value(now, DateTimeField())), every_days__isnull=False)
    )


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def sentence(task: Task, now: datetime) -> str:
    """Change the nozzle: due since 12 h"""
    over = excess(task, now)
    if not over:
        return ""
    return f"{task.what}: due now" if over.startswith("0 ") else f"{task.what}: overdue by {over}"


def left(task: Task, now: datetime) -> list[str]:
    """What is left of each interval: in 38 h printed, in 5 days, in 12 prints."""
    found = []
    if task.every_hours:
        found.append(f"{max(task.every_hours - task.seconds / 3600, 0):.0f} h printed")
    if task.every_days:
        days = task.every_days - (now - task.done_at) / timedelta(days=1)
        found.append(counted(max(int(days + 0.999), 0), "day"))
    if task.every_prints:
        found.append(counted(max(task.every_prints - task.prints, 0), "print"))
    return found


def overdue(printers: Collection[int]) -> Mapping[int, str]:
    """For tiles: of each printer with something overdue, the first of it, and how much more there is."""
    now, found = timezone.now(), dict[int, list[str]]()
    for task in Task.objects.filter(printer__in=list(printers)).order_by("printer", "done_at", "pk"):
        if said := sentence(task, now):
            found.setdefault(task.printer_id, []).append(said)
    return {key: said[0] + (f", and {len(said) - 1} more" if len(said) > 1 else "") for key, said in found.items()}
