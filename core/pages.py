"""The pages of what went wrong; CSRF failures, 404 and 403 are Django's own views with our templates."""

import sys

from django.http import HttpRequest, HttpResponseServerError
from django.template import loader

from core.faults.seeing import fingerprint_of, number_of


def server_error(request: HttpRequest) -> HttpResponseServerError:
    """handler500: no database, no session and no context but the number of the fault, where it has one."""
    error = sys.exception()
    number = number_of(fingerprint_of(error)) if error else ""
    return HttpResponseServerError(loader.get_template("500.html").render({"number": number}))
