"""Real printers that aren't installed are named with the command that installs them."""

from pathlib import Path
from typing import Any

import pytest

from printers.samples import real
from tests.printers.real.conftest import missing


@pytest.mark.parametrize("start", [real.octoprint, real.moonraker])
def test_what_is_missing_is_named_with_its_cure(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "ENVIRONMENTS", tmp_path)

    with pytest.raises(real.NotInstalled, match=r" is not installed; run `make printers`\.$"), start(tmp_path / "data"):
        pass


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_tests_are_skipped_where_nothing_is_installed_and_fail_in_ci(
    required: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUIRE_PRINTERS", required)

    with pytest.raises(outcome, match="moonraker is not installed; run `make printers`"):
        missing(real.NotInstalled("moonraker"))
