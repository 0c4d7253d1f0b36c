"""The units of deploy/systemd, checked by systemd itself where it is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.servers.plugin import refuse
from tests.servers.starting import NotInstalled

UNITS = ROOT / "deploy" / "systemd"
NAMES = sorted(path.name for path in UNITS.glob("farm-*") if path.is_file())


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, with a release in a folder of the test's: systemd looks for what they start."""
    if shutil.which("systemd-analyze") is None:
        refuse(NotInstalled("systemd"))
    release = tmp_path / "current"
    (release / ".venv" / "bin").mkdir(parents=True)
    python = release / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    shutil.copytree(UNITS, tmp_path / "units")
    shutil.copytree(ROOT / "docs", release / "docs")
    for path in (tmp_path / "units").rglob("farm*"):
        if path.is_file():
            path.write_text(path.read_text().replace("/srv/farm/current", str(release)))
    return tmp_path / "units"


def analyze(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """With the folder before those of the system, so that what holds for every unit is read."""
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:"}
    return subprocess.run(["systemd-analyze", *arguments], env=environment, capture_output=True, text=True)


def test_there_is_one_for_each() -> None:
    services = {f"farm-{name}.service" for name in ("web", "poller", "worker", "beat", "backup")}
    assert services | {"farm-backup.timer"} <= set(NAMES)


def test_systemd_has_no_complaint(installed: Path) -> None:
    done = analyze(installed, "verify", *(installed / name for name in NAMES))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_complains_of_what_is_wrong(installed: Path) -> None:
    web = installed / "farm-web.service"
    web.write_text(web.read_text().replace("KillMode=mixed", "KillMood=mixed"))
    assert "KillMood" in analyze(installed, "verify", web).stderr


def test_what_holds_for_all_of_them_is_read(installed: Path) -> None:
    for name in NAMES:
        if name.endswith(".service"):
            said = analyze(installed, "security", "--offline=yes", installed / name).stdout
            (level,) = re.findall(r"exposure level for \S+: ([\d.]+)", said)
            assert float(level) < 3, said


def test_they_start_python_by_the_link_to_the_release() -> None:
    started = [line for name in NAMES for line in re.findall(r"(?m)^Exec\w+=(.*)$", (UNITS / name).read_text())]
    assert len(started) >= 7
    assert [line for line in started if not line.startswith("/srv/farm/current/.venv/bin/python ")] == []
