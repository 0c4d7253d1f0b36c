"""What the page of a printer shows of the reader's alerts."""

from django.http import HttpRequest
from django.template.loader import render_to_string

from monitoring.alerts.models import Rule
from printers.models import Printer


def section(request: HttpRequest, printer: Printer, rights: set[str]) -> str:
    """The reader's own rules about this printer alone, and a link that begins another."""
    mine = Rule.objects.filter(user=request.user, printer=printer).select_related("printer__machine")
    return render_to_string("alerts/_section.html", {"printer": printer, "rules": mine}, request)
