"""`make up`: a stranger sees a living farm, and nothing is left when it ends, however it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psutil
import psycopg
import pytest

from core.embedded import server
from tests.conftest import ROOT
from tests.servers.plugin import refuse
from tests.servers.starting import NotInstalled
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.long

STATES = {
    "Heron": "printing", "Curlew": "printing", "Dunlin": "heating", "Wren": "paused", "Robin": "ready",
    "Nuthatch": "ready", "Siskin": "finished", "Crane": "error", "Plover": "attention", "Lapwing": "refused",
    "Avocet": "disconnected", "Stork": "unreachable",
}  # fmt: skip


class Up:
    """One run of it, on a database of its own."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.data, self.output = folder / "postgres", folder / "output"
        environment = os.environ | {"EMBEDDED_POSTGRES_DIR": str(self.data), "PORT": "18000"} | more
        command = [sys.executable, "-u", str(ROOT / "scripts" / "up.py")]
        with self.output.open("wb") as log:
            self.started = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        self.process = psutil.Process(self.started.pid)

    def said(self) -> str:
        return self.output.read_text()

    def until_up(self) -> None:
        until(lambda: "Ctrl-C ends everything" in self.said() or self.started.poll() is not None, "It never came up.")
        assert self.started.poll() is None, self.said()
        self.meet()

    def meet(self) -> list[str]:
        """Know every process that it has now, and say what each was started as."""
        self.family = [self.process, *self.process.children(recursive=True)]
        return [" ".join(process.cmdline()) for process in self.family]

    def end(self, how: signal.Signals) -> int:
        self.started.send_signal(how)
        return self.started.wait()

    def left(self) -> list[Any]:
        """Processes that outlived it; those that are killed from above need a moment."""
        return [process for process in self.family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    def ask(self, sql: LiteralString) -> list[Any]:
        """Rows of its database."""
        socket = str(server.socket_folder(self.data))
        with psycopg.connect(host=socket, user=server.SUPERUSER, dbname=server.DATABASE) as connection:
            return connection.execute(sql).fetchall()

    def value(self, pattern: str) -> str:
        found = re.search(pattern, self.said(), re.MULTILINE)
        assert found, self.said()
        return found[1]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's, which each run of pytest closes to others, such as the user that the server runs as."""
    with tempfile.TemporaryDirectory(prefix="up-") as name:
        (Path(name) / "up").mkdir()
        # What it makes up begins with anything, also with what begins an option.
        (Path(name) / "up" / "password").write_text("-a-password")
        yield Path(name)


@contextmanager
def started(folder: Path, **more: str) -> Iterator[Up]:
    run = Up(folder, **more)
    try:
        yield run
    finally:
        run.started.kill()
        run.started.wait()


@pytest.fixture
def up(folder: Path) -> Iterator[Up]:
    with started(folder) as run:
        yield run


@pytest.fixture
def with_workers(folder: Path) -> Iterator[Up]:
    if shutil.which("redis-server") is None:
        refuse(NotInstalled("redis-server"))
    with started(folder, CELERY="1") as run:
        yield run


def states(up: Up) -> dict[str, str]:
    return dict(up.ask("SELECT name, state FROM fleet_machine JOIN fleet_lastseen USING (printer_id)"))


def test_a_stranger_sees_a_living_farm_and_ends_it(up: Up) -> None:
    up.until_up()
    assert states(up) == STATES
    url = up.value(r"^Print farm: +(\S+)$")
    with httpx.Client(base_url=url, timeout=LIMIT_S, follow_redirects=True) as person:
        page = person.get("/accounts/login/")
        assert page.status_code == 200
        login = {
            "login": up.value(r"^Log in as: +(\S+)$"),
            "password": up.value(r"^Password: +(\S+)$"),
            "csrfmiddlewaretoken": person.cookies["csrftoken"],
        }
        assert person.post("/accounts/login/", data=login).status_code == 200
        assert "Heron" in person.get("/printers/").text
        style = re.search(r'href="(/static/[^"]+\.css)"', page.text)
        assert style
        assert person.get(style[1]).status_code == 200

    assert up.end(signal.SIGINT) == 0
    assert up.left() == []
    assert not (up.data / "postmaster.pid").exists()
    assert "Traceback" not in up.said()


def test_it_ends_on_sigterm_as_well_and_finds_its_printers_again(up: Up, folder: Path) -> None:
    up.until_up()
    assert up.end(signal.SIGTERM) == 0
    assert up.left() == []
    assert not (up.data / "postmaster.pid").exists()

    again = Up(folder)
    again.until_up()
    assert states(again) == STATES
    second = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "up.py")],
        env=os.environ | {"EMBEDDED_POSTGRES_DIR": str(again.data)}, capture_output=True, text=True,
    )  # fmt: skip
    assert second.returncode == 1
    assert second.stdout.startswith("`make up` runs already")
    # Not even then: who is killed can't end the others, but they notice.
    again.end(signal.SIGKILL)
    until(lambda: not again.left(), f"They live on: {again.left()}")


def test_it_ends_while_it_starts(up: Up) -> None:
    until(lambda: "Applying migrations" in up.said(), "It never began.")
    family = until(lambda: up.process.children(recursive=True), "It never started anything.")
    up.family = [up.process, *family]

    assert up.end(signal.SIGTERM) == 0
    until(lambda: not up.left(), f"They live on: {up.left()}")
    assert up.said().endswith("Ended.\n")


def test_workers_of_celery_poll_the_samples_and_end_with_the_farm(with_workers: Up) -> None:
    up = with_workers
    up.until_up()
    assert states(up) == STATES
    # As if nobody had asked: no process but a worker will.
    up.ask("DELETE FROM fleet_lastseen WHERE state = 'printing' RETURNING printer_id")
    until(lambda: states(up) == STATES, "No worker asked the printers.")
    assert set(up.ask("SELECT holder FROM monitoring_lease")) == {("celery",)}
    assert up.ask("SELECT count(*) > 0 FROM monitoring_shard") == [(True,)]
    commands = up.meet()
    assert [one for one in commands if "redis-server" in one]
    assert [one for one in commands if "celery -A core worker" in one]
    assert not [one for one in commands if "poll_printers" in one]

    assert up.end(signal.SIGINT) == 0
    assert up.left() == []
    assert not (up.data / "postmaster.pid").exists()
    assert "Traceback" not in up.said()


def test_samples_outside_the_farms_networks_are_refused(folder: Path) -> None:
    named = os.environ | {"EMBEDDED_POSTGRES_DIR": str(folder / "postgres"), "PRINTER_NETWORKS": "10.0.0.0/8"}
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "up.py")], env=named, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (
        1, "PRINTER_NETWORKS leaves out 127.0.0.1, where the sample printers are; add 127.0.0.0/8 to it.\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    "environment", [{"DJANGO_ENV": "production"}, {"DATABASE_URL": "postgres://farm.example.com/x"}]
)
def test_no_other_database_is_touched(environment: dict[str, str], tmp_path: Path) -> None:
    """It reads both as if they weren't there."""
    code = "import scripts.up, django.conf; print(django.conf.settings.DATABASES['default']['NAME'])"
    named = os.environ | environment | {"EMBEDDED_POSTGRES_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=named, cwd=ROOT, capture_output=True, text=True)

    assert done.stdout.strip() == server.DATABASE
