from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import http_date

from printers import additions, looking
from printers.camera import snapshot
from printers.clients.base import PrinterError
from printers.fleet.models import Role
from printers.models import Printer
from printers.views.common import find, page, rights

ASKED_EVERY = timedelta(seconds=4)
"""However many people look at a printer."""


@page("GET")
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """What was last seen; the page then asks for `now`."""
    printer = find(request.user, pk, "view")
    roles = Role.objects.filter(printer_group__memberships__printer=pk).select_related("user_group")
    context = now_of(request, printer) | {"roles": roles.order_by("user_group__name", "action")}
    for column in ("main", "side"):
        context[column] = additions.sections(column, request, printer, context["rights"])
    return render(request, "printers/detail.html", context)


@page("GET")
def now(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks the printer, unless somebody has just asked, and shows what it says; without script on the whole page.

    Whoever presses for it is always waited for; the page by itself shows what is known where many wait already.
    """
    printer = find(request.user, pk, "view")
    if not (printer.seen and printer.seen.is_of(ASKED_EVERY)):
        look = looking.look_unless_busy if request.htmx else looking.look
        look(printer)
        printer = find(request.user, pk, "view")
    if not request.htmx:
        return redirect("printers:detail", pk)
    return render(request, "printers/_now.html", now_of(request, printer))


def now_of(request: HttpRequest, printer: Printer) -> dict[str, Any]:
    return {"printer": printer, "seen": printer.seen, "rights": rights(request.user, printer)}


@page("GET")
def camera(request: HttpRequest, pk: int) -> HttpResponse:
    """A snapshot at most ten seconds old, fetched by the portal: browsers call nobody but the portal."""
    printer = find(request.user, pk, "view")
    if not printer.known.camera:
        return HttpResponse(status=204)
    try:
        kept = snapshot(printer)
    except PrinterError as error:
        said = f"{error.sentence} {error.hint}".strip()
        return HttpResponse(said, status=502, content_type="text/plain; charset=utf-8")
    # Browsers tell the page when it was taken, which the picture itself does not say.
    headers = {"Last-Modified": http_date(kept.taken_at.timestamp())}
    return HttpResponse(kept.picture, content_type="image/jpeg", headers=headers)
