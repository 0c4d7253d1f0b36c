"""From sign-up to a print on a real OctoPrint, by mouse and keyboard."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from django.core import mail
from django.core.cache import cache
from pytest_django import Settings

from printers.clients.base import Credentials, Endpoint
from printers.models import Printer
from printers.samples import real
from printers.states import State
from tests.browser.conftest import Visit
from tests.printers.real.conftest import missing
from tests.printers.real.conftest import seen as seen_here
from tests.waiting import LIMIT_S

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a heron stands in the reeds"
PRINT = "M104 S40\nM109 S40\n" + "G4 P100\n" * 3000


def seen(endpoint: Endpoint, *states: State) -> None:
    """Aside, for this thread has Playwright's loop."""
    with ThreadPoolExecutor(1) as aside:
        aside.submit(seen_here, endpoint, *states).result()


@pytest.fixture(scope="module")
def octoprint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """With a file on it, and ready."""
    try:
        with real.octoprint(tmp_path_factory.mktemp("octoprint")) as server:
            endpoint = Endpoint(server.address, "octoprint", Credentials(server.key))
            seen(endpoint, State.READY)
            headers = {"X-Api-Key": server.key}
            files = {"file": ("bracket.gcode", PRINT.encode())}
            url = f"{server.address}/api/files/local"
            httpx.post(url, files=files, headers=headers, timeout=LIMIT_S).raise_for_status()
            yield endpoint
    except real.NotInstalled as error:
        missing(error)


@pytest.fixture(autouse=True)
def _new_side(settings: Settings, transactional_db: None) -> None:
    settings.CUTOVER_PERCENT = 100
    cache.clear()  # Rates are counted there.


def test_from_sign_up_to_a_print_and_its_end(octoprint: Endpoint, visit: Visit) -> None:
    page = visit("/accounts/signup/")
    sign_up(page)
    add(page, octoprint)
    control(page, octoprint)


def sign_up(page: "Page") -> None:
    page.get_by_label("Email").fill("maren@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.wait_for_url("**/accounts/confirm-email/")
    link = re.search(r"https?://[^/\s]+(/\S+)", mail.outbox[0].body)
    assert link
    page.goto(link[1])
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url("**/login/**")
    page.get_by_label("Login").fill("maren@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.goto("/printers/")


def add(page: "Page", octoprint: Endpoint) -> None:
    """Without a key: OctoPrint asks on its own page."""
    page.get_by_role("link", name="Add").first.click()
    page.get_by_label("Address").fill(octoprint.address)
    page.get_by_role("button", name="Ask OctoPrint for a key instead").click()
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open OctoPrint").click()
    say_yes(popup.value)
    page.wait_for_url(re.compile(r"/printers/add/\d+/$"))
    assert "takes the key. Its printer is ready." in page.locator("main").inner_text()
    page.get_by_role("link", name="Continue to its name").click()
    page.get_by_label("Name").fill("Heron")
    page.get_by_label("Place").fill("Hall A")
    page.get_by_role("button", name="Save the printer", exact=True).click()
    page.get_by_role("heading", name="Heron").wait_for()
    printer = Printer.objects.get()
    assert (printer.ip_address, printer.profile.email) == (octoprint.address, "maren@example.org")
    assert printer.api_key not in ("", octoprint.credentials.key), "a key of its own"


def say_yes(dialog: "Page") -> None:
    dialog.set_default_timeout(LIMIT_S * 1000)
    dialog.locator("#login-user").fill(real.PERSON)
    dialog.locator("#login-password").fill(real.PERSON)
    dialog.locator("#login-button").click()
    dialog.locator("#auth-grant").click()
    dialog.locator("#auth-done").wait_for(state="visible")


def control(page: "Page", octoprint: Endpoint) -> None:
    page.get_by_role("link", name="Start a print…").click()
    page.get_by_label("bracket.gcode").check()
    page.get_by_role("button", name="Start this print").click()
    page.get_by_text("Heron has started its print.").wait_for()
    page.get_by_role("button", name="Pause").click()
    seen(octoprint, State.PAUSED)
    page.get_by_role("button", name="Resume").click()
    seen(octoprint, State.PRINTING)
    page.get_by_role("link", name="Cancel print…").click()
    page.get_by_role("button", name="Cancel the print").click()
    seen(octoprint, State.READY)
    page.locator("#now[data-state=ready], #now[data-state=cancelled]").wait_for()
