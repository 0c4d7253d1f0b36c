"""People in a hurry: who clicks twice, whose session has ended, and who wants to know how old a picture is."""

import io
import re
from unittest import mock

import pytest
from django.contrib.sessions.models import Session
from PIL import Image
from pytest_django import Settings

from monitoring.maintenance.models import Entry
from printers.clients.base import Picture
from printers.fleet.models import Machine
from tests.browser import farms
from tests.browser.conftest import Visit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "a heron stands in the reeds"


@pytest.fixture
def farm(transactional_db: None, settings: Settings) -> farms.Farm:
    settings.CUTOVER_PERCENT = 100
    farm = farms.build(3)
    Entry.objects.all().delete()
    return farm


def test_a_double_click_records_once(farm: farms.Farm, visit: Visit) -> None:
    page = visit(f"/printers/{farm.printers[0].pk}/maintenance/record/", farm.owner)
    page.locator("[name=what]").fill("Oiled the rods")

    page.get_by_role("button", name="Put it into the log").dblclick()

    page.wait_for_url(f"**/printers/{farm.printers[0].pk}/maintenance/")
    assert Entry.objects.get().what == "Oiled the rods"


def test_what_was_typed_survives_the_end_of_the_session(farm: farms.Farm, visit: Visit) -> None:
    farm.owner.set_password(PASSWORD)
    farm.owner.save()
    page = visit(f"/printers/{farm.printers[0].pk}/maintenance/record/", farm.owner)
    page.locator("[name=what]").fill("Oiled the rods, twice")
    page.locator("[name=parts]").fill("Oil")
    Session.objects.all().delete()

    page.get_by_role("button", name="Put it into the log").click()
    page.get_by_label("Login").fill(farm.owner.username)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()

    page.get_by_text("What you typed is still here.").wait_for()
    assert page.locator("[name=what]").input_value() == "Oiled the rods, twice"
    assert not Entry.objects.exists()
    page.get_by_role("button", name="Put it into the log").click()
    page.wait_for_url(f"**/printers/{farm.printers[0].pk}/maintenance/")
    assert (Entry.objects.get().what, Entry.objects.get().parts) == ("Oiled the rods, twice", "Oil")


def test_a_picture_says_when_it_was_taken(farm: farms.Farm, visit: Visit) -> None:
    printer = farm.printers[0]
    Machine.objects.filter(printer=printer).update(camera="http://127.0.0.1:9/snapshot")
    shot = io.BytesIO()
    Image.new("RGB", (400, 300), "teal").save(shot, "JPEG")
    with (
        mock.patch("printers.looking.look"),
        mock.patch("printers.clients.asking.camera", return_value=Picture("image/jpeg", shot.getvalue())) as asked,
    ):
        page = visit(f"/printers/{printer.pk}/", farm.owner)
        page.locator("img[data-why]").scroll_into_view_if_needed()
        page.get_by_text(re.compile(r"^Taken \d\d:\d\d:\d\d$")).wait_for()

    assert asked.call_count == 1
