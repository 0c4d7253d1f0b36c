"""A busy machine fails no test: what must happen is waited for as long as a test may take."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.waiting import LIMIT_S, until

ROOT = Path(__file__).parent.parent
OF_ITS_OWN = re.compile(r"assert .*monotonic\(\)|timeout=\d\d|\b(lock|statement)_timeout = \d|_backend\(%s, \d")
"""A deadline in numbers: for an event, a future or a process, a lock that is not held, or the end of a session."""


def test_the_limit_is_that_of_every_test() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert options["timeout"] == LIMIT_S


def test_no_test_has_a_deadline_of_its_own() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    assert [path for path, source in sources.items() if OF_ITS_OWN.search(source) and path != Path(__file__)] == []


def test_what_happens_is_returned_and_what_does_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([0, "", "yes"])
    assert until(lambda: next(answers), "no answer") == "yes"
    monkeypatch.setattr("tests.waiting.LIMIT_S", 0)
    with pytest.raises(AssertionError, match="no answer"):
        until(lambda: None, "no answer")
