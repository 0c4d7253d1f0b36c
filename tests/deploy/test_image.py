"""Dockerfile and what goes into the image; `make image` builds and runs it."""

import fnmatch
import re
import subprocess

from tests.conftest import ROOT
from tests.deploy.test_compose import PROGRAMS

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_a_linter_has_no_complaint() -> None:
    done = subprocess.run([PROGRAMS / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_has_stages_a_user_a_home_and_a_health_check() -> None:
    assert len(re.findall(r"(?m)^FROM ", DOCKERFILE)) == 2
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"(?m)^USER 10001:10001$", final)
    assert "--create-home" in final
    assert re.search(r'(?m)^HEALTHCHECK .*"scripts/healthcheck.py"\]$', final)


def test_the_image_has_every_app_and_no_secret() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    kept = {line[1:] for line in lines if line.startswith("!")}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    apps = {path.partition("/")[0] for path in tracked.splitlines() if re.fullmatch(r"\w+/apps\.py", path)}
    assert apps | {"scripts", "requirements", "manage.py", "gunicorn.conf.py"} == kept
    assert any(fnmatch.fnmatch("core/.env", line) for line in lines[len(kept) :])
