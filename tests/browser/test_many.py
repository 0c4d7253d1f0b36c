"""Many printers at once: actions on a selection, and an import of fifty from a file."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import Machine
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.states import State
from tests.browser import farms
from tests.browser.conftest import Visit
from tests.printers.served import served

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

KEY = "K" * 32


@pytest.fixture
def farm(transactional_db: None, settings: Settings) -> farms.Farm:
    settings.CUTOVER_PERCENT = 100
    return farms.build(0)


def states(names: list[str]) -> list[str]:
    printers = {printer.name: printer for printer in Printer.objects.whole()}
    return [printers[name].state.value for name in names]


def test_actions_on_a_selection(farm: farms.Farm, visit: Visit) -> None:
    names = ["Heron", "Curlew", "Robin"]
    samples = [Sample(name, "octoprint", "printing", key=KEY, file="a.gcode") for name in names[:2]]
    samples.append(Sample("Robin", "octoprint", "ready", key=KEY))
    with served(*samples) as addresses:
        for sample, address in zip(samples, addresses, strict=True):
            printer = Printer.objects.create(profile=farm.owner.profile, ip_address=address, api_key=KEY)
            Machine.objects.create(printer=printer, name=sample.name)
            looking.keep([(printer.pk, Seen(State(sample.state)))], timezone.now() - timedelta(minutes=1))
        page = visit("/printers/?sort=name", farm.owner)

        page.get_by_label("Select all 3").check()
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("2 printers are paused.").wait_for()
        assert page.get_by_text("Robin is ready. Only one that prints can be paused.").is_visible()
        assert page.url.endswith("/printers/?sort=name"), "The list is as it was."
        assert states(names) == ["paused", "paused", "ready"]

        page.get_by_label("Select Heron").check()
        page.get_by_label("Select Curlew").check()
        page.get_by_role("button", name="Cancel…").click()
        page.get_by_role("heading", name="Cancel the prints of 2 printers?").wait_for()
        page.get_by_role("link", name="Let them print").click()
        assert states(names[:2]) == ["paused", "paused"], "A question alone cancels nothing."

        page.get_by_label("Select Heron").check()
        page.get_by_role("button", name="Out of order…").click()
        page.get_by_role("button", name="Take out of order").click()
        page.get_by_text("This field is required.").wait_for()
        page.get_by_label("Why").fill("A nozzle is on its way.")
        page.get_by_role("button", name="Take out of order").click()
        page.get_by_text("Heron is out of order.").wait_for()
        assert Machine.objects.get(name="Heron").out_of_order_why == "A nozzle is on its way."
        page.get_by_label("Select Robin").check()
        page.get_by_role("button", name="Delete…").click()
        page.get_by_role("button", name="Delete them").click()
        page.get_by_text("Robin was deleted.").wait_for()
        assert set(Machine.objects.values_list("name", flat=True)) == {"Heron", "Curlew"}


def test_fifty_from_a_file(farm: farms.Farm, visit: Visit) -> None:
    samples = [Sample(f"Bird {n}", "octoprint", "ready", key=KEY) for n in range(48)]
    with served(*samples) as addresses:
        rows = [f"{address},{KEY},Bird {n},Hall {n % 3}" for n, address in enumerate(addresses)]
        rows += ["10.20.3:5000,,Half an address,", f"{addresses[0]},another key that it does not know,Bird 99,"]
        content = "\n".join(["address,key,name,place", *rows])
        page = visit("/printers/import/", farm.owner)
        page.get_by_label("File").set_input_files(
            {"name": "fifty.csv", "mimeType": "text/csv", "buffer": content.encode()}
        )
        page.get_by_role("button", name="Look at the file").click()

        page.get_by_role("heading", name="50 rows: 48 new, 0 changed, 0 the same, 2 wrong").wait_for()
        assert not Printer.objects.exists()
        assert KEY not in page.content()
        page.get_by_role("link", name="Wrong 2").click()
        assert page.locator("tbody tr").count() == 2
        page.get_by_role("button", name="Save 48 printers").click()

        page.get_by_text("48 printers are saved.").wait_for()
        page.get_by_role("heading", name="2 rows are left out").wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the 2 rows").click()
        wrong = download.value.path().read_text()
        assert "Half an address" in wrong
        assert "another key" not in wrong
        page.go_back()
        page.goto("/printers/?sort=name")
        assert page.locator("tbody tr").count() == 48
    assert set(states([f"Bird {n}" for n in range(48)])) == {State.READY}
