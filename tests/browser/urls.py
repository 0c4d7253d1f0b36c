"""The portal's URLs, the pages that it shows only when something is wrong, and one with every partial."""

from datetime import timedelta
from pathlib import Path

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path
from django.utils import timezone

from core.urls import handler500 as handler500
from printers.states import State
from tests.browser.farms import LONG

COMPONENTS = Path(__file__).parent / "components.html"


def components(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    values = {
        "states": State,
        "printing": State.PRINTING,
        "calling": [State.FINISHED, State.ERROR, State.REFUSED],
        "quiet": [State.READY, State.UNREACHABLE],
        "ago": now - timedelta(minutes=103),
        "later": now + timedelta(hours=14, minutes=10),
        "long": LONG,
        "page": Paginator(range(1060), 25).page(2),
    }
    return HttpResponse(engines["django"].from_string(COMPONENTS.read_text()).render(values, request))


def not_found(request: HttpRequest) -> HttpResponse:
    raise Http404


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def bad_request(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("A page of the tests that breaks while it is made.")


urlpatterns = [
    path("", include("core.urls")),
    path("tests/components/", components, name="components"),
    path("tests/not-found/", not_found, name="not-found"),
    path("tests/forbidden/", forbidden, name="forbidden"),
    path("tests/bad-request/", bad_request, name="bad-request"),
    path("tests/broken/", broken, name="broken"),
]
