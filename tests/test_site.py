"""The pages that the tests in the browser look at are pages, and nothing that they name is gone."""

import pytest
from django.test import Client
from pytest_django import Settings

from core.sides.models import Side
from printers.clients.appkeys import Answer, Decision
from tests.browser import farms, site
from tests.browser.people import sign_in
from tests.test_url_map import CASES, account_addresses

every_page = pytest.mark.parametrize("place", site.pages(), ids=str)


@every_page
def test_a_page_is_html(
    place: site.Place, db: None, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROOT_URLCONF = site.URLS
    settings.CUTOVER_PERCENT = 0 if place.side is Side.OLD else 100
    client.raise_request_exception = False
    monkeypatch.setattr("printers.clients.asking.files", lambda endpoint: [])
    monkeypatch.setattr("printers.clients.asking.key_of", lambda address, token: Decision(Answer.WAITING))
    farm = farms.build(3 if place.of_a_printer else 1)
    if place.signed_in:
        sign_in(client, farm.owner)

    response = client.get(place.path(farm))

    assert response.status_code == place.status
    assert response["Content-Type"].startswith("text/html"), "Say in NO_PAGE of tests/browser/site.py what it is."


def test_every_page_of_an_account_is_looked_at_or_a_step_of_another() -> None:
    assert account_addresses().keys() == site.ENTRANCES | site.OF_ACCOUNTS | site.STEPS


def test_nothing_is_named_that_is_not_in_the_url_map() -> None:
    routes = {case.route for case in CASES}

    assert site.NO_PAGE.keys() | site.VARIANTS.keys() <= routes


def test_every_case_that_shows_a_page_is_looked_at() -> None:
    looked_at = {place.route for place in site.pages()}

    shown = {case.route for case in CASES if "GET" in case.methods and case.staff == 200 and not case.api}
    assert shown <= looked_at | site.NO_PAGE.keys()
