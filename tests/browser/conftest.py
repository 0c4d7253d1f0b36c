"""Chromium, the portal it looks at, and who is signed in there."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client

from tests.browser.people import sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright
    from pytest_django.live_server_helper import LiveServer

Visit = Callable[..., "Page"]

# Debian's, else what is named.
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
ROOTS = ["--no-sandbox"] if os.geteuid() == 0 else []
HEIGHT = 900
# What a test has asked for: a page of an error, a server that is away.
NO_COMPLAINTS = ("Failed to load resource", "htmx:sendError", "htmx:afterRequest")
# A busy machine is slow, and fails nothing: the test's own deadline comes first.
PATIENCE_MS = 170_000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("browser").addoption(
        "--screenshots", action="store_true", help="write a picture of every page to var/looks"
    )


@pytest.fixture(scope="session")
def playwright() -> Iterator["Playwright"]:
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.fail("Chromium is not installed; run `make browser`, or name its program in CHROMIUM.")
    # Playwright's loop runs in this thread, where Django would refuse to ask the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        yield playwright
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def chromium(playwright: "Playwright") -> Iterator["Browser"]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ROOTS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def chromium_with_large_type(playwright: "Playwright") -> Iterator["Browser"]:
    """The browser's own type set to twice its size, which media queries in rem follow."""
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*ROOTS, "--blink-settings=defaultFontSize=32,defaultFixedFontSize=26"]
    )
    yield browser
    browser.close()


@pytest.fixture
def visit(request: pytest.FixtureRequest, live_server: "LiveServer") -> Iterator[Visit]:
    """Open a page of the portal: visit("/printers/", maren, width=390, scheme="dark", touch=True, large=True).

    What a page writes to the console as an error, a refusal of the policy among them, fails the test.
    """
    contexts, complaints = [], []

    def visit(path: str, user: User | None = None, *, width: int = 1440, scheme: str = "light", touch: bool = False,
              large: bool = False, **options: Any) -> "Page":  # fmt: skip
        browser = request.getfixturevalue("chromium_with_large_type" if large else "chromium")
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            has_touch=touch,
            is_mobile=touch,
            reduced_motion="reduce",
            locale="en-GB",
            **options,
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        if user is not None:
            context.add_cookies([_session(user, live_server.url)])
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [each for each in complaints if not each.startswith(NO_COMPLAINTS)] == []


def _session(user: User, url: str) -> Any:
    client = Client()
    sign_in(client, user)
    name = django_settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": url}
