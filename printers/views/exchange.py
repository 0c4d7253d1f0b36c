import dataclasses
from typing import Any

import tablib
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from core.typed import sent
from printers import drafts
from printers.exchange import preview as previews
from printers.exchange.formats import CSV, FORMATS, Unreadable, read
from printers.exchange.preview import LARGEST, Line, Verdict
from printers.exchange.resource import PrinterResource
from printers.fleet.models import Draft
from printers.forms import UploadForm
from printers.listing import Filters, Listing
from printers.saving import Taken
from printers.views.common import page

LARGEST_FILE = 5 * 1024 * 1024
PER_PAGE = 50
GONE = "What was uploaded is gone: it was saved, or is older than a day. Choose the file again."


@page("GET")
def export(request: HttpRequest) -> HttpResponse:
    """The printers of the list that the address describes, without keys and passwords."""
    made = FORMATS[request.GET.get("format") if request.GET.get("format") in FORMATS else "csv"]()
    found = Listing(request.user, Filters.read(request.GET)).chosen_ones()
    return download(PrinterResource(reader=request.user).export(found), made, "printers")


def download(dataset: tablib.Dataset, made: Any, name: str) -> HttpResponse:
    response = HttpResponse(made.export_data(dataset), content_type=f"{made.get_content_type()}; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.{made.get_extension()}"'
    return response


@page("GET", "POST")
def upload(request: HttpRequest) -> HttpResponse:
    """A file, which is read and asked about, and not saved."""
    form = UploadForm(sent(request), request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            draft = keep(request, form.cleaned_data["file"])
        except Unreadable as error:
            form.add_error("file", str(error))
        else:
            return redirect("printers:preview", draft.pk)
    return render(request, "printers/import.html", {"form": form}, status=400 if form.errors else 200)


def keep(request: HttpRequest, file: Any) -> Draft:
    if file.size > LARGEST_FILE:
        raise Unreadable(f"The file has {file.size / 1024 / 1024:.0f} MB; 5 MB can be imported at once.")
    dataset = read(file.read(), largest=LARGEST)
    if "address" not in dataset.headers:
        raise Unreadable(f"The file has no column “address”. Its columns: {', '.join(dataset.headers)}.")
    lines = previews.make(dataset, request.user)
    data = {
        "name": file.name,
        "heads": dataset.headers,
        "rows": list(dataset),
        "lines": list(map(dataclasses.asdict, lines)),
    }
    return drafts.keep(request.user, Draft.What.IMPORT, data)


@page("GET", "POST")
def preview(request: HttpRequest, draft: int) -> HttpResponse:
    """What each row would do; then it is done."""
    if request.method == "POST":
        return save_once(request, draft)
    kept = drafts.find(request.user, draft, Draft.What.IMPORT)
    if kept is None:
        return gone(request)
    if is_saved(kept) and not kept.data["lines"]:
        return redirect("printers:list")
    return render(request, "printers/preview.html", context_of(request, kept))


def gone(request: HttpRequest) -> HttpResponse:
    messages.warning(request, GONE)
    return redirect("printers:import")


@transaction.atomic
def save_once(request: HttpRequest, draft: int) -> HttpResponse:
    """Who clicks twice waits for the first click, and is told what came of it."""
    kept = drafts.find(request.user, draft, Draft.What.IMPORT, lock=True)
    if kept is None:
        return gone(request)
    return done(request, kept) if is_saved(kept) else save(request, kept)


def save(request: HttpRequest, kept: Draft) -> HttpResponse:
    """What is wrong stays, without its keys, to be downloaded."""
    lines = lines_of(kept)
    try:
        lines = previews.save(dataset_of(kept), lines, request.user)
    except Taken as error:
        messages.error(request, f"{error.sentence} Nothing was saved; choose the file again.")
        return redirect("printers:preview", kept.pk)
    count = sum(line.saved for line in lines)
    wrong = [line for line in lines if line.verdict == Verdict.WRONG]
    left = previews.wrong_rows(dataset_of(kept), lines)
    again = [dataclasses.asdict(dataclasses.replace(line, number=n)) for n, line in enumerate(wrong, 1)]
    kept.data = {"name": kept.data["name"], "heads": left.headers, "rows": list(left), "lines": again, "saved": count}
    kept.save()
    return done(request, kept)


def is_saved(kept: Draft) -> bool:
    return "saved" in kept.data


def done(request: HttpRequest, kept: Draft) -> HttpResponse:
    count = kept.data["saved"]
    messages.success(request, f"{count:,} printer{'' if count == 1 else 's'} {'is' if count == 1 else 'are'} saved.")
    return redirect("printers:preview", kept.pk) if kept.data["lines"] else redirect("printers:list")


@page("GET")
def wrong(request: HttpRequest, draft: int) -> HttpResponse:
    """The rows that are left out, with a column that says why."""
    kept = drafts.find(request.user, draft, Draft.What.IMPORT)
    if kept is None:
        return gone(request)
    rows = dataset_of(kept) if is_saved(kept) else previews.wrong_rows(dataset_of(kept), lines_of(kept))
    return download(rows, CSV(), "wrong-rows")


def lines_of(kept: Draft) -> list[Line]:
    return [Line(**line) for line in kept.data["lines"]]


def dataset_of(kept: Draft) -> tablib.Dataset:
    return tablib.Dataset(*kept.data["rows"], headers=kept.data["heads"])


def context_of(request: HttpRequest, kept: Draft) -> dict[str, Any]:
    lines = lines_of(kept)
    counts = {verdict: sum(line.verdict == verdict for line in lines) for verdict in Verdict}
    chosen = request.GET.get("show", "")
    shown = [line for line in lines if line.verdict == chosen] if chosen in counts else lines
    return {
        "draft": kept,
        "name": kept.data["name"],
        "saved": kept.data.get("saved"),
        "total": len(lines),
        "new": counts[Verdict.NEW],
        "changed": counts[Verdict.CHANGED],
        "same": counts[Verdict.SAME],
        "wrong": counts[Verdict.WRONG],
        "savable": counts[Verdict.NEW] + counts[Verdict.CHANGED],
        "chosen": chosen,
        "page": Paginator(shown, PER_PAGE).get_page(request.GET.get("page")),
    }
