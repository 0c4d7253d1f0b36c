"""Somebody is sent over and back while they work; nothing that they typed is lost."""

from typing import Any

import pytest
from pytest_django import Settings

from core.sides.models import Side
from core.sides.sending import send_user
from printers.fleet.models import Machine
from printers.models import Printer
from tests.browser import farms
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OLD, NEW = "/portal/printers/", "/printers/"


@pytest.fixture
def farm(transactional_db: None, settings: Settings) -> farms.Farm:
    settings.CUTOVER_PERCENT = 0
    return farms.build(1)


def test_a_form_is_saved_whichever_side_its_user_was_sent_to_meanwhile(farm: farms.Farm, visit: Visit) -> None:
    [printer], maren = farm.printers, farm.owner
    send_user(maren, Side.OLD)
    page = visit(f"{NEW}{printer.pk}/edit/", maren)
    assert page.url.endswith(f"{OLD}{printer.pk}/edit/")

    page.get_by_label("Address").fill("http://127.0.0.1:1")
    page.get_by_label("API key").fill("another key")
    send_user(maren, Side.NEW)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**{NEW}{printer.pk}/")
    assert Printer.objects.get(pk=printer.pk).ip_address == "http://127.0.0.1:1"

    page.goto(f"{OLD}{printer.pk}/edit/")
    assert page.url.endswith(f"{NEW}{printer.pk}/edit/")
    page.get_by_label("Name").fill("The heron")
    send_user(maren, Side.OLD)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"**{OLD}{printer.pk}/")
    assert Machine.objects.get(pk=printer.pk).name == "The heron"


def test_a_page_that_is_open_follows_its_user_but_for_a_question_that_is_being_answered(
    farm: farms.Farm, visit: Visit
) -> None:
    [printer], maren = farm.printers, farm.owner
    send_user(maren, Side.NEW)
    page = visit(f"{NEW}{printer.pk}/", maren)
    page.evaluate("document.body.append(Object.assign(document.createElement('dialog'), {id: 'question'}))")
    page.evaluate("document.getElementById('question').showModal()")
    send_user(maren, Side.OLD)

    page.evaluate("htmx.trigger(document.querySelector('[data-live]'), 'load')")
    assert page.locator("#question").is_visible()
    page.evaluate("document.getElementById('question').close()")

    page.wait_for_url(f"**{OLD}{printer.pk}/")


def test_an_answer_that_is_on_its_way_ends_no_question(farm: farms.Farm, visit: Visit) -> None:
    [printer], maren = farm.printers, farm.owner
    send_user(maren, Side.NEW)
    page = visit(f"{NEW}{printer.pk}/", maren)
    held: list[Any] = []
    page.route("**/now/", lambda route: held.append(route))
    with page.expect_request("**/now/"):
        pass  # Every five seconds there is one.
    page.evaluate("document.body.append(Object.assign(document.createElement('dialog'), {id: 'question'}))")
    page.evaluate("document.getElementById('question').showModal()")
    page.evaluate(
        """() => { window.dropped = new Promise(done => document.addEventListener(
            "htmx:beforeOnLoad", event => done(event.defaultPrevented), {once: true})) }"""
    )
    send_user(maren, Side.OLD)

    held[0].continue_()

    assert page.evaluate("dropped")
    assert page.locator("#question").is_visible()
