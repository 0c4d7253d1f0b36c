"""`make up OCTOPRINT=1`: a real OctoPrint stands among the samples, and ends with them."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from printers.samples import real
from tests.printers.real.conftest import missing
from tests.scripts.test_up import STATES, Up, states
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.printers


@pytest.fixture
def up() -> Iterator[Up]:
    if not (real.ENVIRONMENTS / real.OCTOPRINT / "installed").exists():
        missing(real.NotInstalled(real.OCTOPRINT))
    # Not below pytest's, which the user that the server runs as can't enter.
    with tempfile.TemporaryDirectory(prefix="up-") as name:
        run = Up(Path(name), OCTOPRINT="1")
        try:
            yield run
        finally:
            run.started.kill()
            run.started.wait()


def test_a_real_octoprint_is_ready_among_the_samples_and_ends_with_them(up: Up) -> None:
    up.until_up()
    assert states(up) == STATES | {"Kingfisher": "ready"}
    address = up.ask(
        "SELECT ip_address FROM printers_printer JOIN fleet_machine ON printer_id = id WHERE name = 'Kingfisher'"
    )[0][0]
    assert "OctoPrint" in httpx.get(address, timeout=LIMIT_S, follow_redirects=True).text

    assert up.end(signal.SIGINT) == 0
    assert up.left() == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
    assert "Traceback" not in up.said()
