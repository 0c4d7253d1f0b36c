from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core.faults.reading import errors_by_side, last_faults
from core.sides.models import Side
from core.staff import staff_only

PER_PAGE = 50


@require_safe
@staff_only()
def faults(request: HttpRequest) -> HttpResponse:
    """The last faults, those of one side, or the one whose number somebody was told."""
    search, side = request.GET.get("q", "").strip()[:200], request.GET.get("side", "")
    page = Paginator(last_faults(search, side), PER_PAGE).get_page(request.GET.get("page"))
    shown = {"page": page, "search": search, "side": side, "sides": errors_by_side(), "all_sides": Side}
    return render(request, "core/faults/page.html", shown)
