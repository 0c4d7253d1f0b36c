"""Rows of history as a farm would have written them, and moments to write them at."""

from datetime import UTC, datetime, timedelta

from monitoring.history import partitions, rolling
from monitoring.history.models import Quarter, RolledUp, StateChange, Temperature
from printers.states import State

__all__ = ["partitions", "rolling"]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 14, 16, 3, tzinfo=UTC)
TODAY = datetime(2026, 3, 14, tzinfo=UTC)
OLD = datetime(2026, 3, 12, 10, tzinfo=UTC)
"""A full hour that is to be rolled up."""
HERON = 7


def warm(
    *points: tuple[datetime, float | None], printer: int = HERON, part: str = "tool0", target: float | None = None
) -> None:
    partitions.ensure(at for at, _ in points)
    Temperature.objects.bulk_create(
        Temperature(printer_id=printer, part=part, at=at, actual=actual, target=target) for at, actual in points
    )


def become(*changes: tuple[datetime, State], printer: int = HERON) -> None:
    partitions.ensure(at for at, _ in changes)
    StateChange.objects.bulk_create(StateChange(printer_id=printer, at=at, state=state) for at, state in changes)


def rolled_until(moment: datetime) -> None:
    RolledUp.objects.update_or_create(pk=1, defaults={"until": moment})


def quarters(**which: object) -> list[tuple[datetime, float | None, float | None, float | None]]:
    rows = Quarter.objects.filter(**which).order_by("printer_id", "part", "at")
    return list(rows.values_list("at", "low", "mean", "high"))


def kept_whole(**which: object) -> list[tuple[datetime, float | None]]:
    return list(Temperature.objects.filter(**which).order_by("printer_id", "part", "at").values_list("at", "actual"))
