"""The monolith's pages of printers, on its own models: what people on the old side see and change.

Rights are asked for where every page asks for them, in `core.rights`; here nothing is decided.
"""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe
from psycopg.errors import UniqueViolation

from core.rights import Action, printer_keys
from core.typed import sent
from portal.exporting import export_csv
from portal.forms import PrinterForm
from portal.models import Printer, Profile

PER_PAGE = 100
READ_OR_SEND = ["GET", "HEAD", "POST"]


def printers_for(user: Any, action: Action) -> QuerySet[Printer]:
    return Printer.objects.filter(pk__in=printer_keys(user, action)).select_related("profile").order_by("pk")


def find(user: Any, pk: int, action: Action) -> Printer:
    """Raises Http404 for a printer that is not there or that `user` may not see, which are the same to them, and
    PermissionDenied for one that they may see alone.
    """
    if printer := printers_for(user, action).filter(pk=pk).first():
        return printer
    if action != "view" and printers_for(user, "view").filter(pk=pk).exists():
        raise PermissionDenied
    raise Http404


@require_safe
@login_required
def printers(request: HttpRequest) -> HttpResponse:
    page = Paginator(printers_for(request.user, "view"), PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "portal/list.html", {"page": page})


@require_safe
@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    printer = find(request.user, pk, "view")
    may_manage = printers_for(request.user, "manage").filter(pk=pk).exists()
    return render(request, "portal/detail.html", {"printer": printer, "may_manage": may_manage})


@require_http_methods(READ_OR_SEND)
@login_required
def add(request: HttpRequest) -> HttpResponse:
    """A printer of one's own."""
    form = PrinterForm(sent(request))
    if request.method == "POST" and form.is_valid():
        form.instance.profile = Profile.objects.filter(user=request.user).first() or make_profile(request.user)
        if save(form):
            messages.success(request, f"{form.instance.ip_address} was added.")
            return redirect("portal:detail", form.instance.pk)
    return answer(request, form, "portal/add.html")


@require_http_methods(READ_OR_SEND)
@login_required
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    printer = find(request.user, pk, "manage")
    form = PrinterForm(sent(request), instance=printer)
    if request.method == "POST" and form.is_valid() and save(form):
        messages.success(request, f"{printer.ip_address} was saved.")
        return redirect("portal:detail", pk)
    return answer(request, form, "portal/edit.html", pk=pk)


@require_http_methods(READ_OR_SEND)
@login_required
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    printer = find(request.user, pk, "manage")
    if request.method != "POST":
        return render(request, "portal/delete.html", {"printer": printer})
    printer.delete()
    messages.success(request, f"{printer.ip_address} was deleted.")
    return redirect("portal:list")


@require_safe
@login_required
def export(request: HttpRequest) -> HttpResponse:
    """Without keys."""
    return export_csv(printers_for(request.user, "view"))


def save(form: PrinterForm) -> bool:
    """False where somebody has saved the same address and key a moment before; the form says so then.

    PostgreSQL's error names the key, so it is neither shown nor raised.
    """
    try:
        with transaction.atomic():
            form.save()
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        form.add_error("ip_address", "A printer with this address and this key is in the farm already.")
        return False
    return True


def answer(request: HttpRequest, form: PrinterForm, template: str, **values: Any) -> HttpResponse:
    """The form, with what was typed; 400 where something in it is wrong."""
    return render(request, template, {"form": form, **values}, status=400 if form.errors else 200)


def make_profile(user: Any) -> Profile:
    return Profile.objects.create(
        user=user, name=user.get_full_name(), username=user.get_username(), email=user.email
    )  # fmt: skip
