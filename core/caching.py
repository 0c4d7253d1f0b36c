"""Pages of somebody who is logged in stay in no cache: after the log-out, the back button shows none of them."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import add_never_cache_headers


class PrivateMiddleware:
    """For every page that says nothing of caches itself, those of installed apps among them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # By the cookie alone, so that no page asks the database for it.
        known = settings.SESSION_COOKIE_NAME in request.COOKIES
        is_page = response.get("Content-Type", "").startswith("text/html")
        if known and is_page and not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response
