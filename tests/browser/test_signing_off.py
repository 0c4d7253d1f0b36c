"""Signing off: with one press on the page of the farm, with a question, on a phone, and from a link."""

import pytest
from django.utils import timezone
from pytest_django import Settings

from monitoring.models import Print
from printers.fleet.models import LastSeen
from tests.browser import farms
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def farm(transactional_db: None, settings: Settings) -> farms.Farm:
    """Two machines wait, for five minutes and for one."""
    settings.CUTOVER_PERCENT = 100
    farm = farms.build(3)
    Print.objects.all().delete()
    LastSeen.objects.update(state="ready", waits="", file="", progress=None, message="")
    for printer in farm.printers[1:]:
        now = timezone.now()
        Print.objects.create(
            printer=printer, file="clip.gcode", started_at=now, ended_at=now, outcome="finished", seconds=5400.0
        )
        LastSeen.objects.filter(printer=printer).update(waits="finished")
    return farm


def verdicts() -> list[str]:
    return sorted(Print.objects.values_list("verdict", flat=True))


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_good_is_one_press(width: int, farm: farms.Farm, visit: Visit) -> None:
    page = visit("/", farm.owner, width=width, touch=True)
    good = page.get_by_role("button", name="Good, plate clear")
    assert (good.first.bounding_box() or {})["height"] >= 44

    good.first.tap()
    page.get_by_text("1 machine needs you").wait_for()
    assert page.get_by_text("is signed off as good.").is_visible()
    assert page.locator("#pip").inner_text().startswith("1")
    assert page.url.endswith("/"), "The page was not left."
    good.tap()

    page.get_by_text("Nothing needs you").wait_for()
    assert verdicts() == ["good", "good"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_good_is_undone_by_a_press(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/", farm.owner, width=320, touch=True)
    page.get_by_role("button", name="Good, plate clear").first.tap()
    undo = page.get_by_role("button", name="Undo")
    assert (undo.bounding_box() or {})["height"] >= 44
    assert verdicts() == ["", "good"]

    undo.tap()

    page.get_by_text("waits again for somebody to say how it went").wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == "2 machines need you"
    assert verdicts() == ["", ""]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_bad_asks_why_and_leaves_nothing_ticked(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/", farm.owner, width=320, touch=True)

    page.get_by_role("link", name="Bad…").first.tap()
    dialog = page.get_by_role("dialog")
    assert not dialog.get_by_label("The plate is clear").is_checked()
    dialog.get_by_label("Layers shifted").tap()
    dialog.get_by_label("Bad parts").fill("3")
    dialog.get_by_role("button", name="Bad, record it").tap()

    assert dialog.get_by_label("The plate is clear").evaluate("box => box.validity.valueMissing")
    assert verdicts() == ["", ""]
    dialog.get_by_label("The plate is clear").tap()
    dialog.get_by_role("button", name="Bad, record it").tap()
    page.get_by_text("1 machine needs you").wait_for()

    one = Print.objects.get(verdict="bad")
    assert (one.bad_reason, one.bad_count) == ("Layers shifted", 3)


def test_an_update_does_not_interrupt_who_is_asked(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/", farm.owner)
    page.get_by_role("link", name="Bad…").first.click()
    page.get_by_role("dialog").get_by_label("Anything to add").fill("a corner")

    Print.objects.filter(printer=farm.printers[1]).update(file="another.gcode")
    page.evaluate("htmx.trigger('#farm', 'load')")
    page.wait_for_timeout(0)

    assert page.get_by_label("Anything to add").input_value() == "a corner"


def test_a_link_of_an_alert_signs_nothing_off_and_its_page_does(farm: farms.Farm, visit: Visit) -> None:
    one = Print.objects.order_by("pk").first()
    assert one is not None
    page = visit(f"/prints/{one.pk}/", farm.owner, width=390, touch=True)
    assert verdicts() == ["", ""]

    page.get_by_role("button", name="Good, plate clear").tap()

    page.get_by_text("1 machine needs you").wait_for()
    assert verdicts() == ["", "good"]


def test_many_are_signed_off_without_script(farm: farms.Farm, visit: Visit) -> None:
    page = visit("/prints/sign-off/", farm.owner, width=390, java_script_enabled=False)

    for box in page.locator("tbody input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="Good, plates clear").click()

    assert page.get_by_text("No print waits for you").is_visible()
    assert verdicts() == ["good", "good"]
