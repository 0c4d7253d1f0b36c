"""Sends each request to the side where its user is."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, HttpResponseRedirect
from django.utils.cache import add_never_cache_headers

from core.moves import standing
from core.sides import addresses, deciding
from core.sides.models import Side

SAFE = ("GET", "HEAD")
# For good, and yet a retirement can be undone: browsers ask again after an hour.
PERMANENT_AGE = "private, max-age=3600"
NOT_SAVED = "This page has moved here, and what was sent from its old address is not saved. Enter it here."


class SidesMiddleware:
    """Reading leads to the user's side. What a form sends is taken wherever it was opened, so nothing typed is lost.

    No cache keeps an answer of either side, for the next one may be the other side's.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.side = page = addresses.side_of_page(request.path_info)
        if page is None:
            return self.get_response(request)
        if redirect := read(request, page) if request.method in SAFE else write(request, page):
            return redirect
        response = self.get_response(request)
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response


def read(request: HttpRequest, page: Side) -> HttpResponse | None:
    """A redirect where the user is on the other side."""
    uses = standing.uses_of(standing.PRINTERS)
    if page is Side.OLD and standing.is_retired(standing.PRINTERS):
        return moved_for_good(request)
    if side(request, page, uses) is page or (addresses.is_begun(request.path_info) and uses != "source"):
        return None
    return send_over(request)


def side(request: HttpRequest, page: Side, uses: standing.Uses) -> Side:
    """Who is not logged in stays, and is asked to log in there, until everybody is over."""
    if uses != "both":
        return Side.OLD if uses == "source" else Side.NEW  # Nobody is sent to a table that is not in use.
    if request.user.is_authenticated:
        return deciding.side_of(request.user)
    return Side.NEW if page is Side.OLD and deciding.is_everybody_over() else page


def write(request: HttpRequest, page: Side) -> HttpResponse | None:
    """A redirect where the old table is in use no more, and no view has its name."""
    if page is Side.NEW or standing.takes_writes(standing.PRINTERS):
        return None
    messages.warning(request, NOT_SAVED)
    return send_over(request)


def send_over(request: HttpRequest) -> HttpResponse:
    """To the same page on the other side, with what was asked for."""
    if request.headers.get("HX-Request") == "true":
        # A part of a page was asked for; the other side has no such part, so the page is loaded anew.
        response = HttpResponse(headers={"HX-Refresh": "true"})
    else:
        response = HttpResponseRedirect(where(request))
    add_never_cache_headers(response)
    return response


def moved_for_good(request: HttpRequest) -> HttpResponse:
    """The old table is a view by now, or gone."""
    return HttpResponsePermanentRedirect(where(request), headers={"Cache-Control": PERMANENT_AGE})


def where(request: HttpRequest) -> str:
    query = request.META.get("QUERY_STRING", "")
    return addresses.counterpart(request.path_info) + (f"?{query}" if query else "")
