"""The list of prints, as somebody may see them, and how often they succeed."""

import dataclasses
from datetime import timedelta
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from monitoring.models import Print
from monitoring.prints import rates
from printers.models import Printer

PER_PAGE = 50
SINCE = timedelta(days=90)
"""Rates are of this time: how a machine was a year ago says little about it."""
ROWS = 8
LAST = 5
"""On the page of a printer."""


def prints_of(user: Any) -> QuerySet[Print]:
    """Those of printers that `user` may see."""
    return Print.objects.filter(printer__in=Printer.objects.for_user(user, "view").values("pk"))


@dataclasses.dataclass(frozen=True)
class Rate:
    """How often prints succeed."""

    good: int
    known: int
    word: str = ""
    printer: int | None = None
    file: str = ""
    """Which it is of."""

    @property
    def percent(self) -> float | None:
        return self.good * 100 / self.known if self.known else None


@dataclasses.dataclass
class Prints:
    """One page of the list, and the rates of what it lists."""

    user: Any
    chosen: dict[str, Any]

    def __post_init__(self) -> None:
        self.found = self.find()
        self.lately = self.found.filter(ended_at__gte=timezone.now() - SINCE)

    @property
    def filtered(self) -> bool:
        return any(self.chosen[name] for name in ("q", "printer", "file", "why", "show"))

    def find(self) -> QuerySet[Print]:
        found, chosen = prints_of(self.user), self.chosen
        if chosen["q"]:
            words = chosen["q"]
            found = found.filter(Q(file__icontains=words) | Q(printer__machine__name__icontains=words))
        if chosen["printer"]:
            found = found.filter(printer=chosen["printer"])
        if chosen["file"]:
            found = found.filter(file=chosen["file"])
        if chosen["why"]:
            found = found.alias(why=rates.why()).filter(rates.BAD, why=chosen["why"])
        return found.filter(SHOWN[chosen["show"]])

    def page(self) -> Page:
        rows = self.found.select_related("printer__machine", "started_by", "signed_off_by")
        return Paginator(rows.order_by("-started_at", "-pk"), PER_PAGE).get_page(self.chosen["page"] or 1)

    def total(self) -> Rate:
        return total(self.lately)

    def by_printer(self) -> list[Rate]:
        rows = list(worst(self.lately, "printer"))
        printers = Printer.objects.select_related("machine").in_bulk([row["printer"] for row in rows])
        return [
            Rate(row["good"], row["good"] + row["bad"], printers[row["printer"]].name, row["printer"])
            for row in rows
            if row["printer"] in printers
        ]

    def by_file(self) -> list[Rate]:
        rows = worst(self.lately.exclude(file=""), "file")
        return [Rate(row["good"], row["good"] + row["bad"], row["file"], file=row["file"]) for row in rows]

    def by_reason(self) -> list[tuple[str, int]]:
        return [(row["why"], row["number"]) for row in rates.reasons(self.lately)[:ROWS]]


SHOWN = {
    "": Q(),
    "running": Q(ended_at=None),
    "waiting": Q(ended_at__isnull=False, signed_off_at=None) & ~Q(printer__last_seen__waits=""),
    "good": rates.GOOD,
    "bad": rates.BAD,
}


def total(prints: QuerySet[Print]) -> Rate:
    found = prints.aggregate(
        good=Count("pk", filter=rates.GOOD & Q(ended_at__isnull=False)),
        bad=Count("pk", filter=rates.BAD & Q(ended_at__isnull=False)),
    )
    return Rate(found["good"], found["good"] + found["bad"])


def worst(prints: QuerySet[Print], by: rates.By) -> QuerySet[Print, dict[str, Any]]:
    """Those of which something is known, the worst first."""
    return rates.rates(prints, by).filter(rate__isnull=False).order_by("rate", "-bad", by)[:ROWS]
