"""Runs Django's own test applications against models behind views, as old code finds them after a move.

`make django-suites` runs it; the source distribution of the installed Django is kept in var/django. Exits with 1
where a test fails that is not known to.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

from core.embedded import programs, server
from scripts.behind_views.moving import APPS, KINDS

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "var" / "django"
INSTALLED = "ALWAYS_INSTALLED_APPS = ["
CONFLICTS = "bulk_create.tests.BulkCreateTests"
FAILING = {
    # PostgreSQL knows no ON CONFLICT for the rows that a trigger carries.
    "computed": {
        f"{CONFLICTS}.test_{name}"
        for name in (
            "ignore_conflicts_ignore",
            "update_conflicts_two_fields_unique_fields_first",
            "update_conflicts_two_fields_unique_fields_second",
            "update_conflicts_unique_fields",
            "update_conflicts_unique_fields_pk",
            "update_conflicts_unique_fields_update_fields_db_column",
            "update_conflicts_unique_two_fields_unique_fields_both",
        )
    }
}
"""What can't be done behind a view, by its kind: docs/guide/views.md."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labels", nargs="*", default=APPS, help="test applications, classes or tests of Django")
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="of views; all by default")
    options = parser.parse_args()
    tests = fetch(metadata.version("Django"))
    with tempfile.TemporaryDirectory(prefix="behind-") as folder:
        data = Path(folder) / "data"
        server.hold(data)
        environment = {
            **os.environ,
            "BEHIND_HOST": str(server.socket_folder(data)),
            "BEHIND_PORT": str(server.PORT),
            "BEHIND_USER": server.SUPERUSER,
            "PYTHONPATH": str(ROOT),
        }
        try:
            passed = [run(tests, kind, options.labels, environment) for kind in options.kind or sorted(KINDS)]
        finally:
            programs.run("pg_ctl", "stop", "-D", str(data), "-m", "immediate", cwd=data)
    return 0 if all(passed) else 1


def fetch(version: str) -> Path:
    """The folder of the tests of a Django; its source is downloaded once."""
    tests = FOLDER / f"django-{version}" / "tests"
    if not tests.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*download, "--no-binary", ":all:", f"Django=={version}"], cwd=FOLDER, check=True)
        (archive,) = FOLDER.glob(f"[Dd]jango-{version}.tar.gz")
        with tarfile.open(archive) as source:
            source.extractall(FOLDER, filter="data")
    # The script has its own list of installed apps.
    text = (tests / "runtests.py").read_text(encoding="utf-8")
    assert text.count(INSTALLED) == 1  # noqa: S101
    changed = text.replace(INSTALLED, f'{INSTALLED}\n    "rehome",')
    (tests / "runtests_behind.py").write_text(changed, encoding="utf-8")
    return tests


def run(tests: Path, kind: str, labels: list[str], environment: dict[str, str]) -> bool:
    """Whether no other test has failed than is known."""
    print(f"=== Django's tests behind views: {kind}", flush=True)
    command = [sys.executable, "-W", "ignore", "runtests_behind.py", "--settings", "scripts.behind_views.settings"]
    ran = subprocess.Popen(
        [*command, "--noinput", "--parallel", "1", *labels],
        cwd=tests,
        env={**environment, "BEHIND_KIND": kind},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.stdout is not None  # noqa: S101
    ended, failed = False, set()
    for line in ran.stdout:
        print(line, end="", flush=True)
        ended = ended or line.startswith("Ran ")
        if found := re.match(r"(?:ERROR|FAIL): \w+ \((\S+)\)", line):
            failed.add(found[1])
    others = failed - FAILING.get(kind, set())
    print(f"{kind}: {len(failed)} tests have failed, {len(others)} of them are not known to fail there.")
    return ended and not others and (ran.wait() == 0 or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
