"""What is on a leash ends with its input, at whatever moment that is."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.waiting import LIMIT_S


@pytest.mark.parametrize("signals", ["", "trap '' INT;"], ids=["", "Ctrl-C is ignored"])
@pytest.mark.parametrize("command", ["runserver", "-- sleep 600"])
def test_an_input_that_ends_while_it_starts_ends_it_without_a_word(command: str, signals: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'{signals} exec "$0" -m scripts.leashed {command}', sys.executable],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode != 0
    assert (done.stdout, done.stderr) == ("", "")
