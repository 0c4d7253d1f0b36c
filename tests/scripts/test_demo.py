"""`make demo`, small, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.db import ProgrammingError, connection
from pytest_django import DjangoDbBlocker

from portal.models import Printer
from scripts import seeding
from scripts.demo import OLD, Demo, Wrong
from tests.conftest import ROOT
from tests.database import url_of


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), *arguments],
        cwd="/",
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_the_demo_migrates_rolls_back_and_migrates_again() -> None:
    done = demo("--profiles", "200", "--printers", "2000")

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line[:1].isdigit()][:9] == [
        "1. Build the monolith before the split",
        "2. Fill it",
        "3. Move",
        "4. Verify",
        "5. Write as servers of the previous and of the new release do at once",
        "6. Roll back",
        "7. Check what was written",
        "8. Move again",
        "9. Verify again",
    ]
    assert "    210 profiles and 2,009 printers." in lines
    assert "    portal.Printer -> printers.Printer: 2,015 rows are equal." in lines
    assert "rows in the new table                                 213                 2,015" in lines
    assert lines[-3:-1] == ["", "The farm has moved, and every write is there."]
    assert max(map(len, (done.stdout + done.stderr).splitlines())) <= 80
    assert "    [6/6] foreign keys, statistics" in done.stderr
    assert "\033" not in done.stdout + done.stderr


@pytest.fixture
def somebody(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database beside which there is another, under the name that the demo would give its own."""
    names = ("test_somebody", "test_somebody_demo")
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        for name in names:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
            cursor.execute(f'CREATE DATABASE "{name}"')
        yield names[0]
        for name in names:
            cursor.execute(f'DROP DATABASE "{name}"')


def test_a_database_that_the_demo_did_not_make_is_left_alone(somebody: str) -> None:
    done = demo(DATABASE_URL=url_of(somebody))

    assert done.returncode == 1
    assert "There is a database 'test_somebody_demo' that this script did not make; rename it first." in done.stderr


def test_rows_that_nobody_wrote_to_are_looked_at_too(db: None) -> None:
    demonstration = Demo(profiles=1, printers=1000)
    untouched, born = seeding.last_key(1000), seeding.last_key(1000) + 1
    for key in (untouched, born):
        Printer.objects.create(id=key, ip_address="192.0.2.1", api_key=str(key))
    demonstration.untouched = demonstration.fingerprint(OLD)
    Printer.objects.filter(pk=born).update(ping=True)
    demonstration.find_everything(OLD)

    Printer.objects.filter(pk=untouched).update(ping=True)

    with pytest.raises(Wrong, match="Rows of portal that nobody wrote to"):
        demonstration.find_everything(OLD)


def test_another_error_than_the_refusal_of_the_new_tables_fails(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE printers_printer RENAME ip_address TO address")

    with pytest.raises(ProgrammingError, match="ip_address"):
        Demo(profiles=1, printers=1).try_a_straggler()


@pytest.mark.parametrize("argument", ["--profiles", "--printers"])
def test_no_rows_are_wrong_usage(argument: str) -> None:
    done = demo(argument, "0")

    assert done.returncode == 2
    assert "at least" in done.stderr
