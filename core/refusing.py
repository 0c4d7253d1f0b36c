"""What no page of the portal is asked for by a person."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse


class NoNulMiddleware:
    """Refuses addresses with the character NUL: PostgreSQL's texts can't have it, so every search would fail on it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        texts = [request.path_info, *request.GET, *(text for name in request.GET for text in request.GET.getlist(name))]
        if any("\0" in text for text in texts):
            raise BadRequest
        return self.get_response(request)
