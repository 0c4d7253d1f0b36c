"""The pages of prints. A link opens a page; only what is posted signs off, since mail scanners open links."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from core.rights import Action
from core.typed import sent
from monitoring.dashboard import numbers
from monitoring.dashboard import views as farm
from monitoring.models import Print
from monitoring.prints import signing, undoing
from monitoring.prints.forms import BadForm, Chosen, KeysForm
from monitoring.prints.listing import Prints
from monitoring.prints.waiting import last_of
from printers.models import Printer
from printers.views.common import back, page, tell
from printers.views.common import find as find_printer

MANY = 200
"""Prints that one page offers; the others come after those."""


@page("GET")
def prints(request: HttpRequest) -> HttpResponse:
    """All prints, newest first, and how often they succeed."""
    listing = Prints(request.user, Chosen.read(request.GET))
    context = {"listing": listing, "page": listing.page(), "shows": Chosen.SHOW.items()}
    if printer := listing.chosen["printer"]:
        context["printer"] = Printer.objects.for_user(request.user, "view").whole().filter(pk=printer).first()
    return render(request, "monitoring/prints/list.html", context)


@page("GET", "POST")
def one(request: HttpRequest, pk: int) -> HttpResponse:
    """Where an alert leads: what was printed, and how it went. Posted, it is signed off."""
    if request.method == "POST":
        return sign_one(request, find(request.user, pk, "operate"))
    found, typed = find(request.user, pk, "view"), sent(request)
    return show(request, found, BadForm(typed if typed and "bad" in typed else None))


def find(user: Any, pk: int, action: Action) -> Print:
    """Raises Http404 where `user` may not see its printer, and PermissionDenied where they may see it alone."""
    found = get_object_or_404(Print.objects.select_related("started_by", "signed_off_by"), pk=pk)
    found.printer = find_printer(user, found.printer_id, action)
    return found


def show(request: HttpRequest, found: Print, form: BadForm) -> HttpResponse:
    operable = Printer.objects.for_user(request.user, "operate").filter(pk=found.printer_id).exists()
    context = {"print": found, "printer": found.printer, "form": form, "operable": operable}
    context["undoable"] = operable and undoing.may_undo(request.user, found, found.printer)
    context["waits"] = found.ended_at is not None and found.signed_off_at is None
    return render(request, "monitoring/prints/print.html", context, status=400 if form.errors else 200)


def sign_one(request: HttpRequest, found: Print) -> HttpResponse:
    if "good" in request.POST:
        say(request, said(request, [found.pk], Print.Verdict.GOOD))
        return redirect(back(request, reverse("farm")))
    form = BadForm(request.POST)
    if not form.is_valid():
        return show(request, found, form)
    say(request, said(request, [found.pk], Print.Verdict.BAD, form))
    return redirect(back(request, reverse("farm")))


def said(request: HttpRequest, keys: list[int], verdict: Print.Verdict, form: BadForm | None = None) -> list[Any]:
    given = {"count": form.cleaned_data["count"], "reason": form.why} if form else {}
    results = signing.sign_off(request.user, keys, verdict, **given)
    numbers.forget()
    return results


def say(request: HttpRequest, results: list[signing.Result], many: str = "") -> None:
    tell(request, results, many=many, undo=undoing.address(request.user, results))


@page("POST")
def undo(request: HttpRequest) -> HttpResponse:
    """A wrong button, for some minutes. Which prints stands in the address, for a toast has no room for a form."""
    results = undoing.undo(request.user, KeysForm.read(request.GET)["print"])
    numbers.forget()
    tell(request, results, many="{} prints wait again for somebody to say how they went.")
    if not results:
        messages.warning(request, "None of these prints is yours to sign off.")
    return redirect(back(request, reverse("farm")))


@page("GET")
def waiting(request: HttpRequest, pk: int) -> HttpResponse:
    """To the print that a printer waits with."""
    printer = find_printer(request.user, pk, "view")
    found = last_of([printer.pk]).get(printer.pk)
    return redirect("prints:print", found.pk) if found else redirect("printers:detail", printer.pk)


@page("GET", "POST")
def sign_off(request: HttpRequest) -> HttpResponse:
    """Many at once: all that wait, or those that were ticked."""
    if request.method != "POST":
        typed = sent(request)
        if typed and typed.get("do") == "bad":
            return ask_why(request, chosen(typed), BadForm(typed))
        return offer(request, signing.waiting(request.user))
    if "good" in request.POST:
        return sign_tile(request, request.POST["good"])
    keys = chosen(request.POST)
    match request.POST.get("do"):
        case "good" if keys:
            say(request, said(request, keys, Print.Verdict.GOOD), "{} prints are signed off as good.")
        case "bad" if keys:
            return sign_bad(request, keys)
        case "ask" if keys:
            return offer(request, signing.waiting(request.user).filter(pk__in=keys))
        case _:
            messages.warning(request, "None of those that were ticked waits for you.")
    return redirect(back(request, reverse("prints:sign-off")))


def chosen(posted: Any) -> list[int]:
    """The prints that were ticked, and those that ticked printers wait with."""
    given = KeysForm.read(posted)
    return given["print"] + [one.pk for one in last_of(given["printer"]).values()]


def sign_tile(request: HttpRequest, key: str) -> HttpResponse:
    """The button of a tile; the page of the farm is updated at once where a script has sent it."""
    results = said(
        request, [int(key)] if key.isascii() and key.isdecimal() and len(key) < 19 else [], Print.Verdict.GOOD
    )
    if request.htmx and request.htmx.target == "farm" and results and all(result.done for result in results):
        return farm.after(request, results[0].sentence, undoing.address(request.user, results))
    say(request, results)
    there = back(request, reverse("farm"))
    return HttpResponse(headers={"HX-Redirect": there}) if request.htmx else redirect(there)


def sign_bad(request: HttpRequest, keys: list[int]) -> HttpResponse:
    """A page asks why."""
    form = BadForm(request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        say(request, said(request, keys, Print.Verdict.BAD, form), "{} prints are signed off as bad.")
        return redirect(back(request, reverse("prints:sign-off")))
    return ask_why(request, keys, form)


def ask_why(request: HttpRequest, keys: list[int], form: BadForm) -> HttpResponse:
    found = list(signing.waiting(request.user).filter(pk__in=keys).select_related("printer__machine"))
    context = {"prints": found, "form": form, "next": back(request, "")}
    return render(request, "monitoring/prints/bad.html", context, status=400 if form.errors else 200)


def offer(request: HttpRequest, found: Any) -> HttpResponse:
    rows = list(found.select_related("printer__machine", "started_by")[: MANY + 1])
    context = {"prints": rows[:MANY], "more": len(rows) > MANY, "next": back(request, "")}
    return render(request, "monitoring/prints/signoff.html", context)
