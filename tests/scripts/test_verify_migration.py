"""The script form of verifymoves, run as a person would: from anywhere, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.database import url
from tests.farm import farm


def verify(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "verify_migration.py", *arguments],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_proves_the_moves_from_another_folder(live: str, tmp_path: Path) -> None:
    done = verify(tmp_path, DATABASE_URL=url())

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Equal.")
    assert done.stderr.startswith("Comparing portal.Profile -> accounts.Profile ...\n")


def test_it_takes_the_same_options_and_keeps_stdout_for_the_result(live: str, tmp_path: Path) -> None:
    done = verify(tmp_path, "printers.Printer", "--format", "json", "--database=default", DATABASE_URL=url())

    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], len(found["moves"])) == (0, True, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit=-1"], "argument --limit: '-1' is not a number of differences; give 0 or more."),
        (["--database=nowhere"], "argument --database: invalid choice: 'nowhere'"),
        (["printers.Scanner"], "There is no move 'printers.Scanner'. The moves on this database: accounts.Profile"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str, live: str, tmp_path: Path) -> None:
    done = verify(tmp_path, *arguments, DATABASE_URL=url())

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_difference_exits_with_1(live: str, tmp_path: Path) -> None:
    farm.sql("ALTER TABLE printers_printer DISABLE TRIGGER USER")
    farm.sql("DELETE FROM printers_printer WHERE id = 20")

    done = verify(tmp_path, DATABASE_URL=url())

    assert done.returncode == 1
    assert "\n  public.printers_printer 20: missing\n" in done.stdout
    assert done.stderr.endswith("CommandError: Not in order: portal.Printer -> printers.Printer.\n")


def test_settings_that_can_not_be_used_are_one_sentence(tmp_path: Path) -> None:
    done = verify(tmp_path, DATABASE_URL="mysql://farm@db/farm")

    assert done.returncode == 1
    assert done.stderr.startswith("DATABASE_URL begins with 'mysql', but this project runs on PostgreSQL alone")
    assert "Traceback" not in done.stderr


def test_a_python_without_the_project_is_told_which_one_to_use(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "scripts" / "verify_migration.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "This Python has no Django. Run `make setup`, then .venv/bin/python scripts/verify_migration.py.\n"
    )
