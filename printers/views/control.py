from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from core.typed import sent
from printers import control, looking
from printers.clients import asking
from printers.clients.base import PrinterError
from printers.forms import OutOfOrderForm, SelectionForm, StartForm
from printers.models import Printer
from printers.states import ENDED
from printers.views.common import back, find, page, tell

DONE = {
    "pause": "{} printers are paused.",
    "resume": "{} printers print again.",
    "cancel": "{} prints are cancelled.",
    "out": "{} printers are out of order.",
    "in": "{} printers are back in service.",
    "delete": "{} printers were deleted.",
}
ASKED = {"cancel", "out", "delete"}
"""A page asks before these are done to a selection."""


@page("POST")
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    return act(request, pk, "pause")


@page("POST")
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    return act(request, pk, "resume")


@page("GET", "POST")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of the dialog that asks first."""
    if request.method == "POST":
        return act(request, pk, "cancel")
    return render(request, "printers/cancel.html", {"printer": find(request.user, pk, "operate")})


def act(request: HttpRequest, pk: int, what: str) -> HttpResponse:
    find(request.user, pk, "operate")
    tell(request, control.act(request.user, what, [pk]))
    return redirect(back(request, "") or "printers:detail", *([] if back(request, "") else [pk]))


@page("GET", "POST")
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """The files that are on the machine, one of which is printed."""
    left = control.refreshed(request.user, [find(request.user, pk, "operate")])
    if not left:
        raise Http404
    return choose(request, left[0])


def choose(request: HttpRequest, printer: Printer) -> HttpResponse:
    try:
        files = asking.files(looking.endpoint_of(printer))
        problem = None
    except PrinterError as error:
        files, problem = [], error
    form = StartForm(sent(request), files=files)
    if request.method == "POST" and form.is_valid():
        result = control.start(request.user, printer.pk, form.cleaned_data["file"])
        if result:
            tell(request, [result])
        return redirect("printers:detail", printer.pk)
    waits = printer.state in ENDED
    context = {"printer": printer, "form": form, "files": files, "problem": problem, "waits": waits}
    return render(request, "printers/start.html", context, status=400 if form.errors else 200)


@page("GET", "POST")
def out_of_order(request: HttpRequest, pk: int) -> HttpResponse:
    printer = find(request.user, pk, "operate")
    form = OutOfOrderForm(sent(request), initial={"why": printer.known.out_of_order_why})
    if request.method == "POST" and form.is_valid():
        tell(request, control.take_out(request.user, [pk], form.cleaned_data["why"]))
        return redirect("printers:detail", pk)
    context = {"printer": printer, "form": form}
    return render(request, "printers/outoforder.html", context, status=400 if form.errors else 200)


@page("POST")
def in_service(request: HttpRequest, pk: int) -> HttpResponse:
    find(request.user, pk, "operate")
    tell(request, control.take_in(request.user, [pk]))
    return redirect("printers:detail", pk)


@page("POST")
def bulk(request: HttpRequest) -> HttpResponse:
    """One action on a selection; what cannot be undone, and what needs a reason, is asked first."""
    form = SelectionForm(request.POST)
    if not form.is_valid():
        messages.warning(request, "Nothing was selected, or nothing was said to do with it.")
        return redirect(back(request, "printers:list"))
    what, keys = form.cleaned_data["do"], form.cleaned_data["printer"]
    reason = OutOfOrderForm(request.POST if "confirmed" in request.POST else None)
    if what in ASKED and ("confirmed" not in request.POST or (what == "out" and not reason.is_valid())):
        return ask(request, what, keys, reason)
    results = do(request, what, keys, reason)
    if not results:
        messages.warning(request, "None of them is there for you to do this with.")
    tell(request, results, many=DONE[what])
    return redirect(back(request, "printers:list"))


def ask(request: HttpRequest, what: str, keys: list[int], reason: OutOfOrderForm) -> HttpResponse:
    may = "manage" if what == "delete" else "operate"
    found = list(Printer.objects.for_user(request.user, may).whole().filter(pk__in=keys).order_by("pk"))
    context = {"what": what, "printers": found, "form": reason, "next": back(request, "")}
    return render(request, "printers/bulk.html", context, status=400 if reason.errors else 200)


def do(request: HttpRequest, what: str, keys: list[int], reason: OutOfOrderForm) -> list[control.Result]:
    match what:
        case "out":
            return control.take_out(request.user, keys, reason.cleaned_data["why"])
        case "in":
            return control.take_in(request.user, keys)
        case "delete":
            return control.delete(request.user, keys)
    return control.act(request.user, what, keys)
