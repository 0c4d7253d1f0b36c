"""Releases as docs/systemd.md lays them out: a folder with an environment each, and a link to the current one."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.manage import ROOT

PARTS = [
    "accounts", "api", "core", "legacy_app", "monitoring", "portal", "printers", "rehome", "scripts", "requirements",
    "gunicorn.conf.py", "manage.py",
]  # fmt: skip
HEALTHY = 'return JsonResponse({"status": "ok"})'
TELLING = """
    import os, sys, time
    held = request.GET.get("until")
    while held and not os.path.exists(held):
        time.sleep(0.01)
    return JsonResponse({"release": %r, "prefix": sys.prefix})
"""


def make(folder: Path, name: str) -> Path:
    """A copy of what the image has, whose /healthz says which release it is, and waits for a file if it is asked to."""
    release = folder / "releases" / name
    copy(release)
    change(release / "core" / "health.py", HEALTHY, TELLING % name)
    give_environment(release)
    return release


def copy(release: Path, *others: str) -> None:
    """What the image has, and other parts of the checkout."""
    release.mkdir(parents=True)
    for part in (*PARTS, *others):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, release / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, release / part)


def give_environment(release: Path) -> None:
    """One of its own that has the packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", release / ".venv"], check=True)
    (packages,) = (release / ".venv" / "lib").glob("python*/site-packages")
    (packages / "tested.pth").write_text(sysconfig.get_path("purelib"))
    shutil.copy(Path(sysconfig.get_path("scripts")) / "gunicorn", release / ".venv" / "bin")


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def python(release: Path) -> Path:
    return release / ".venv" / "bin" / "python"


def started_by(unit: str, **places: str) -> list[str]:
    """The command of a unit, with other places in it."""
    (line,) = re.findall(r"(?m)^ExecStart=(.*)$", (ROOT / "deploy" / "systemd" / unit).read_text())
    for before, after in places.items():
        assert before in line
        line = line.replace(before, after)
    return line.split()
