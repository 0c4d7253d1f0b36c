"""The staff's page of the cutover: who is on which side, why and since when, which side errs, and sending people."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from core.faults.reading import commonest, errors_by_side, errors_by_user
from core.sides import deciding
from core.sides.forms import PercentForm, SendForm
from core.sides.models import Choice, Side
from core.sides.people import Decisions, find_people, read_people
from core.sides.reading import count_sides, everybody, name_of
from core.staff import staff_only

PER_PAGE = 50
CHANGE = "core.change_choice"
"""The right to send people: staff without it may look."""


@require_http_methods(["GET", "HEAD", "POST"])
@staff_only(change=CHANGE)
def cutover(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return show(request)
    form = SendForm(request.POST)
    if not form.is_valid():
        return show(request, form)
    messages.success(request, form.send(by=name_of(request.user)))
    return redirect(request.path)


def show(request: HttpRequest, form: SendForm | None = None) -> HttpResponse:
    """The page. What was typed stays in a form that was wrong."""
    decisions, errors = everybody(), errors_by_user()
    search, side = request.GET.get("q", "").strip()[:200], request.GET.get("side", "")
    page = Paginator(find_people(search, side, decisions, errors), PER_PAGE).get_page(request.GET.get("page"))
    shown = {
        "form": form,
        "counted": count_sides(decisions),
        "page": page,
        "people": read_people(page.object_list, decisions, errors),
        "search": search,
        "side": side,
        "all_sides": Side,
        "ask": request.GET.get("ask", ""),
        "may_send": request.user.has_perm(CHANGE),
        **read_percentages(request, decisions),
        **read_errors(),
    }
    shown["groups"] = Group.objects.annotate(size=Count("user")).order_by("name") if shown["may_send"] else ()
    return render(request, "core/sides/page.html", shown, status=400 if form else 200)


def read_percentages(request: HttpRequest, decisions: Decisions) -> dict[str, Any]:
    """The one in force, the one before, and what another would do that somebody asks about."""
    last = list(Choice.objects.filter(percent__isnull=False).order_by("-since", "-pk")[:2])
    asked = PercentForm(request.GET) if "percent" in request.GET else PercentForm()
    shown = {"percent": deciding.percent_in_force(), "last": last[0] if last else None, "asked": asked}
    shown["before"] = last[1].percent if len(last) > 1 else None
    if asked.is_bound and asked.is_valid():
        percent = asked.cleaned_data["percent"]
        over, back = deciding.effect_of(percent, decisions)
        shown["effect"] = {"percent": percent, "over": over, "back": back}
    return shown


def read_errors() -> dict[str, Any]:
    """By side, and which fault it is where the new side errs more than the old one."""
    old, new = errors_by_side()
    return {"errors": [old, new], "commonest": commonest(Side.NEW) if new.total > old.total else None}
