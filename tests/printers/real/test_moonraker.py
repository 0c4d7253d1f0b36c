"""Moonraker, with a stand-in for Klipper behind it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from printers.clients import asking
from printers.clients.base import Credentials, Endpoint, NotOperational, OtherKind, Refused
from printers.clients.octoprint import OctoPrint
from printers.clients.web import open_web
from printers.samples.klippy import klippy
from printers.samples.simulation import Sample
from printers.states import State
from tests.printers.real.conftest import seen

pytestmark = pytest.mark.printers

Moonraker = tuple[Endpoint, Path, Path]
GCODE = "a folder/part #1 ü.gcode"


@contextmanager
def klipper(path: Path, sample: Sample) -> Iterator[None]:
    """In a loop of its own, as the process that it is."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = klippy(path, sample)
    try:
        asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result()
        yield
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def sample(moonraker: Moonraker) -> Iterator[Sample]:
    """What Klipper drives; Moonraker knows it when the test begins, and has forgotten it before the next."""
    endpoint, path, folder = moonraker
    (folder / "gcodes" / GCODE).parent.mkdir(parents=True, exist_ok=True)
    (folder / "gcodes" / GCODE).write_text("G28\n")
    driven = Sample("Heron", "moonraker", files=(GCODE,), duration_s=10_000)
    with klipper(path, driven):
        seen(endpoint, State.READY)
        yield driven
    seen(endpoint, State.DISCONNECTED)


def test_without_klipper_the_printer_is_disconnected(moonraker: Moonraker) -> None:
    endpoint, _, _ = moonraker
    found = seen(endpoint, State.DISCONNECTED)

    assert found.answered
    with pytest.raises(NotOperational, match="but its printer is disconnected"):
        asking.act(endpoint, "pause")
    assert asking.find_kind(endpoint.address, endpoint.credentials).state == State.DISCONNECTED


def test_a_print_through_pause_to_its_end(moonraker: Moonraker, sample: Sample) -> None:
    endpoint, _, _ = moonraker
    [file] = asking.files(endpoint)
    assert (file.path, file.size) == (GCODE, 4)

    asking.start(endpoint, file.path)
    heating = seen(endpoint, State.HEATING)
    assert (heating.file, heating.progress) == (GCODE, 0.0)
    sample.since -= 60
    seen(endpoint, State.PRINTING)
    asking.act(endpoint, "pause")
    seen(endpoint, State.PAUSED)
    asking.act(endpoint, "resume")
    seen(endpoint, State.PRINTING)
    sample.since -= 20_000
    assert seen(endpoint, State.FINISHED).file == GCODE


def test_a_print_that_is_cancelled(moonraker: Moonraker, sample: Sample) -> None:
    endpoint, _, _ = moonraker
    asking.start(endpoint, GCODE)
    asking.act(endpoint, "cancel")

    seen(endpoint, State.CANCELLED)


def test_klippers_own_words_are_told(moonraker: Moonraker, sample: Sample) -> None:
    endpoint, _, _ = moonraker

    with pytest.raises(Refused, match=r"^Moonraker refused: Printer is not printing\.$"):
        asking.act(endpoint, "pause")


def test_a_fault_is_an_error(moonraker: Moonraker, sample: Sample) -> None:
    endpoint, _, _ = moonraker
    sample.state, sample.message = "error", "Lost communication with MCU 'mcu'"

    assert seen(endpoint, State.ERROR).message == sample.message
    sample.state = "ready"


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_key_is_wanted(moonraker: Moonraker, key: str) -> None:
    endpoint, _, _ = moonraker
    found = asking.find_kind(endpoint.address, Credentials(key))
    where = endpoint.address.removeprefix("http://")

    end = "but refuses the key." if key else "and wants a key."
    assert (found.sentence, found.kind, found.state) == (
        f"Moonraker answers at {where}, {end}", "moonraker", State.REFUSED,
    )  # fmt: skip
    assert asking.look(replace(endpoint, credentials=Credentials(key))).state == State.REFUSED


def test_its_emulation_of_octoprint_is_seen_through(moonraker: Moonraker, sample: Sample) -> None:
    endpoint, _, _ = moonraker
    saved_as_octoprint = replace(endpoint, kind="octoprint")
    assert asking.find_kind(endpoint.address, endpoint.credentials).title == "Moonraker 0.11.0"

    async def look_as_octoprint() -> None:
        async with open_web() as web:
            await OctoPrint(web, saved_as_octoprint).look()

    with pytest.raises(OtherKind, match="^Moonraker answers at "):
        asyncio.run(look_as_octoprint())
    [file] = asking.files(saved_as_octoprint)
    asking.start(saved_as_octoprint, file.path)
    asking.act(saved_as_octoprint, "cancel")
    assert asking.look(saved_as_octoprint).state == State.CANCELLED
