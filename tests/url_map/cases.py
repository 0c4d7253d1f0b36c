"""What each route answers to whom: a case for each name of the URL map, or two where methods need different rights.

`tests/test_url_map.py` fails on a route without a case. Add a case to the module of its app:

    of_printer("printers:pause", needs="operate", methods=POST, patches=["printers.views.control.pause"])
    for_people("printers:list")
    open_to_all("account_login", methods=GET_AND_POST)
    for_staff("cutover", methods=GET_AND_POST)
    for_machines("metrics")

Each says who gets in; the tests ask as everybody else too, with every method of the case.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from core.rights import Action
from core.sides.models import Side

GET = ("GET",)
POST = ("POST",)
GET_AND_POST = ("GET", "POST")
Who = Literal["everybody", "people", "staff", "machines"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A route, and who may do what there."""

    route: str
    """Its name, with its namespace."""
    who: Who
    needs: Action | None = None
    """What somebody must be allowed to do with the printer in its address; None where there is none."""
    kwargs: Mapping[str, Any]
    """Of its address; the texts "printer" and "print" stand for the keys of the printer and of its print."""
    methods: Sequence[str]
    data: Mapping[str, Any]
    """What is sent by POST."""
    staff: int
    """The status that staff gets, by the first of its methods."""
    side: Side
    """Where people must be to get there by GET."""
    api: bool
    """Whether it takes JSON and answers errors in it, where a page leads to the login."""
    headers: Mapping[str, str]
    """That are sent along."""
    patches: Sequence[str]
    """Names of functions that do nothing meanwhile: those that would call a printer or begin a thread."""

    def __str__(self) -> str:
        return self.route


def _case(route: str, who: Who, needs: Action | None = None, **options: Any) -> Case:
    methods = options.get("methods", GET)
    defaults = {
        "kwargs": {"pk": "printer"} if needs else {},
        "methods": GET,
        "data": {},
        "staff": 200 if "GET" in methods else 302,
        "side": Side.NEW,
        "api": False,
        "headers": {},
        "patches": (),
    }
    return Case(route=route, who=who, needs=needs, **defaults | options)


def of_printer(route: str, *, needs: Action, **options: Any) -> Case:
    """A printer's own: 404 to whoever may not see it, 403 or 404 to whoever may see it and not do this."""
    return _case(route, "people", needs, **options)


def for_people(route: str, **options: Any) -> Case:
    """For whoever is logged in; shows nobody what is another's."""
    return _case(route, "people", **options)


def for_staff(route: str, **options: Any) -> Case:
    """For staff; to everybody else it is not there."""
    return _case(route, "staff", **options)


def for_machines(route: str, **options: Any) -> Case:
    """For programs with a token or from an allowed network; 401 to people, whoever they are."""
    return _case(route, "machines", **{"staff": 401} | options)


def open_to_all(route: str, **options: Any) -> Case:
    """Without logging in."""
    return _case(route, "everybody", **options)
