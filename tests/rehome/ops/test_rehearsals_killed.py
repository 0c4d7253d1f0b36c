"""A rehearsal that is killed, or ended: what is left of it, and who finds that."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from rehome.ops import scratch
from rehome.ops.backups.store import Store
from rehome.ops.scratch import Leftover
from rehome.ops.servers import Server
from tests.conftest import ROOT
from tests.database import dump, url_of
from tests.farm import farm
from tests.rehome.product import phases
from tests.rehome.support import rehearsals
from tests.waiting import until

pytestmark = pytest.mark.long
REHEARSE = f"""
import django
from django.conf import settings
from core import settings as project
names = ["DATABASES", "DEFAULT_AUTO_FIELD", "SECRET_KEY", "STORAGES", "USE_TZ"]
settings.configure(INSTALLED_APPS={[*phases.APPS, *phases.OWN]}, **{{name: getattr(project, name) for name in names}})
django.setup()
from django.core.management import ManagementUtility
ManagementUtility(["manage.py", "rehearsemoves", "--here"]).execute()
"""


@pytest.fixture(scope="module")
def never_run(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), phases.project(), phases.template(phases.NEVER) as name:
        yield name


@pytest.fixture
def shop(never_run: str, store: Store, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), rehearsals.shop(never_run) as name:
        yield name
        for left in left_of(name):
            scratch.drop(Server.of(connection), left)


def begin(database: str, folder: Path, moment: str) -> "subprocess.Popen[str]":
    """In a process of its own, that has come to where it says `moment`."""
    process = subprocess.Popen(
        [sys.executable, "-c", REHEARSE],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url_of(database), "BACKUP_DIR": str(folder), "DJANGO_SETTINGS_MODULE": ""},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if moment in line:
            return process
    process.communicate()
    raise AssertionError("".join(said))


def left_of(database: str) -> list[Leftover]:
    """Other workers of the tests leave some, too."""
    found = scratch.leftovers(Server.of(connection))
    return [one for one in found if f"rehearsemoves of {database}," in one.comment]


def ask(shop: str) -> str:
    """What the next run says; it ends before it does anything."""
    said = StringIO()
    with pytest.raises(CommandError, match="There is no backup of "):
        call_command("rehearsemoves", "--here", from_backup="nothing", stdout=StringIO(), stderr=said)
    return said.getvalue()


@pytest.mark.parametrize("moment", ["[2/4] read the archive", "Migrating", "Moving back"])
def test_a_later_run_finds_what_a_killed_one_left_and_drops_it_when_told(
    shop: str, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump()
    process = begin(shop, tmp_path, moment)
    if moment.startswith("[2/4]"):
        until(lambda: rehearsals.copies(shop), "it has made no copy")
    assert left_of(shop) == []  # It is in use.
    process.send_signal(signal.SIGKILL)
    process.communicate()
    [left] = until(lambda: left_of(shop), "nobody notices that it was killed")

    told = ask(shop)
    assert f"A run that was killed has left database {left.name} (rehome: rehearsemoves of {shop}" in told
    assert f'DROP DATABASE "{left.name}"' in told
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "no")
    ask(shop)
    assert rehearsals.copies(shop) == [left.name]
    monkeypatch.setattr("builtins.input", lambda question: "yes" if left.name in question else "no")
    ask(shop)
    assert rehearsals.copies(shop) == []
    assert dump() == before
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    until(lambda: farm.sql(sessions) == [(1,)], "a session on the source is left")


@pytest.mark.usefixtures("_hung_up")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_that_is_told_to_end_drops_its_copy(shop: str, tmp_path: Path, number: signal.Signals) -> None:
    before = dump()
    process = begin(shop, tmp_path, "Migrating")
    process.send_signal(number)
    _, said = process.communicate()

    assert process.returncode == 128 + number, said
    assert "Interrupted. The copy is dropped; nothing was written to the source." in said
    assert rehearsals.copies(shop) == []
    assert dump() == before
