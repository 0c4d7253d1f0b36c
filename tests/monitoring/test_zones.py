"""A print ends at one moment, whatever the zones of the portal, of its readers and of a printer's server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import profiles
from accounts.people.models import Person
from monitoring.history.models import StateChange
from monitoring.models import Print
from printers.fleet.models import LastSeen
from printers.models import Printer
from tests.manage import ROOT
from tests.monitoring.test_polling import KEY, make, poll

pytestmark = pytest.mark.django_db(transaction=True)
ZONES = ("Asia/Tehran", "America/St_Johns", "Pacific/Kiritimati")
"""Half an hour beside the others, to both sides of UTC, and mostly on another day."""
HOURS = timedelta(hours=3)
SERVER = f"""
import asyncio, sys
from printers.samples.serving import serve
from printers.samples.simulation import Sample

async def main():
    sample = Sample("Heron", "octoprint", "printing", key="{KEY}", file="a.gcode", duration_s={HOURS.total_seconds()})
    async with serve([sample]) as [address]:
        print(address, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@contextmanager
def served_in(zone: str) -> Iterator[str]:
    """A printer's server on a machine in this zone, with three hours of its print to go."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], env=os.environ | {"TZ": zone}, cwd=ROOT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


@pytest.mark.parametrize(("portal", "server"), [(ZONES[0], ZONES[1]), (ZONES[1], ZONES[2]), ("UTC", ZONES[0])])
def test_a_print_ends_when_it_ends(portal: str, server: str, settings: Settings) -> None:
    settings.TIME_ZONE, settings.CUTOVER_PERCENT = portal, 100
    began = timezone.now()

    with served_in(server) as address:
        printer = make(address, name="Heron")
        poll()

    over, seen = timezone.now(), LastSeen.objects.get()
    assert seen.state == "printing"
    assert began <= seen.asked_at <= over
    assert timedelta(minutes=-1) <= seen.ends_at - (began + HOURS) <= over - began
    assert began <= Print.objects.get().started_at <= over
    assert began <= StateChange.objects.get().at <= over
    for zone in (*ZONES, ""):
        clock = seen.ends_at.astimezone(ZoneInfo(zone or portal))
        assert f"{clock:%H:%M}</time>" in page_of(printer, zone), zone


def page_of(printer: Printer, zone: str) -> str:
    """As the owner sees the farm, who lives in this zone, or in the portal's."""
    owner, _ = User.objects.get_or_create(username="owner")
    Printer.objects.filter(pk=printer.pk).update(profile=profiles.ensure(owner))
    Person.objects.update_or_create(profile=owner.profile, defaults={"time_zone": zone})
    client = Client()
    client.force_login(owner)
    return client.get("/").content.decode()
