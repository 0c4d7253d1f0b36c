"""Each promise of docs/security.md names tests, which are there."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PROMISE = re.compile(r"(?m)^\| (?!---|what )(?P<promise>[^|]+) \| (?P<tests>[^|]+) \|$")


def promises() -> dict[str, list[str]]:
    (section,) = re.findall(r"(?s)\n## Promises\n(.*?)\n## ", PAGE)
    found = {match["promise"]: match["tests"] for match in PROMISE.finditer(section) if match["tests"] != "tests"}
    return {promise: re.findall(r"`([^`]+)`", tests) for promise, tests in found.items()}


def test_each_promise_names_tests_that_are_there() -> None:
    assert len(promises()) > 10
    assert [promise for promise, files in promises().items() if not files] == []
    files = {file for files in promises().values() for file in files}
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []
