"""Rules as their owner sees them: nothing is said of a printer or a group that somebody may not view any more."""

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from monitoring.alerts.models import Rule
from printers.fleet.models import PrinterGroup
from printers.models import Printer


def rules_of(user: Any) -> "QuerySet[Rule]":
    """With what their sentences need, in one query."""
    seen = Printer.objects.for_user(user, "view")
    groups = PrinterGroup.objects.filter(memberships__printer__in=seen)
    of_printer = Q(printer=None) | Exists(seen.filter(pk=OuterRef("printer")))
    of_group = Q(group=None) | Exists(groups.filter(pk=OuterRef("group")))
    mine = Rule.objects.filter(user=user).select_related("printer__machine", "group").order_by("pk")
    return mine.annotate(sees_printer=of_printer, sees_group=of_group)
