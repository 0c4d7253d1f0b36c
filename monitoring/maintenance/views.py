"""The log of a machine and its planned work: whoever may view it reads, operate records, manage plans."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from core.typed import sent
from monitoring.maintenance import actions, due
from monitoring.maintenance.forms import EntryForm, TaskForm
from monitoring.maintenance.models import Entry, Task
from monitoring.maintenance.pages import tasks_of
from printers.models import Printer
from printers.views.common import find, page, rights

ROWS = 50


@page("GET")
def log(request: HttpRequest, pk: int) -> HttpResponse:
    printer = find(request.user, pk, "view")
    entries = Entry.objects.filter(printer=printer)
    shown = Paginator(entries, ROWS).get_page(request.GET.get("page"))
    context = {
        "printer": printer, "rights": rights(request.user, printer), "tasks": tasks_of(printer), "page": shown,
        "cost": entries.aggregate(cost=Sum("cost"))["cost"],
    }  # fmt: skip
    return render(request, "maintenance/log.html", context)


@page("GET", "POST")
def record(request: HttpRequest, pk: int) -> HttpResponse:
    printer = find(request.user, pk, "operate")
    initial = {"done_at": timezone.localtime(), "tasks": request.GET.getlist("task")}
    tasks = Task.objects.filter(printer=printer)
    form = EntryForm(sent(request), initial=initial, tasks=tasks)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        actions.record(
            request.user, printer, data["what"], data["done_at"], tasks=data.get("tasks") or (), parts=data["parts"],
            cost=data["cost"],
        )  # fmt: skip
        messages.success(request, f"It is in the log of {printer.name}.")
        return redirect("maintenance:log", pk)
    return fill_in(request, printer, form, "record")


@page("GET", "POST")
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    """For the printer, and for those of its model if that is ticked."""
    printer = find(request.user, pk, "manage")
    alike = same_model(request.user, printer)
    form = TaskForm(
        sent(request), initial={"done_at": timezone.localtime()}, model=printer.known.model, alike=len(alike)
    )
    if request.method == "POST" and form.is_valid():
        made = actions.plan(form.save(commit=False), [printer, *(alike if form.cleaned_data.get("also") else [])])
        messages.success(request, told(form.instance.what, made))
        return redirect("maintenance:log", pk)
    return fill_in(request, printer, form, "plan")


def told(what: str, made: int) -> str:
    if not made:
        return f"“{what}” was planned already."
    return f"“{what}” is planned." if made == 1 else f"“{what}” is planned for {made} printers."


def same_model(user: Any, printer: Printer) -> list[Printer]:
    """Others of its model that `user` may manage; none where nobody has said its model."""
    if not printer.known.model:
        return []
    others = Printer.objects.for_user(user, "manage").filter(machine__model__iexact=printer.known.model)
    return list(others.exclude(pk=printer.pk).order_by("pk").only("pk"))


@page("GET", "POST")
def edit(request: HttpRequest, pk: int, task: int) -> HttpResponse:
    printer = find(request.user, pk, "manage")
    planned = of_printer(printer, task)
    form = TaskForm(sent(request), instance=planned)
    if request.method == "POST" and form.is_valid():
        form.save()
        due.count([printer.pk])
        messages.success(request, f"“{planned.what}” is saved.")
        return redirect("maintenance:log", pk)
    return fill_in(request, printer, form, "edit", planned)


@page("POST")
def delete(request: HttpRequest, pk: int, task: int) -> HttpResponse:
    """What was done stays in the log. Whoever comes second finds it gone."""
    printer = find(request.user, pk, "manage")
    for planned in Task.objects.filter(printer=printer, pk=task):
        planned.delete()
        messages.success(request, f"“{planned.what}” is planned no more.")
    return redirect("maintenance:log", pk)


def of_printer(printer: Printer, task: int) -> Task:
    if found := Task.objects.filter(printer=printer, pk=task).first():
        return found
    raise Http404


def fill_in(request: HttpRequest, printer: Printer, form: Any, what: str, task: Task | None = None) -> HttpResponse:
    context = {"printer": printer, "form": form, "what": what, "task": task}
    return render(request, "maintenance/form.html", context, status=400 if form.errors else 200)
