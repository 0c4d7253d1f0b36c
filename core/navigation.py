"""The places of every day and the entries of the account's menu, each left out while its page is not there."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True)
class Entry:
    """A word that leads to the URL of this name."""

    name: str
    word: str
    icon: str = ""
    staff: bool = False


# What lies under the thumb on a phone: three at most.
PLACES = [
    Entry("farm", "Farm", "tiles"),
    Entry("printers:list", "Printers", "table"),
    Entry("printers:add", "Add", "plus"),
]
# The same for somebody who is on the old side.
PORTAL = [
    Entry("portal:list", "Printers", "table"),
    Entry("portal:add", "Add", "plus"),
]
ACCOUNT = [
    Entry("profile", "Profile"),
    Entry("alerts:list", "Alerts"),
    Entry("tokens", "API tokens"),
    Entry("prints:list", "Prints"),
    Entry("wall", "Wall screen"),
    Entry("cutover", "Cutover", staff=True),
    Entry("moves", "Moves", staff=True),
    Entry("faults", "Errors", staff=True),
    Entry("admin:index", "Administration", staff=True),
]


@dataclass(frozen=True)
class Link:
    url: str
    word: str
    icon: str
    staff: bool
    current: bool


_number: Callable[[HttpRequest], int] | None = None


def register_number(count: Callable[[HttpRequest], int]) -> None:
    """Let `count(request)` say how many machines need the reader, on pages that don't know it themselves."""
    global _number
    _number = count


def needs_you(request: HttpRequest) -> int:
    return _number(request) if _number and request.user.is_authenticated else 0


def places(request: HttpRequest) -> list[Link]:
    return _links(request, PORTAL if request.path.startswith("/portal/") else PLACES)


def account(request: HttpRequest) -> list[Link]:
    return _links(request, [entry for entry in ACCOUNT if request.user.is_staff or not entry.staff])


def _links(request: HttpRequest, entries: list[Entry]) -> list[Link]:
    urls = {entry: url for entry in entries if (url := _url(entry.name))}
    # /printers/add/ lies under /printers/, so the longest one that leads here is the current one.
    here = max((url for url in urls.values() if _leads_to(url, request.path)), key=len, default=None)
    return [Link(url, entry.word, entry.icon, entry.staff, url == here) for entry, url in urls.items()]


def _url(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def _leads_to(url: str, path: str) -> bool:
    return path == url if url == "/" else path.startswith(url)
