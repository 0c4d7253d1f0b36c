from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from printers import additions
from printers.fleet.models import Kind
from printers.listing import WORDS, Filters, Listing, keys_for
from printers.states import Group
from printers.views.common import page


@page("GET")
def printers(request: HttpRequest) -> HttpResponse:
    """Table or tiles, whatever the address says."""
    listing = Listing(request.user, Filters.read(request.GET))
    found = listing.page()
    rows = list(found)
    operable = keys_for(request.user, "operate", rows)
    due = additions.due([printer.pk for printer in rows]) if listing.tiles else {}
    for printer in rows:
        printer.operable, printer.due = printer.pk in operable, due.get(printer.pk, "")
    places, tags = listing.choices()
    context = {
        "listing": listing,
        "page": found,
        "rows": rows,
        "counts": [(group, listing.numbers[group]) for group in Group],
        "needs_you": None if listing.filtered else listing.numbers[Group.WAITING] + listing.numbers[Group.ATTENTION],
        "places": places,
        "tags": tags,
        "kinds": Kind.choices,
        "sorts": WORDS.items(),
        "any_operable": bool(operable),
    }
    template = "printers/list.html" if rows or listing.filtered else "printers/empty.html"
    return render(request, template, context)
