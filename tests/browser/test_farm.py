"""The page of the farm changes by itself, keeps what is open, and says when it has lost the portal; and the wall."""

import pytest
from django.utils import timezone
from pytest_django import Settings

from monitoring.models import Print
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import LastSeen, Machine
from printers.states import State
from tests.browser import farms
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def farm(transactional_db: None, settings: Settings) -> farms.Farm:
    settings.CUTOVER_PERCENT = 100
    farm = farms.build(5)
    for printer, name in zip(farm.printers, ("Heron", "Curlew", "Dunlin", "Knot", "Ruff"), strict=True):
        Machine.objects.filter(printer=printer).update(name=name, out_of_order_since=None)
    Print.objects.all().delete()
    LastSeen.objects.update(state=State.READY, waits="", file="", progress=None, message="")
    see(farm.printers[4].pk, State.DISCONNECTED)
    return farm


def see(printer: int, state: State, **more: object) -> None:
    looking.keep([(printer, Seen(state, **more))], timezone.now())


def test_it_changes_by_itself_and_leaves_alone_what_somebody_has_opened(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/", farm.owner)
    assert page.get_by_role("heading", level=1).inner_text() == "Nothing needs you"
    page.get_by_text("Off · 1").click()
    page.get_by_label("Group by").focus()
    page.evaluate("document.getElementById('sec-ready').kept = true")

    see(farm.printers[0].pk, State.ERROR, message="Heaters are off.")

    page.get_by_text("1 machine needs you").wait_for()
    assert page.title() == "1 needs you · Print farm"
    assert page.locator("#pip").inner_text().startswith("1")
    assert page.get_by_text("Heaters are off.").is_visible()
    assert page.locator("#sec-off .tile").is_visible(), "The fold stays open."
    assert page.evaluate("document.activeElement.id") == "by"
    assert page.evaluate("document.getElementById('sec-ready').kept"), "It is the same element."

    see(farm.printers[0].pk, State.READY)
    page.get_by_text("Nothing needs you").wait_for()
    assert page.locator("#pip").is_hidden()


def test_an_unchanged_farm_is_answered_without_a_page(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/", farm.owner)

    with page.expect_response("**/live/*") as first:
        pass

    assert first.value.request.headers["if-none-match"].startswith('"')
    assert first.value.status in (200, 304)  # Its minute may have ended just then.
    assert page.locator("#live").inner_text().startswith("Live")


def test_after_two_misses_it_says_that_it_has_lost_the_portal(farm: farms.Farm, visit: Visit) -> None:
    see(farm.printers[0].pk, State.ATTENTION, message="Out of filament.")
    page = visit("/", farm.owner)
    page.route("**/live/*", lambda route: route.abort())

    page.get_by_text("This page has lost the portal.").wait_for()
    assert "Lost contact" in page.locator("#live").inner_text()
    assert page.get_by_role("button", name="Resume").is_disabled()

    page.unroute("**/live/*")
    page.get_by_text("This page has lost the portal.").wait_for(state="hidden")
    assert page.get_by_role("button", name="Resume").is_enabled()


def test_the_wall_changes_by_itself_and_has_nothing_to_press(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/wall/", farm.owner, width=1920)
    assert page.locator("main :is(a, button, input, select)").count() == 0
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(19, 22, 24)"

    see(farm.printers[2].pk, State.PRINTING, file="clip.gcode", progress=12.0)
    see(farm.printers[1].pk, State.ERROR, message="Heaters are off.")

    page.get_by_text("Heaters are off.").wait_for()
    assert page.locator("h3").all_inner_texts() == ["Curlew", "Dunlin"]
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "Nothing to scroll."


def test_without_script_the_farm_is_grouped_by_a_button(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/", farm.owner, java_script_enabled=False)

    page.get_by_label("Group by").select_option("By kind")
    page.get_by_role("button", name="Show").click()

    assert page.url.endswith("/?by=kind")
    assert page.get_by_role("heading", level=2, name="OctoPrint").is_visible()
