"""How pages look for somebody: kept in the session, so that no page asks the database for it."""

import zoneinfo
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts.people.models import Person

KEY = "look"


class LookMiddleware:
    """Sets `request.look`, and the reader's time zone until the answer is there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        look = request.session.get(KEY) or {}
        request.look = SimpleNamespace(theme=look.get("theme", ""), density=look.get("density", ""))  # type: ignore[attr-defined]
        with timezone.override(zone_of(look.get("time_zone"))):
            return self.get_response(request)


def zone_of(name: str | None) -> zoneinfo.ZoneInfo | None:
    """None for none, and for a name that this machine has no zone of: listing all of them takes longer than a page."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def remember(request: HttpRequest, person: Person) -> None:
    request.session[KEY] = {name: getattr(person, name) for name in ("theme", "density", "time_zone")}


def remember_at_login(sender: Any, request: HttpRequest | None, user: Any, **given: Any) -> None:
    person = Person.objects.filter(profile__user=user).first()
    if request is not None and person:
        remember(request, person)
