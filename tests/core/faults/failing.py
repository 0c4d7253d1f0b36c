"""A URL map with pages that fail, beside the project's own."""

import logging

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from core.urls import handler500

__all__ = ["handler500"]

NEEDLE = "a key in a message: 0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def repeat(request: HttpRequest) -> HttpResponse:
    """Raises with whatever it was sent."""
    password = request.POST.get("secret_word", "")
    raise RuntimeError(f"{NEEDLE}, {password}, {request.COOKIES}, {request.headers}, {request.get_full_path()}")


def other(request: HttpRequest) -> HttpResponse:
    raise LookupError("another one")


def of_number(request: HttpRequest, number: int) -> HttpResponse:
    raise RuntimeError(f"no printer {number}")


def twice(request: HttpRequest) -> HttpResponse:
    """Two rows with the same address and key: PostgreSQL repeats them in its message."""
    statement = "INSERT INTO printers_printer (ip_address, api_key, ping, printing) VALUES (%s, %s, false, false)"
    with transaction.atomic(), connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(statement, ["192.0.2.7", "rosebud-rosebud"])
    return HttpResponse()


def lived_on(request: HttpRequest) -> HttpResponse:
    try:
        raise TimeoutError("the printer did not answer")
    except TimeoutError:
        logging.getLogger("printers").exception("One of many printers has failed.")
    return HttpResponse("the others are here")


urlpatterns = [
    path("printers/repeat/", repeat),
    path("printers/other/", other),
    path("printers/<int:number>/fail/", of_number),
    path("printers/twice/", twice),
    path("printers/lived-on/", lived_on),
    path("", include("core.urls")),
]
