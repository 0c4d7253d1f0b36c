"""Faults as staff read them: the last ones, and how many of each side in the last day."""

import dataclasses
from datetime import datetime, timedelta

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.faults.models import Fault, FaultCount
from core.sides.models import Side

DAY = timedelta(days=1)
HOURS = 24


def last_faults(search: str = "", side: str = "") -> QuerySet[Fault]:
    """The latest first, each with its numbers of the last day. `search` is a number as the error page tells it, an id
    of a request, or a part of the text.
    """
    lately = Q(counts__hour__gte=_since())
    faults = Fault.objects.annotate(
        lately=Coalesce(Sum("counts__count", filter=lately), 0),
        old=Coalesce(Sum("counts__count", filter=lately & Q(counts__side=Side.OLD)), 0),
        new=Coalesce(Sum("counts__count", filter=lately & Q(counts__side=Side.NEW)), 0),
        people=Count("counts__user_id", filter=lately & Q(counts__user_id__gt=0), distinct=True),
    )
    if search:
        number = search.replace("-", "").lower()
        faults = faults.filter(
            Q(fingerprint__startswith=number)
            | Q(request_id=search)
            | Q(kind__icontains=search)
            | Q(message__icontains=search)
            | Q(place__icontains=search)
            | Q(route__icontains=search)
        )
    if side in Side.values:
        faults = faults.filter(pk__in=FaultCount.objects.filter(side=side).values("fault_id"))
    return faults.order_by("-last_at", "pk")


@dataclasses.dataclass(frozen=True)
class SideErrors:
    """The errors of one side in each of the last 24 hours, the present one last."""

    side: Side
    hours: list[int]

    @property
    def total(self) -> int:
        return sum(self.hours)

    @property
    def said(self) -> str:
        """What the drawing shows, in words."""
        if not self.total:
            return "None in 24 hours"
        return f"{self.total} in 24 hours, at most {max(self.hours)} in an hour, {self.hours[-1]} in the present one"

    @property
    def line(self) -> str:
        """From left to right, the highest hour on top, in a frame of 96 by 24."""
        top = max(1, *self.hours)
        points = [f"{at * 96 / (HOURS - 1):.0f} {22 - 19 * n / top:.1f}" for at, n in enumerate(self.hours)]
        return f"M{' '.join(points)}"


def errors_by_side() -> list[SideErrors]:
    now = _hour(timezone.now())
    counted = FaultCount.objects.filter(hour__gt=now - DAY).values_list("side", "hour").annotate(n=Sum("count"))
    found = {(side, hour): n for side, hour, n in counted}
    hours = [now - timedelta(hours=back) for back in reversed(range(HOURS))]
    return [SideErrors(side, [found.get((side, hour), 0) for hour in hours]) for side in Side]


def errors_by_user() -> dict[int, int]:
    """In the last day; who had none is left out."""
    counted = FaultCount.objects.filter(hour__gte=_since(), user_id__gt=0).values_list("user_id")
    return dict(counted.annotate(n=Sum("count")))


def commonest(side: Side) -> tuple[Fault, int] | None:
    """The fault that makes most of a side's errors of the last day, and how many they are."""
    counts = FaultCount.objects.filter(side=side, hour__gte=_since())
    found = counts.values("fault_id").annotate(n=Sum("count")).order_by("-n", F("fault_id")).first()
    return (Fault.objects.get(pk=found["fault_id"]), found["n"]) if found else None


def _since() -> datetime:
    """Hours are counted as a whole."""
    return _hour(timezone.now()) - DAY + timedelta(hours=1)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
