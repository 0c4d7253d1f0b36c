"""What app.js adds to pages, and that they do without it."""

import pytest
from pytest_django import Settings

from tests.browser import farms, site
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

COMPONENTS = "/tests/components/"


@pytest.fixture(autouse=True)
def _with_components(settings: Settings) -> None:
    settings.ROOT_URLCONF = site.URLS


@pytest.fixture
def farm(transactional_db: None) -> farms.Farm:
    return farms.build(0)


def test_a_link_opens_its_dialog_and_the_main_button_leaves_everything(farm: farms.Farm, visit: Visit) -> None:
    page = visit(COMPONENTS, farm.owner)

    page.get_by_role("link", name="Cancel print…").click()

    assert page.get_by_role("dialog", name="Cancel this print?").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "Let it print"
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").count() == 0
    assert page.url.endswith(COMPONENTS)


def test_without_script_the_link_leads_on(farm: farms.Farm, visit: Visit) -> None:
    page = visit(COMPONENTS, farm.owner, java_script_enabled=False)

    page.get_by_role("link", name="Cancel print…").click()

    assert page.url.endswith("?cancel")


@pytest.mark.parametrize(("switch", "paper"), [("Dark", "rgb(19, 22, 24)"), ("Light", "rgb(245, 243, 238)")])
def test_a_browser_remembers_its_theme(farm: farms.Farm, visit: Visit, switch: str, paper: str) -> None:
    other = {"Dark": "light", "Light": "dark"}[switch]
    page = visit(COMPONENTS, farm.owner, scheme=other)

    page.get_by_role("button", name=switch, exact=True).click()
    page.reload()

    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == paper
    assert page.get_by_role("button", name=switch, exact=True).get_attribute("aria-pressed") == "true"


def test_the_menu_closes_by_escape_and_returns_the_focus(farm: farms.Farm, visit: Visit) -> None:
    page = visit(COMPONENTS, farm.owner)
    account = page.locator(".menu > summary")

    account.click()
    assert page.locator(".menu > div").is_visible()
    page.keyboard.press("Escape")

    assert not page.locator(".menu > div").is_visible()
    assert account.evaluate("element => element === document.activeElement")


def test_selecting_all_selects_every_row_and_counts(farm: farms.Farm, visit: Visit) -> None:
    page = visit(COMPONENTS, farm.owner)

    page.get_by_label("Select all 2").check()

    assert page.locator("tbody input:checked").count() == 3
    assert page.locator(".bulk").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.bulk b'), '::before').content").startswith(
        "counter"
    )


def test_a_toast_goes_by_itself_unless_somebody_has_the_focus_in_it(farm: farms.Farm, visit: Visit) -> None:
    page = visit(COMPONENTS, farm.owner)
    page.clock.install()
    page.reload()

    toast = '<div class="toast" id="{}"><span>Heron is ready.</span><button class="b">Undo</button></div>'
    page.evaluate("html => toasts.insertAdjacentHTML('beforeend', html)", toast.format("gone") + toast.format("kept"))
    page.locator("#kept button").focus()
    page.clock.run_for(9_000)

    assert page.locator(".toast").evaluate_all("toasts => toasts.map(toast => toast.id)") == ["kept"]


def test_a_page_says_when_it_has_lost_the_portal_and_when_it_is_back(farm: farms.Farm, visit: Visit) -> None:
    page = visit(COMPONENTS, farm.owner)
    # Each look ends when htmx has told everybody of its answer.
    look = """new Promise(done => {
        now.addEventListener("htmx:afterRequest", () => setTimeout(done), {once: true});
        htmx.trigger(now, "look");
    })"""

    page.route("**/components/?*", lambda route: route.abort())
    page.evaluate(look)
    assert page.locator("#lost").is_hidden(), "One miss is none."
    page.evaluate(look)
    assert page.get_by_text("This page has lost the portal.").is_visible()
    assert page.locator("[data-acts]").is_disabled()
    assert "Lost contact" in page.locator("#live").inner_text()

    page.unroute("**/components/?*")
    page.evaluate(look)
    assert page.locator("#lost").is_hidden()
    assert page.locator("[data-acts]").is_enabled()
    assert page.locator("#live").inner_text().startswith("Live")
