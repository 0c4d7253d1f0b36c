"""Where printers belong: one query counts all that somebody may see, and tells the first of each section."""

import dataclasses
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.fields import ArrayField
from django.db.models import Case, Count, DateTimeField, F, Func, IntegerField, OrderBy, Q, TextField, Value, When
from django.db.models.functions import Cast, Coalesce

from monitoring.prints.waiting import ended_at
from printers.fleet.models import Kind
from printers.models import Printer
from printers.states import FAULTY, RUNNING, Group, State

BY = {"place": "Place", "kind": "Kind", "tag": "Tag"}
"""What people group by, besides the state."""
TEXTS = ArrayField(TextField())
TAGS = Case(When(machine__tags__len__gt=0, then=Cast("machine__tags", TEXTS)), default=Value([""], TEXTS))
VALUES: dict[str, Any] = {
    "": Value("", TextField()),
    "place": Coalesce(F("machine__place"), Value(""), output_field=TextField()),
    "kind": Coalesce(F("machine__kind"), Value(Kind.OCTOPRINT.value), output_field=TextField()),
    "tag": Func(TAGS, function="unnest", output_field=TextField()),
}
"""A printer with two tags is in two sections; one without any is in that of nothing."""


@dataclasses.dataclass(frozen=True)
class Share:
    """Of one place, kind or tag, those in states of one group: how many, and the first of them."""

    value: str
    group: Group
    number: int
    first: list[int]


class First(Func):
    """The beginning of an array."""

    template = "(%(expressions)s)[1:%(limit)s]"
    output_field = ArrayField(IntegerField())


def shares(user: Any, by: str, limit: int) -> list[Share]:
    """The most urgent first."""
    groups = list(Group)
    found = Printer.objects.for_user(user, "view").by_urgency().with_name().annotate(value=VALUES[by]).order_by()
    rows = (
        found.values("value", "urgency")
        .annotate(number=Count("pk"), first=First(ArrayAgg("pk", order_by=[moment(), "called", "pk"]), limit=limit))
        .values_list("value", "urgency", "number", "first")
    )
    return sorted(
        (Share(v, groups[rank], n, first) for v, rank, n, first in rows), key=lambda one: groups.index(one.group)
    )


def moment() -> OrderBy:
    """Oldest first where somebody is called, next to end where one prints; elsewhere names decide.

    By what the machine said, for that is cheaper to compare than what is shown.
    """
    called = Q(last_seen__state__in=[*FAULTY, State.ATTENTION])
    lost = Q(last_seen__state=State.UNREACHABLE, last_seen__progress__isnull=False)
    return OrderBy(
        Case(
            When(machine__out_of_order_since__isnull=False, then=None),
            When(called | lost, then=F("last_seen__since")),
            When(last_seen__state__in=RUNNING, then=F("last_seen__ends_at")),
            When(last_seen__waits__gt="", then=ended_at()),
            output_field=DateTimeField(),
        ),
        nulls_last=True,
    )
