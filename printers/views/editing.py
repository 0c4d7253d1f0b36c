from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from core.typed import sent
from printers import control, editing, looking
from printers.forms import EditForm
from printers.saving import Taken
from printers.views.common import find, page, places


@page("GET", "POST")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """All that people decide of a printer. With another address or key, it is asked at once."""
    printer = find(request.user, pk, "manage")
    form = EditForm(sent(request), printer=printer, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            server_changed = editing.change(form)
        except Taken as error:
            form.add_error("address", error.sentence)
        else:
            if server_changed:
                looking.look(printer)
            messages.success(request, f"{printer.name} is saved.")
            return redirect("printers:detail", pk)
    title = find(request.user, pk, "manage") if form.errors else printer
    context = {"form": form, "printer": title, "places": places(request.user)}
    return render(request, "printers/edit.html", context, status=400 if form.errors else 200)


@page("GET", "POST")
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The page of the dialog that asks first."""
    printer = find(request.user, pk, "manage")
    if request.method != "POST":
        return render(request, "printers/delete.html", {"printer": printer})
    for result in control.delete(request.user, [pk]):
        messages.success(request, result.sentence)
    return redirect("printers:list")
