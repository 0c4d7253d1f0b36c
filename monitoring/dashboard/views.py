import json
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from core.sides.middleware import read as lead_over
from core.sides.models import Side
from monitoring.dashboard import numbers, sight
from monitoring.dashboard.board import WALL, Board, Chosen, Limits
from monitoring.prints.forms import BadForm
from printers.views.common import page

FARM = Limits()


@page("GET")
def farm(request: HttpRequest) -> HttpResponse:
    """The farm at a glance, which then asks for itself."""
    return render(request, "monitoring/farm.html", context(request, "farm", FARM))


@page("GET")
def wall(request: HttpRequest) -> HttpResponse:
    """The same for a screen on the wall: numbers and tiles, nothing to press."""
    return render(request, "monitoring/wall.html", context(request, "wall", WALL))


@page("GET")
def farm_live(request: HttpRequest) -> HttpResponse:
    return live(request, "farm", FARM, "monitoring/_live.html")


@page("GET")
def wall_live(request: HttpRequest) -> HttpResponse:
    return live(request, "wall", WALL, "monitoring/_wall.html")


def live(request: HttpRequest, what: str, limits: Limits, template: str) -> HttpResponse:
    """What has changed; 304 where nothing has, which takes one read."""
    chosen = Chosen.read(request.GET)
    seen = sight.look(request.user)
    etag = seen.etag(what, chosen)
    if unchanged := get_conditional_response(request, etag=etag):
        return unchanged
    if elsewhere := lead_over(request, Side.NEW):
        return elsewhere
    response = render(request, template, made(request, chosen, limits, seen, etag))
    response["ETag"] = etag
    return response


def after(request: HttpRequest, sentence: str, undo: str) -> HttpResponse:
    """The farm as the page shows it that somebody has pressed a button on, with what was done and how to undo it."""
    here = urlsplit(request.htmx.current_url or "")
    chosen = Chosen.read(QueryDict(here.query))
    seen = sight.look(request.user)
    context = made(request, chosen, FARM, seen, seen.etag("farm", chosen))
    said = {"message": sentence, "undo": undo, "here": here._replace(scheme="", netloc="").geturl()}
    return render(request, "monitoring/_after.html", context | said)


def context(request: HttpRequest, what: str, limits: Limits) -> dict[str, Any]:
    chosen = Chosen.read(request.GET)
    seen = sight.look(request.user)
    return made(request, chosen, limits, seen, seen.etag(what, chosen))


def made(request: HttpRequest, chosen: dict[str, str], limits: Limits, seen: sight.Sight, etag: str) -> dict[str, Any]:
    """The tag was read before the board, so the board is as new as the tag, or newer."""
    board = Board(request.user, chosen, limits)
    numbers.remember(request.user, board.needs_you)
    headers = json.dumps({"If-None-Match": etag})
    shown = {"board": board, "needs_you": board.needs_you, "asleep_since": seen.asleep_since}
    return shown | {"headers": headers, "bad_form": BadForm()}
