"""Real servers print real files, from the start by the portal to what a person says of them; polling sees it all."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from monitoring.models import Print
from monitoring.prints import signing
from printers.clients import asking
from printers.clients.base import Endpoint
from printers.fleet.models import LastSeen, Machine
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.states import State
from tests.printers.real.test_moonraker import GCODE, Moonraker, sample  # noqa: F401
from tests.printers.real.test_octoprint import LONG, SHORT, Backstage, backstage  # noqa: F401
from tests.waiting import until

pytestmark = [pytest.mark.printers, pytest.mark.django_db(transaction=True)]

FILE = "signed.gcode"


class Portal:
    """One printer in it, and a person who works with it by pages while polling goes on."""

    def __init__(self, endpoint: Endpoint, settings: Any) -> None:
        settings.CUTOVER_PERCENT = 100
        self.person = User.objects.create_superuser("maren")
        self.client = Client()
        self.client.force_login(self.person)
        self.printer = Printer.objects.create(ip_address=endpoint.address, api_key=endpoint.credentials.key)
        Machine.objects.create(printer=self.printer, kind=endpoint.kind, name="Heron")
        self.endpoint = endpoint
        self.poll()

    def poll(self) -> State:
        call_command("poll_printers", "--once", verbosity=0)
        return State(Printer.objects.whole().get().state)

    def until(self, *states: State) -> None:
        until(lambda: self.poll() in states, f"It was never {states}: {LastSeen.objects.values().get()}")

    def do(self, what: str, **data: str) -> str:
        """By its page; what is said then."""
        response = self.client.post(f"/printers/{self.printer.pk}/{what}/", data, follow=True)
        return " ".join(str(message) for message in response.context["messages"])

    def start(self, name: str) -> str:
        [path] = [file.path for file in asking.files(self.endpoint) if file.path.endswith(name)]
        return self.do("start", file=path)

    def sign_off(self, verdict: str, **more: Any) -> None:
        [result] = signing.sign_off(self.person, [Print.objects.latest("pk").pk], verdict, **more)
        assert result.done, result.sentence

    def ended(self) -> Print:
        """The print that waits for somebody."""
        return Print.objects.get(signed_off_at=None, ended_at__isnull=False)

    def is_signed_off(self) -> None:
        """Whatever lay on the plate before this test."""
        for one in Print.objects.filter(signed_off_at=None, ended_at__isnull=False):
            signing.sign_off(self.person, [one.pk], "good")


@pytest.fixture
def portal(octoprint: Endpoint, backstage: Backstage, settings: Any) -> Portal:  # noqa: F811
    backstage.upload(FILE, SHORT)
    backstage.upload("long.gcode", LONG)
    made = Portal(octoprint, settings)
    made.is_signed_off()
    return made


def test_octoprint_prints_a_file_from_its_start_to_its_sign_off(portal: Portal) -> None:
    assert portal.start(FILE) == "Heron has started its print."
    running = Print.objects.latest("pk")
    assert (running.started_by, running.found_by, running.ended_at) == (portal.person, "control", None)

    portal.until(State.FINISHED)
    one = portal.ended()
    assert (one.pk, one.file, one.outcome) == (running.pk, FILE, "finished")
    assert one.seconds is not None
    assert portal.start(FILE) == "Heron has a print on its plate. Say first how it went."
    portal.sign_off("good")
    assert portal.poll() == State.READY
    assert portal.start(FILE) == "Heron has started its print."
    portal.until(State.FINISHED)
    portal.sign_off("bad", count=1, reason="Warped")
    assert portal.poll() == State.READY


def test_octoprint_through_a_pause_to_a_cancelled_print(portal: Portal) -> None:
    portal.start("long.gcode")
    portal.until(State.PRINTING)
    portal.do("pause")
    portal.until(State.PAUSED)
    assert Print.objects.latest("pk").ended_at is None
    portal.do("resume")
    portal.until(State.PRINTING)
    portal.do("cancel")

    portal.until(State.CANCELLED)
    assert portal.ended().outcome == "cancelled"
    portal.sign_off("bad", reason="Stopped")
    assert portal.poll() == State.READY


def test_octoprint_whose_firmware_has_a_fatal_error(portal: Portal, backstage: Backstage) -> None:  # noqa: F811
    portal.start("long.gcode")
    portal.until(State.PRINTING)
    backstage.command("!!DEBUG:trigger_fatal_error_marlin")

    portal.until(State.ERROR)
    one = portal.ended()
    assert (one.outcome, bool(one.reason)) == ("failed", True)
    backstage.connection("disconnect")
    backstage.connection("connect")
    portal.until(State.FAILED)
    assert portal.start(FILE) == "Heron has a print on its plate. Say first how it went."
    portal.sign_off("bad", reason="Thermal runaway")
    portal.until(State.READY)


def test_octoprint_whose_printer_goes_awol(portal: Portal, backstage: Backstage) -> None:  # noqa: F811
    portal.start("long.gcode")
    portal.until(State.PRINTING)
    backstage.command("!!DEBUG:go_awol")
    # OctoPrint waits for minutes; whoever stands there pulls the plug.
    assert portal.poll() in (State.PRINTING, State.HEATING)
    assert Print.objects.latest("pk").ended_at is None
    backstage.connection("disconnect")

    portal.until(State.FAILED)
    one = portal.ended()
    assert one.outcome in ("lost", "failed")
    portal.sign_off("bad", reason="The cable")
    assert portal.poll() in (State.DISCONNECTED, State.ERROR)
    backstage.connection("connect")
    portal.until(State.READY)


# ----- Moonraker


@pytest.fixture
def klipper(moonraker: Moonraker, sample: Sample, settings: Any) -> Portal:  # noqa: F811
    made = Portal(moonraker[0], settings)
    made.until(State.READY)
    return made


def test_moonraker_prints_a_file_from_its_start_through_a_pause_to_its_sign_off(
    klipper: Portal,
    sample: Sample,  # noqa: F811
) -> None:
    assert klipper.start(GCODE) == "Heron has started its print."
    klipper.until(State.HEATING)
    sample.since -= 60
    klipper.until(State.PRINTING)
    klipper.do("pause")
    klipper.until(State.PAUSED)
    klipper.do("resume")
    klipper.until(State.PRINTING)
    sample.since -= 20_000

    klipper.until(State.FINISHED)
    one = klipper.ended()
    assert (one.file, one.outcome, one.started_by) == (GCODE, "finished", klipper.person)
    assert (one.seconds or 0) > 60
    assert (one.filament_mm or 0) > 0
    assert klipper.start(GCODE) == "Heron has a print on its plate. Say first how it went."
    klipper.sign_off("good")
    assert klipper.poll() == State.READY
    assert klipper.start(GCODE) == "Heron has started its print."
    klipper.until(State.HEATING, State.PRINTING)


def test_moonraker_whose_print_is_cancelled_on_its_own_page(klipper: Portal) -> None:
    klipper.start(GCODE)
    klipper.until(State.HEATING)
    asking.act(klipper.endpoint, "cancel")

    klipper.until(State.CANCELLED)
    assert klipper.ended().outcome == "cancelled"


def test_moonraker_whose_firmware_stops(klipper: Portal, sample: Sample) -> None:  # noqa: F811
    klipper.start(GCODE)
    klipper.until(State.HEATING)
    sample.state, sample.message = "error", "Lost communication with MCU 'mcu'"

    klipper.until(State.ERROR)
    one = klipper.ended()
    assert (one.outcome, one.reason) == ("failed", "Lost communication with MCU 'mcu'")
    sample.state, sample.message = "ready", ""
    klipper.until(State.FAILED)
    klipper.sign_off("bad", reason="The cable")
    assert klipper.poll() == State.READY
