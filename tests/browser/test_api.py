"""The pages of tokens and of the API with a browser: under the policy of the portal, without a complaint."""

import re

import pytest
from django.test import Client

from api.models import Token
from tests.browser import farms
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def farm(transactional_db: None) -> farms.Farm:
    return farms.build(1)


def test_a_token_is_made_copied_used_and_revoked(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/profile/tokens/", farm.owner, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("What is it for").fill("Grafana")
    page.get_by_role("button", name="Make the token").click()
    text = page.get_by_label("The token").input_value()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == text
    assert Client().get("/api/v1/printers/", headers={"Authorization": f"Bearer {text}"}).status_code == 200

    page.get_by_role("link", name="Revoke… Grafana").click()
    page.get_by_role("button", name="Revoke the token").click()
    page.get_by_text("The token “Grafana” is revoked.").wait_for()
    assert not Token.objects.filter(name="Grafana").exists()


def test_the_api_is_read_and_tried_on_its_page(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/api/v1/docs/", farm.owner)
    page.locator("#operations-states-states_list .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    page.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
    assert re.search(rf'"printer": {farm.printers[0].pk}', page.locator(".live-responses-table").inner_text())


def test_what_writes_brings_the_token_of_forms_along(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/api/v1/docs/", farm.owner)
    page.locator("#operations-printers-printers_in_service .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_placeholder("id").fill(str(farm.printers[0].pk))
    page.get_by_role("button", name="Execute").click()

    page.locator(".live-responses-table .response-col_status", has_text=re.compile("200|409")).wait_for()
