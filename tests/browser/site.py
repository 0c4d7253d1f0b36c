"""Every page of the portal: the routes of `tests/url_map` that show one, and what is shown when something is wrong.

A case there makes its page known here by itself. What answers a GET and is no page is named in NO_PAGE; a page that
looks otherwise with another query has it in VARIANTS.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse

from core.sides.models import Side
from tests.browser import drafts
from tests.browser.farms import Farm
from tests.browser.upkeep import OWN
from tests.test_url_map import CASES, account_addresses
from tests.url_map.cases import Case

URLS = "tests.browser.urls"

# Routes that answer a GET, and why there is nothing to look at.
NO_PAGE = {
    "health": "JSON",
    "healthz": "JSON",
    "readyz": "JSON",
    "portal:export": "a file",
    "printers:export": "a file",
    "printers:now": "a part of the page of a printer",
    "history:chart": "a part of the page of a printer",
    "history:csv": "a file",
    "api:docs": "Swagger UI, which is not ours; test_api.py looks at it",
    "farm-live": "a part of the page of the farm",
    "wall-live": "a part of the wall",
}

# Pages about what somebody has typed or uploaded, and the draft of tests/browser/farms.py that each shows.
DRAFTS = {
    "printers:found": "found",
    "printers:key": "key",
    "printers:name": "found",
    "printers:preview": "import",
}

# Queries under which a route is another page, by the name that its pictures get.
VARIANTS: dict[str, dict[str, str]] = {
    "farm": {"farm-by-place": "?by=place", "farm-waiting": "?state=waiting", "farm-off": "?state=off"},
    "cutover": {"cutover-ask": "?ask=back&percent=30", "cutover-nobody": "?q=nobody"},
    "faults": {"faults-none": "?q=nothing"},
    "prints:list": {"prints:none-found": "?q=kestrell"},
    "printers:list": {"printers:tiles": "?view=tiles", "printers:none-found": "?q=kestrell"},
}

# django-allauth's pages for people who are not signed in, and for those who are.
ENTRANCES = {
    "account_login",
    "account_signup",
    "account_inactive",
    "account_email_verification_sent",
    "account_confirm_email",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
}
OF_ACCOUNTS = {
    "account_logout",
    "account_reauthenticate",
    "account_email",
    "account_change_password",
    "mfa_index",
    "mfa_activate_totp",
    "mfa_list_webauthn",
    "mfa_add_webauthn",
    "usersessions_list",
}
# They need what only a step before them leaves behind, or are posted to.
STEPS = {
    "account_confirm_login_code",
    "account_confirm_reauthentication_code",
    "account_request_reauthentication_code",
    "account_set_password",
    "mfa_authenticate",
    "mfa_deactivate_totp",
    "mfa_download_recovery_codes",
    "mfa_edit_webauthn",
    "mfa_generate_recovery_codes",
    "mfa_login_webauthn",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
}

# Routes of tests/browser/urls.py, with their status.
OF_TESTS = {"components": 200, "not-found": 404, "forbidden": 403, "bad-request": 400, "broken": 500}

# Pages that show printers; how many there are makes no difference to the others.
OF_PRINTERS = ("farm", "wall", "prints:", "printers:", "portal:", "components")


@dataclass(frozen=True)
class Place:
    """A page, and who has to be where to see it."""

    name: str
    route: str
    query: str = ""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    signed_in: bool = True
    side: Side = Side.NEW

    def __str__(self) -> str:
        return self.name.replace(":", "-")

    @property
    def of_a_printer(self) -> bool:
        return bool({"printer", "print"} & set(self.kwargs.values()))

    @property
    def sizes(self) -> list[str]:
        """The farms of tests/browser/farms.py that it is looked at with."""
        if self.of_a_printer or not self.route.startswith(OF_PRINTERS):
            return ["three"]
        return ["none", "three", "many"]

    def path(self, farm: Farm) -> str:
        if self.route in ENTRANCES | OF_ACCOUNTS:
            return account_addresses()[self.route]
        keys = {"printer": farm.printers[0].pk, "print": farm.waiting} if farm.printers else {}
        kwargs = {name: keys.get(value, value) for name, value in self.kwargs.items()}
        if self.route in DRAFTS:
            kwargs = {"draft": drafts.of(farm.owner, DRAFTS[self.route])}
        if self.route in OWN:
            name, model = OWN[self.route]
            kwargs = {name: model.objects.filter(user=farm.owner).order_by("-pk")[0].pk}
        return reverse(self.route, kwargs=kwargs or None) + self.query


def pages() -> list[Place]:
    return [
        *(place for case in CASES if shows_a_page(case) for place in places_of(case)),
        *(Place(name, name, signed_in=name in OF_ACCOUNTS) for name in sorted(ENTRANCES | OF_ACCOUNTS)),
        *(Place(name, name, status=status) for name, status in OF_TESTS.items()),
    ]


def shows_a_page(case: Case) -> bool:
    return (
        "GET" in case.methods
        and not case.api
        and case.route not in NO_PAGE
        and (case.staff == 200 or case.route in DRAFTS or case.route in OWN)
    )


def places_of(case: Case) -> Iterator[Place]:
    for name, query in {case.route: "", **VARIANTS.get(case.route, {})}.items():
        yield Place(
            name,
            case.route,
            query=query,
            kwargs=case.kwargs,
            signed_in=case.who != "everybody",
            side=case.side,
        )
