"""Where messages lead: to pages, which change nothing when a mail scanner opens them."""

from collections.abc import Sequence

from django.conf import settings
from django.urls import reverse

from monitoring.alerts.models import ENDED_BY_PEOPLE, Event


def of_items(events: Sequence[Event]) -> str:
    """Of one event the page that helps; of many the farm's."""
    if len(events) != 1:
        return whole(reverse("farm"))
    return whole(page_of(events[0]))


def page_of(event: Event) -> str:
    """Where somebody says how a print went, which a GET only shows; else the printer's page."""
    waits = event.state in ENDED_BY_PEOPLE
    return reverse("prints:waiting" if waits else "printers:detail", args=[event.printer_id])


def rules() -> str:
    return whole(reverse("alerts:list"))


def whole(path: str) -> str:
    return f"{settings.PORTAL_URL.rstrip('/')}{path}"
