"""Which print a machine waits with: the last one that ended and that nobody has signed off."""

from collections.abc import Collection
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from monitoring.models import Print


def unsigned() -> QuerySet[Print]:
    return Print.objects.filter(ended_at__isnull=False, signed_off_at=None)


def last_of(printers: Collection[int]) -> dict[int, Print]:
    """By the keys of their printers; one query, and none for none."""
    if not printers:
        return {}
    found = unsigned().filter(printer__in=printers).select_related("started_by")
    return {one.printer_id: one for one in found.order_by("printer", "-ended_at", "-pk").distinct("printer")}


def ended_at(printer: str = "pk") -> Any:
    """When it ended, as a part of a query of printers."""
    return Subquery(unsigned().filter(printer=OuterRef(printer)).order_by("-ended_at").values("ended_at")[:1])
