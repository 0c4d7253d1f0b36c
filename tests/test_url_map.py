"""Who may see and do what, over the whole URL map; and nobody more when the look-up of rights fails.

A route without a case in `tests/url_map/` fails. Routes of the admin are one family, for its site guards each view
alike, and those of allauth another.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from unittest import mock

import pytest
from django.conf import settings as project
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.shortcuts import resolve_url
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from pytest_django import Settings

from core.sides.models import Side
from tests.url_map import accounts, alerts, api, core, history, maintenance, monitoring, people, portal, printers
from tests.url_map.cases import Case
from tests.url_map.people import Farm

CASES = [*core.CASES, *portal.CASES, *accounts.CASES, *printers.CASES, *monitoring.CASES, *history.CASES, *api.CASES]
CASES += [*alerts.CASES, *maintenance.CASES]
ALLAUTH = ("account_", "mfa_", "usersessions_")
EMPTY: Mapping[str, str] = MappingProxyType({})
RIGHTS = "fleet_role"
"""The table that the look-up of rights reads for whoever is no staff."""

pytestmark = pytest.mark.django_db
cases = pytest.mark.parametrize("case", CASES, ids=str)


def having(**values: Any) -> pytest.MarkDecorator:
    """The cases with these values."""
    found = [case for case in CASES if all(getattr(case, name) == value for name, value in values.items())]
    return pytest.mark.parametrize("case", found, ids=str)


of_printers = pytest.mark.parametrize("case", [case for case in CASES if case.needs], ids=str)
of_forms = pytest.mark.parametrize("case", [case for case in CASES if "POST" in case.methods], ids=str)


def routes(resolver: URLResolver, namespace: str = "") -> Iterator[str]:
    """The names of all routes; of one without a name its pattern, which no case has."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield f"{namespace}{entry.name or entry.pattern}"
        else:
            yield from routes(entry, f"{namespace}{entry.namespace}:" if entry.namespace else namespace)


@pytest.fixture
def farm(settings: Settings, request: pytest.FixtureRequest) -> Farm:
    """Everybody is on the side of the case, and what it names does nothing."""
    case: Case | None = getattr(request.node, "callspec", None) and request.node.callspec.params.get("case")
    settings.CUTOVER_PERCENT = 0 if case and case.side is Side.OLD else 100
    return people.build()


@pytest.fixture(autouse=True)
def _patches(request: pytest.FixtureRequest) -> Iterator[None]:
    callspec = getattr(request.node, "callspec", None)
    case = callspec.params.get("case") if callspec else None
    with contextlib.ExitStack() as stack:
        for name in case.patches if case else ():
            stack.enter_context(mock.patch(name))
        yield


def ask(
    case: Case, farm: Farm, user: User | None, method: str, *, csrf: bool = False, headers: Mapping[str, str] = EMPTY
) -> HttpResponse:
    """What the route answers. Whatever it is, no secret is in it."""
    client = Client(enforce_csrf_checks=csrf, raise_request_exception=False, headers=dict(headers))
    if user:
        client.force_login(user)
    keys = {"printer": farm.printer.pk, "print": farm.print.pk}
    kwargs = {name: keys.get(value, value) for name, value in case.kwargs.items()}
    address, data = reverse(case.route, kwargs=kwargs), dict(case.data)
    if case.api and method != "GET":
        response = client.generic(method, address, json.dumps(data), "application/json", headers=case.headers)
    else:
        response = client.post(address, data) if method == "POST" else client.generic(method, address)
    written = text_of(response)
    assert [secret for secret in people.SECRET if secret in written] == []
    return response


def text_of(response: HttpResponse) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return content.decode(errors="replace") + str(response.headers)


def leads_to_login(response: HttpResponse) -> bool:
    return response.status_code == 302 and response["Location"].partition("?")[0] == resolve_url(project.LOGIN_URL)


def asks_who(case: Case, response: HttpResponse) -> bool:
    """A page leads to the login, and the API says so."""
    return response.status_code == 401 if case.api or case.who == "machines" else leads_to_login(response)


def lets_in(response: HttpResponse) -> bool:
    """The API has a status for what the state of a printer forbids."""
    return response.status_code < 400 or response.status_code == 409


@contextlib.contextmanager
def nothing_changes() -> Iterator[None]:
    before = people.rows()
    yield
    assert people.rows() == before


def test_every_route_has_a_case_and_every_case_a_route() -> None:
    named = sorted(name for name in routes(get_resolver()) if not name.startswith(("admin:", *ALLAUTH)))

    assert sorted({case.route for case in CASES}) == named


@cases
def test_anonymous_people_are_asked_to_log_in(case: Case, farm: Farm) -> None:
    for method in case.methods:
        if case.who == "everybody":
            assert ask(case, farm, None, method).status_code in (case.staff, 200)
            continue
        with nothing_changes():
            response = ask(case, farm, None, method)
        assert asks_who(case, response), f"{method} answers {response.status_code}"


@of_printers
def test_anothers_printer_is_not_there(case: Case, farm: Farm) -> None:
    for method in case.methods:
        with nothing_changes():
            response = ask(case, farm, farm.stranger, method)
        assert response.status_code == 404, method
        assert not any(shown in text_of(response) for shown in people.SHOWN)


@having(who="people", needs=None)
def test_what_is_anothers_is_not_shown(case: Case, farm: Farm) -> None:
    response = ask(case, farm, farm.stranger, case.methods[0])

    assert response.status_code < 400 or response.status_code == case.staff == 404
    assert not any(shown in text_of(response) for shown in people.SHOWN)


@of_printers
def test_who_may_less_is_refused(case: Case, farm: Farm) -> None:
    for user in farm.may_less(str(case.needs)):
        for method in case.methods:
            with nothing_changes():
                response = ask(case, farm, user, method)
            assert response.status_code in (403, 404), f"{method} as somebody who {user}"


@of_printers
def test_who_may_is_let_in(case: Case, farm: Farm) -> None:
    for user in farm.may(str(case.needs)):
        assert lets_in(ask(case, farm, user, case.methods[0])), f"as somebody who {user}"


@of_forms
def test_a_form_without_its_token_is_refused(case: Case, farm: Farm) -> None:
    user = farm.staff if case.who == "staff" else farm.owner
    with nothing_changes():
        assert ask(case, farm, user, "POST", csrf=True).status_code == (410 if case.route == "api:gone" else 403)


@having(who="staff")
def test_pages_of_staff_are_not_there_for_others(case: Case, farm: Farm) -> None:
    for method in case.methods:
        with nothing_changes():
            response = ask(case, farm, farm.owner, method)
        assert response.status_code == 404, method


@cases
def test_staff_gets_in(case: Case, farm: Farm) -> None:
    assert ask(case, farm, farm.staff, case.methods[0]).status_code == case.staff


@cases
def test_nobody_gets_in_when_the_look_up_of_rights_fails(case: Case, farm: Farm) -> None:
    for user in (farm.viewer, farm.owner, farm.stranger):
        for method in case.methods if case.needs else case.methods[:1]:
            with nothing_changes(), failing_rights():
                response = ask(case, farm, user, method)
            assert not case.needs or response.status_code >= 400, f"{method} as somebody who {user}"
            assert not any(shown in text_of(response) for shown in people.SHOWN)


@contextlib.contextmanager
def failing_rights() -> Iterator[None]:
    """The database raises for each statement that reads rights."""

    def fail(execute: Any, statement: str, *rest: Any) -> Any:
        if RIGHTS in statement:
            raise OperationalError("the connection is lost")
        return execute(statement, *rest)

    with connection.execute_wrapper(fail):
        yield


# ----- the admin: its site guards each of its views in the same way

OWN_LOGIN = ("admin:login", "admin:logout", "admin:jsi18n")


def admin_addresses(farm: Farm) -> dict[str, str]:
    """Of every route but its login's, with the key of the printer, which is also that of what hangs on it."""
    names = {name for name in routes(get_resolver()) if name.startswith("admin:")}
    return {name: admin_address(name, farm) for name in sorted(names) if name not in OWN_LOGIN}


def admin_address(route: str, farm: Farm) -> str:
    for args in ([], [farm.printer.pk], [1, farm.printer.pk], ["core"]):
        with contextlib.suppress(NoReverseMatch):
            return reverse(route, args=args)
    # The last route catches whatever no other has.
    return reverse("admin:index") + "no/such/page/"


def logged_in(user: User | None, **options: Any) -> Client:
    client = Client(**options)
    if user:
        client.force_login(user)
    return client


@pytest.mark.parametrize("who", ["anonymous", "owner"])
def test_the_admin_is_for_staff(who: str, farm: Farm) -> None:
    client = logged_in(farm.owner if who == "owner" else None)
    with nothing_changes():
        for name, address in admin_addresses(farm).items():
            for method in ("GET", "POST"):
                response = client.generic(method, address)
                assert response.status_code in (302, 404), f"{method} {name}"
                assert response.status_code == 404 or "login" in response["Location"], f"{method} {name}"


def test_staff_without_a_right_sees_and_changes_nothing_there(farm: Farm) -> None:
    client = logged_in(User.objects.create_user("clerk", is_staff=True))
    with nothing_changes():
        for name, address in admin_addresses(farm).items():
            written = "".join(map(text_of, [client.get(address), client.post(address)]))
            assert not any(shown in written for shown in (*people.SHOWN, *people.SECRET)), name


def test_forms_of_the_admin_need_their_token(farm: Farm) -> None:
    client = logged_in(farm.staff, enforce_csrf_checks=True)
    forms = {name: url for name, url in admin_addresses(farm).items() if name.endswith(("_add", "_change", "_delete"))}

    assert {name: client.post(url).status_code for name, url in forms.items()} == dict.fromkeys(forms, 403)


def test_no_page_of_the_admin_shows_a_key(farm: Farm) -> None:
    client = logged_in(farm.staff, raise_request_exception=False)
    for name, address in admin_addresses(farm).items():
        response = client.get(address)
        assert response.status_code < 500, name
        assert [secret for secret in people.SECRET if secret in text_of(response)] == [], name


# ----- allauth: the pages before somebody is signed in, and those of one's own account

ENTRANCES = {
    "account_login",
    "account_signup",
    "account_logout",
    "account_inactive",
    "account_email_verification_sent",
    "account_confirm_email",
    "account_confirm_login_code",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "mfa_authenticate",
    "mfa_login_webauthn",
}


def account_addresses() -> dict[str, str]:
    given = {"account_confirm_email": ["no-key"], "account_reset_password_from_key": ["1", "no-key"]}
    given |= dict.fromkeys(["mfa_remove_webauthn", "mfa_edit_webauthn"], [1])
    names = [name for name in routes(get_resolver()) if name.startswith(ALLAUTH)]
    return {name: reverse(name, args=given.get(name, [])) for name in names}


def test_pages_of_an_account_are_for_its_owner(farm: Farm) -> None:
    with nothing_changes():
        for name, address in account_addresses().items():
            for method in ("GET", "POST"):
                response = Client().generic(method, address)
                if name in ENTRANCES:
                    assert response.status_code in (200, 302, 404, 405), f"{method} {name}"
                else:
                    assert leads_to_login(response), f"{method} {name}"


def test_pages_of_an_account_show_nothing_of_anothers(farm: Farm) -> None:
    client = logged_in(farm.stranger)
    with nothing_changes():
        for name, address in account_addresses().items():
            response = client.get(address)
            assert response.status_code < 500, name
            assert not any(shown in text_of(response) for shown in (*people.SHOWN, *people.SECRET)), name


def test_forms_of_an_account_need_their_token(farm: Farm) -> None:
    client = logged_in(farm.owner, enforce_csrf_checks=True)

    assert {client.post(address).status_code for address in account_addresses().values()} <= {403, 405}
