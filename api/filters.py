"""What lists are narrowed by. What is wrong in an address is refused: a program would take all for some."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django_filters import fields
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field

from api.serializers.fields import LARGEST_KEY
from monitoring.maintenance import due
from monitoring.maintenance.models import Entry, Task
from monitoring.models import Print
from printers import listing
from printers.fleet.models import Kind, Membership
from printers.managers import PrinterQuerySet
from printers.states import Group, State

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
SAID = [("good", "Good"), ("bad", "Bad"), ("none", "Nobody has said anything")]


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": LARGEST_KEY})
class KeyFilter(filters.Filter):
    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=1, max_value=LARGEST_KEY, **kwargs)


class MomentField(fields.IsoDateTimeField):
    """By UTC: PostgreSQL knows no zone that is 22:34 h away, and Python does."""

    def to_python(self, value: Any) -> datetime | None:
        moment = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError:
            return EARLIEST if moment.year == 1 else LATEST


class MomentFilter(filters.IsoDateTimeFilter):
    field_class = MomentField


class PrinterFilter(filters.FilterSet):
    """As the list of the pages filters; and by one state, and by a group of printers."""

    q = filters.CharFilter(method="narrow", max_length=200, label="In a name, file, address, model or tag.")
    place = filters.CharFilter(method="narrow", max_length=200)
    kind = filters.ChoiceFilter(method="narrow", choices=Kind.choices)
    tag = filters.CharFilter(method="narrow", max_length=50)
    counts_under = filters.ChoiceFilter(method="narrow", choices=Group.choices, label="A number at the list's head.")
    state = filters.MultipleChoiceFilter(method="narrow", choices=State.choices)
    group = KeyFilter(method="narrow", label="The id of a group of printers.")

    def narrow(self, found: PrinterQuerySet, name: str, value: Any) -> PrinterQuerySet:
        match name:
            case "counts_under":
                return found.in_group(Group(value))
            case "state":
                return found.with_state().filter(state_value__in=value)
            case "group":
                return found.filter(pk__in=Membership.objects.filter(group=int(value)).values("printer"))
        return listing.narrowed(found, {"q": "", "place": "", "kind": "", "tag": "", name: value})


class PrintFilter(filters.FilterSet):
    printer = KeyFilter(label="Its id.")
    file = filters.CharFilter(max_length=1000, label="Its whole name.")
    outcome = filters.ChoiceFilter(choices=[*Print.Outcome.choices, ("running", "It goes on")], method="by_outcome")
    verdict = filters.ChoiceFilter(choices=SAID, method="by_verdict")
    since = MomentFilter(field_name="started_at", lookup_expr="gte", label="Started then or later.")
    before = MomentFilter(field_name="started_at", lookup_expr="lt", label="Started earlier.")

    class Meta:
        model = Print
        fields: list[str] = []

    def by_outcome(self, found: QuerySet[Print], name: str, value: str) -> QuerySet[Print]:
        return found.filter(ended_at=None) if value == "running" else found.filter(outcome=value)

    def by_verdict(self, found: QuerySet[Print], name: str, value: str) -> QuerySet[Print]:
        return found.filter(ended_at__isnull=False, verdict="" if value == "none" else value)


class RateFilter(PrintFilter):
    """The prints that are counted, and by what."""

    per = filters.ChoiceFilter(choices=[("printer", "Printer"), ("file", "File")], method="of_all", label="By what.")

    def of_all(self, found: QuerySet[Print], name: str, value: str) -> QuerySet[Print]:
        return found


class TaskFilter(filters.FilterSet):
    printer = KeyFilter(label="Its id.")
    overdue = filters.ChoiceFilter(choices=[("true", "It is due"), ("false", "It is not")], method="by_due")

    class Meta:
        model = Task
        fields: list[str] = []

    def by_due(self, found: QuerySet[Task], name: str, value: str) -> QuerySet[Task]:
        late = due.late(timezone.now())
        return found.filter(late) if value == "true" else found.exclude(late)


class EntryFilter(filters.FilterSet):
    printer = KeyFilter(label="Its id.")
    since = MomentFilter(field_name="done_at", lookup_expr="gte", label="Done then or later.")
    before = MomentFilter(field_name="done_at", lookup_expr="lt", label="Done earlier.")

    class Meta:
        model = Entry
        fields: list[str] = []
