"""Adding a printer: address and key, what was found, name and place. Nothing is saved before the last step."""

import dataclasses
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from core.typed import sent
from printers import drafts, editing
from printers.clients import asking
from printers.clients.appkeys import EVERY_S, Answer
from printers.clients.base import Credentials, PrinterError
from printers.clients.probing import Found
from printers.fleet.models import Draft
from printers.forms import MachineForm, ServerForm
from printers.saving import Taken, find_same
from printers.states import State
from printers.views.common import page, places

GONE = "What was typed is gone: it was saved, or is older than a day. Begin again."


@page("GET", "POST")
def add(request: HttpRequest) -> HttpResponse:
    """Ask what answers at an address; or let OctoPrint ask for a key."""
    initial = {name: request.GET.get(name, "") for name in ("address", "user")}
    form = ServerForm(sent(request), initial=initial)
    if request.method != "POST" or not form.is_valid():
        return render(request, "printers/add.html", {"form": form}, status=400 if form.errors else 200)
    typed = form.cleaned_data
    if same := find_same(request.user, typed["address"]):
        return render(request, "printers/add.html", {"form": form, "same": same})
    if "appkey" in request.POST:
        return ask_for_key(request, form)
    return look(request, form, typed)


def look(request: HttpRequest, form: ServerForm, typed: dict[str, Any]) -> HttpResponse:
    found = asking.find_kind(typed["address"], credentials_of(typed))
    if not found.can_be_added:
        return render(request, "printers/add.html", {"form": form, "found": found, "symbol": symbol_of(found)})
    draft = drafts.keep(request.user, Draft.What.ADD, typed | {"found": dataclasses.asdict(found)})
    return redirect("printers:found", draft.pk)


def credentials_of(typed: dict[str, Any]) -> Credentials:
    return Credentials(typed["key"], typed["user"], typed["password"])


def symbol_of(found: Found) -> str:
    """The state that a note is coloured by."""
    return found.state.value


def ask_for_key(request: HttpRequest, form: ServerForm) -> HttpResponse:
    typed = form.cleaned_data
    try:
        asked = asking.ask_for_key(typed["address"])
    except PrinterError as error:
        problem = Found(error.sentence, error.hint, state=error.state or State.ATTENTION)
        return render(request, "printers/add.html", {"form": form, "found": problem, "symbol": symbol_of(problem)})
    draft = drafts.keep(request.user, Draft.What.ADD, typed | {"token": asked.token, "dialog": asked.dialog})
    return redirect("printers:key", draft.pk)


@page("GET")
def key(request: HttpRequest, draft: int) -> HttpResponse:
    """Waits until somebody has said yes on OctoPrint's own page, asked again every two seconds."""
    kept = drafts.find(request.user, draft, Draft.What.ADD)
    if kept is None or "token" not in kept.data:
        return begin_again(request)
    try:
        decision = asking.key_of(kept.data["address"], kept.data["token"])
    except PrinterError as error:
        messages.warning(request, f"{error.sentence} {error.hint}".strip())
        return leave(request, reverse("printers:add"))
    if decision.answer is Answer.WAITING:
        template = "printers/_key.html" if request.htmx else "printers/key.html"
        return render(request, template, {"draft": kept, "every": EVERY_S})
    if decision.answer is Answer.NO:
        messages.warning(request, "OctoPrint gave no key: somebody said no, or nobody said anything in time.")
        return leave(request, reverse("printers:add"))
    return with_key(request, kept, decision.key)


def with_key(request: HttpRequest, kept: Draft, key: str) -> HttpResponse:
    typed = {name: kept.data[name] for name in ("address", "user", "password")} | {"key": key}
    found = asking.find_kind(typed["address"], credentials_of(typed))
    if not found.can_be_added:
        messages.warning(request, f"{found.sentence} {found.hint}".strip())
        return leave(request, reverse("printers:add"))
    kept.data = typed | {"found": dataclasses.asdict(found)}
    kept.save()
    return leave(request, reverse("printers:found", args=[kept.pk]))


def leave(request: HttpRequest, there: str) -> HttpResponse:
    """For a page, and for a part of one that htmx has asked for."""
    if request.htmx:
        return HttpResponse(headers={"HX-Redirect": there})
    return redirect(there)


def begin_again(request: HttpRequest) -> HttpResponse:
    messages.warning(request, GONE)
    return redirect("printers:add")


@page("GET")
def found(request: HttpRequest, draft: int) -> HttpResponse:
    """One sentence, and what the server says of itself. Nothing is saved yet."""
    kept = drafts.find(request.user, draft, Draft.What.ADD)
    if kept is None or "found" not in kept.data:
        return begin_again(request)
    seen = kept.data["found"]["seen"]
    context = {"draft": kept, "address": kept.data["address"], "found": kept.data["found"], "seen": seen}
    return render(request, "printers/found.html", context | {"temperatures": seen["temperatures"]})


@page("GET", "POST")
def name(request: HttpRequest, draft: int) -> HttpResponse:
    """What people call it; then it is saved, with what was seen of it."""
    if request.method == "POST":
        return save_once(request, draft)
    kept = drafts.find(request.user, draft, Draft.What.ADD)
    if kept is None or "found" not in kept.data:
        return begin_again(request)
    return ask_name(request, kept, MachineForm(sent(request), user=request.user))


@transaction.atomic
def save_once(request: HttpRequest, draft: int) -> HttpResponse:
    """Who clicks twice waits for the first click, and is told what came of it."""
    kept = drafts.find(request.user, draft, Draft.What.ADD, lock=True)
    if kept and "saved" in kept.data:
        return added(request, kept)
    if kept is None or "found" not in kept.data:
        return begin_again(request)
    form = MachineForm(request.POST, user=request.user)
    if not form.is_valid():
        return ask_name(request, kept, form)
    try:
        printer = editing.add(request.user, kept.data, kept.data["found"], form)
    except Taken as error:
        form.add_error(None, error.sentence)
        return ask_name(request, kept, form)
    kept.data = {"saved": printer.pk, "name": printer.name}
    kept.save()
    return added(request, kept)


def added(request: HttpRequest, kept: Draft) -> HttpResponse:
    messages.success(request, f"{kept.data['name']} is in the farm.")
    return redirect("printers:add") if "more" in request.POST else redirect("printers:detail", kept.data["saved"])


def ask_name(request: HttpRequest, kept: Draft, form: MachineForm) -> HttpResponse:
    context = {"form": form, "draft": kept, "places": places(request.user)}
    return render(request, "printers/name.html", context, status=400 if form.errors else 200)
