"""`scripts/release.py` puts releases into service while people ask: no request fails, also where one does not start."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.database import url
from tests.deploy import releases
from tests.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]


class Farm:
    """gunicorn as the unit starts it, below another folder and at another port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.current, self.run = folder, folder / "current", folder / "run"
        self.run.mkdir()
        self.current.symlink_to(releases.make(folder, "first"))
        self.pid_file = self.run / "web.pid"
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(self.run / "notify"))
        self.systemd.setblocking(False)
        self.environment = os.environ | {
            "DATABASE_URL": url(),
            "PWD": str(self.current),
            "NOTIFY_SOCKET": str(self.run / "notify"),
            "ALLOWED_HOSTS": "127.0.0.1",
        }

    def start(self) -> None:
        places = {"/srv/farm/current": str(self.current), "/run/farm": str(self.run), ":8000": f":{self.port}"}
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                releases.started_by("farm-web.service", **places), cwd=self.current, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: list(self.run.glob("web.pid.*.loaded")), "gunicorn did not load.")

    def stop(self) -> None:
        for pid in {self.process.pid, self.master()}:
            with contextlib.suppress(psutil.NoSuchProcess):
                master = psutil.Process(pid)
                family = [*master.children(recursive=True), master]
                for process in family:
                    process.kill()
                psutil.wait_procs(family)
        self.process.wait()
        self.systemd.close()

    def release(self, name: str) -> tuple[int, str]:
        """Exit code of the release's script, and what it printed."""
        folder = self.folder / "releases" / name
        command = [releases.python(folder), folder / "scripts" / "release.py"]
        done = subprocess.run(
            [*command, "--current", self.current, "--pid-file", self.pid_file],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def ask(self, path: str = "/healthz") -> dict[str, Any]:
        """On a connection of its own, however long it takes. Raises whatever goes wrong."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != 200:
            raise http.client.HTTPException(f"{answer.status}: {body[:200]!r}")
        return dict(json.loads(body))

    def master(self) -> int:
        return int(self.pid_file.read_text())

    def told(self) -> list[str]:
        """What systemd was told since it was asked last."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.systemd.recv(4096).decode())
        return found


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class Load:
    """People who ask, one request after the other, until they are told to stop; as many as leave a machine room."""

    def __init__(self, farm: Farm, *, answered: Callable[[str], object] = str, people: int = 3) -> None:
        self.farm, self.answered = farm, answered
        self.answers, self.failures = Counter[str](), list[str]()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.go_on) for _ in range(people)]

    def go_on(self) -> None:
        while not self.over.is_set():
            try:
                release = self.farm.ask()["release"]
                self.answers[release] += 1
                self.answered(release)
                self.farm.ask("/readyz")
                self.over.wait(0.02)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        until(lambda: sum(self.answers.values()) > 20, "Nobody was answered.")
        return self

    def __exit__(self, *_: object) -> None:
        before = sum(self.answers.values())
        until(lambda: sum(self.answers.values()) > before + 20, "Nobody is answered any more.")
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_releases_under_load(farm: Farm) -> None:
    releases.make(farm.folder, "second")
    former = farm.master()
    farm.told()
    held = farm.folder / "let-go"
    kept: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: kept.append(farm.ask(f"/healthz?until={held}")))

    with Load(farm, answered=lambda release: release == "second" and held.touch()) as load:
        waiting.start()
        code, said = farm.release("second")
        held.touch()
        waiting.join()

    assert code == 0, said
    assert load.failures == []
    assert load.answers["first"] > 20
    assert load.answers["second"] > 20
    # Who was asked before the release answered after it.
    assert [answer["release"] for answer in kept] == ["first"]
    assert farm.current.readlink() == farm.folder / "releases" / "second"
    assert farm.ask() == {"release": "second", "prefix": str(farm.current / ".venv")}
    assert farm.master() != former
    assert farm.process.wait() == 0
    told = farm.told()
    assert f"MAINPID={farm.master()}" in told
    assert sorted(path.name for path in farm.run.glob("*.loaded")) == [f"web.pid.{farm.master()}.loaded"]


def test_releases_that_do_not_start(farm: Farm) -> None:
    """Each in another way; the first serves all the while, and is current afterwards."""
    late = releases.make(farm.folder, "late")
    (late / "core" / "wsgi.py").write_text("raise RuntimeError('this release does not start')\n")
    early = releases.make(farm.folder, "early")
    (early / "gunicorn.conf.py").write_text("raise RuntimeError('nor does this one')\n")
    unset = releases.make(farm.folder, "unset")
    (unset / "core" / "settings.py").write_text("raise RuntimeError('nor this one')\n")
    ahead = releases.make(farm.folder, "ahead")
    (ahead / "core" / "migrations" / "0999_later.py").write_text(
        "from django.db import migrations\n"
        "class Migration(migrations.Migration):\n"
        "    dependencies = [('core', '0002_cutover_and_faults')]\n"
    )
    former = farm.master()

    with Load(farm) as load:
        said = {name: farm.release(name) for name in ("late", "early", "unset", "ahead")}

    assert load.failures == []
    assert {code for code, _ in said.values()} == {1}
    assert "The new release ended while it started" in said["late"][1]
    assert "nor does this one" in (farm.folder / "log").read_text()
    assert "does not pass its checks, and nothing was changed" in said["unset"][1]
    assert "lacks migrations of the new release, and nothing was changed" in said["ahead"][1]
    assert farm.current.readlink() == farm.folder / "releases" / "first"
    assert farm.ask()["release"] == "first"
    assert set(load.answers) == {"first"}
    assert farm.master() == former
    assert [text for text in farm.told() if "MAINPID" in text] == []
    # And it goes on to one that does.
    releases.make(farm.folder, "good")
    code, text = farm.release("good")
    assert code == 0, text
    assert farm.ask()["release"] == "good"


def test_what_is_not_there_is_said_in_a_sentence(farm: Farm) -> None:
    folder = farm.folder / "releases" / "first"
    command = [releases.python(folder), folder / "scripts" / "release.py"]

    def said(current: Path, pid_file: Path) -> str:
        done = subprocess.run(
            [*command, "--current", current, "--pid-file", pid_file],
            env=farm.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        return done.stdout.splitlines()[-1]

    assert "names no gunicorn that you may signal" in said(farm.current, farm.run / "none")
    assert "can't be read: No such file" in said(farm.folder / "nowhere" / "current", farm.pid_file)
    assert "is not a link to a release" in said(folder, farm.pid_file)
