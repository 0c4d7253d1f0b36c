from datetime import timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.text import slugify

from monitoring.history import export, ranges
from monitoring.history.charts import chart_of
from monitoring.history.forms import FileForm
from printers.models import Printer
from printers.views.common import find, page


def section(request: HttpRequest, printer: Printer, rights: set[str]) -> str:
    """On the page of a printer, with the range that its address asks for."""
    return render_to_string("history/_section.html", _context(request, printer), request)


@page("GET")
def chart(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the section that changes."""
    return render(request, "history/_chart.html", _context(request, find(request.user, pk, "view")))


def _context(request: HttpRequest, printer: Printer) -> dict[str, object]:
    chosen = ranges.last(request.GET.get("range", ""), timezone.now())
    return {"printer": printer, "chart": chart_of(printer.pk, chosen), "ranges": list(ranges.LAST)}


@page("GET")
def file(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks which days of what; its form leads to the file."""
    printer, today = find(request.user, pk, "view"), timezone.localdate()
    form = FileForm(initial={"what": "temperatures", "first": today - timedelta(days=6), "until": today})
    return render(request, "history/file.html", {"printer": printer, "form": form})


@page("GET")
def csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """`?range=day`, or `?what=states&first=2026-03-01&until=2026-03-31`, whose days are those of the reader's zone."""
    printer = find(request.user, pk, "view")
    zone = timezone.get_current_timezone()
    form = FileForm(request.GET)
    if "first" not in request.GET:
        chosen = ranges.last(request.GET.get("range", ""), timezone.now())
    elif form.is_valid():
        chosen = ranges.days(form.cleaned_data["first"], form.cleaned_data["until"], zone)
    else:
        return render(request, "history/file.html", {"printer": printer, "form": form}, status=400)
    what = request.GET.get("what", "")
    what = what if what in export.HEADS else "temperatures"
    # The zone is another when the lines are written: the middleware has gone by then.
    lines = export.written(what, printer.pk, chosen, zone)
    name = f"{slugify(printer.name) or f'printer-{pk}'}-{what}-{chosen.start.astimezone(zone):%Y-%m-%d}.csv"
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name[-200:]}"'},
    )
