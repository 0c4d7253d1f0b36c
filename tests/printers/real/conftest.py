"""Real servers of printers: one of each for all tests, since each takes seconds to start."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from printers.clients import asking
from printers.clients.base import Credentials, Endpoint
from printers.samples import real
from printers.states import State
from tests.waiting import until


def missing(error: real.NotInstalled) -> Any:
    """Skipped, or failed where CI requires them."""
    return (pytest.fail if os.environ.get("REQUIRE_PRINTERS") == "1" else pytest.skip)(str(error))


def seen(endpoint: Endpoint, *states: State) -> Any:
    """What is seen as soon as it is in one of the states."""

    def look() -> Any:
        found = asking.look(endpoint)
        return found if found.state in states else None

    return until(look, f"{endpoint.address} was never {' or '.join(states)}: {asking.look(endpoint)}")


@pytest.fixture(scope="session", params=[real.OCTOPRINT, real.NEXT_OCTOPRINT])
def octoprint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    try:
        with real.octoprint(tmp_path_factory.mktemp(request.param), request.param) as server:
            endpoint = Endpoint(server.address, "octoprint", Credentials(server.key))
            seen(endpoint, State.READY)
            yield endpoint
    except real.NotInstalled as error:
        missing(error)


@pytest.fixture(scope="session")
def moonraker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, Path, Path]]:
    """Its endpoint, the socket at which it looks for Klipper, and its folder."""
    folder = Path(tmp_path_factory.mktemp("m"))
    try:
        with real.moonraker(folder) as (server, klippy):
            key = until(lambda: real.key_of_moonraker(folder), f"Moonraker made no key: {server.log}")
            endpoint = Endpoint(server.address, "moonraker", Credentials(key))
            seen(endpoint, State.DISCONNECTED)
            yield endpoint, klippy, folder
    except real.NotInstalled as error:
        missing(error)
