"""What somebody has typed after their session had ended, or on a page that was opened before they signed in.

The session that leads to the login keeps it for an hour. The form then shows it again, and nothing is saved by that.
"""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

KEY = "typed"
KEPT_S = 3600.0
LARGEST = 20_000
SECRET = re.compile("key|passw|token|secret|code", re.IGNORECASE)
"""Fields that no page shows again, and that are kept nowhere else."""
HERE = "You had to sign in again, so nothing is saved yet. What you typed is still here."
AGAIN = "You had to sign in again, so nothing was done. Press it once more."


class TypedMiddleware:
    """Sets `request.typed`: what was typed for the page that is opened, or None."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        kept = take(request)
        request.typed = QueryDict(kept["typed"]) if kept else None  # type: ignore[attr-defined]
        response = self.get_response(request)
        if leads_to_login(response):
            keep(request)
        elif kept and response.status_code == 405:
            # A button, whose address is no page.
            messages.warning(request, AGAIN)
            return redirect(kept["from"])
        return response


def sent(request: HttpRequest) -> Any:
    """What a form was filled in with, now or before the login; None where it is opened."""
    if request.method == "POST":
        return request.POST
    typed = getattr(request, "typed", None)
    if typed is not None:
        messages.warning(request, HERE)
    return typed


def keep(request: HttpRequest) -> bool:
    """What was posted, without its secrets; False where that is nothing, or too much."""
    if request.method != "POST":
        return False
    typed = request.POST.copy()
    for name in [name for name in typed if SECRET.search(name)]:
        del typed[name]
    text = typed.urlencode()
    if len(text) > LARGEST:
        return False
    there = {"path": request.get_full_path(), "from": came_from(request), "typed": text, "at": time.time()}
    request.session[KEY] = there
    return True


def take(request: HttpRequest) -> Any:
    """Once, on the page for which it is."""
    kept = request.session.get(KEY)
    if not kept or request.method != "GET" or kept["path"] != request.get_full_path():
        return None
    if not request.user.is_authenticated:
        return None
    del request.session[KEY]
    return kept if time.time() - kept["at"] < KEPT_S else None


def leads_to_login(response: HttpResponse) -> bool:
    """And back: whoever has just signed out is led there as well, for good."""
    there = urlsplit(response.get("Location", ""))
    return response.status_code == 302 and there.path == resolve_url(settings.LOGIN_URL) and "next=" in there.query


def came_from(request: HttpRequest) -> str:
    """The page whose button was pressed, if it is one of ours."""
    for there in (request.POST.get("next", ""), request.headers.get("Referer", "")):
        if is_ours(request, there):
            return there
    return "/"


def is_ours(request: HttpRequest, there: str) -> bool:
    """Whether it is the address of a page of the portal. Without a slash, Django would look for a page of that name."""
    return "/" in there and url_has_allowed_host_and_scheme(there, {request.get_host()}, request.is_secure())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Whoever signed in elsewhere meanwhile finds what they typed on a page that is theirs."""
    ours = urlsplit(request.headers.get("Origin", "")).netloc == request.get_host()
    if ours and request.user.is_authenticated and request.htmx:
        return load_anew(request)
    if ours and request.user.is_authenticated and keep(request):
        return redirect(request.get_full_path())
    return render(request, "403_csrf.html", status=403)


def load_anew(request: HttpRequest) -> HttpResponse:
    """For a part of a page whose session is not the page's any more. What was pressed was not done, and is said so."""
    if request.method == "POST":
        messages.warning(request, AGAIN)
    return HttpResponse(headers={"HX-Refresh": "true"})
