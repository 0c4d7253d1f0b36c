"""What the page of a printer says of its prints."""

from django.http import HttpRequest
from django.template.loader import render_to_string

from monitoring.models import Print
from monitoring.prints.listing import LAST, total
from printers.models import Printer


def last_prints(request: HttpRequest, printer: Printer, rights: set[str]) -> str:
    """Whoever may see the printer may see them."""
    mine = Print.objects.filter(printer=printer)
    rows = list(mine.select_related("started_by", "signed_off_by").order_by("-started_at", "-pk")[:LAST])
    context = {"printer": printer, "prints": rows, "total": total(mine)}
    return render_to_string("monitoring/prints/_of_printer.html", context, request)
