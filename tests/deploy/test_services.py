"""The services of docker-compose.yml as plain processes work together; Adminer under PHP from Debian."""

import contextlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.services import Services, healthy, started
from tests.deploy.test_compose import SECRETS, seconds, start_period_of_the_image
from tests.servers.plugin import refuse
from tests.servers.starting import NotInstalled, free_port
from tests.waiting import LIMIT_S, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

ADMINER = Path("/usr/share/adminer/adminer.php")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    if shutil.which("php") is None or not ADMINER.exists():
        refuse(NotInstalled("php-cli", "php-pgsql", "adminer"))
    with started(Services, tmp_path) as made:
        yield made


def test_the_services_work_together(services: Services) -> None:
    collected = services.run("python", "manage.py", "collectstatic", "--noinput", "--verbosity", "0")
    assert collected.returncode == 0, collected.stderr
    first_migrate(services)
    with services.running("web") as web:
        until(lambda: healthy(services) or web.poll() is not None, "It is not ready.")
        assert web.poll() is None, services.log("web")
        files_are_served_for_good(services)
        smoke(services)
        checks(services)
        backups(services)
        printers_are_polled(services)
        adminer_answers(services)
    assert web.returncode == 0, services.log("web")
    assert services.run("python", "scripts/healthcheck.py").returncode == 1


def first_migrate(services: Services) -> None:
    began = time.monotonic()
    done = services.run(*services.command("migrate"), service="migrate")
    took = time.monotonic() - began
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "The database is ready."), done.stderr
    assert took < start_period_of_the_image()
    assert took < seconds(services.declared["web"]["healthcheck"]["start_period"])
    again = services.run(*services.command("migrate"), service="migrate")
    assert (again.returncode, again.stdout) == (0, "The database has every migration of this release.\n")
    # What another release has applied, and this one not.
    services.query("DELETE FROM django_migrations WHERE app = 'api' RETURNING name")
    behind = services.run(*services.command("migrate"), service="migrate")
    assert behind.returncode == 1
    assert "lacks migrations of this release: 1, the first of them api.0001_initial" in behind.stdout
    services.query(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('api', '0001_initial', now()) RETURNING id"
    )


def files_are_served_for_good(services: Services) -> None:
    page = ask(services, "/accounts/login/").read().decode()
    (style,) = set(re.findall(r'href="(/static/core/app\.[0-9a-f]{12}\.css)"', page))
    assert "immutable" in ask(services, style).headers["Cache-Control"]


def ask(services: Services, path: str) -> Any:
    headers = {"Host": "farm.example.com", "X-Forwarded-Proto": "https"}
    request = urllib.request.Request(f"http://127.0.0.1:{services.web}{path}", headers=headers)
    return urllib.request.urlopen(request, timeout=LIMIT_S)  # noqa: S310


def smoke(services: Services) -> None:
    done = services.run("python", "scripts/smoke.py", f"http://127.0.0.1:{services.web}")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line.split(":")[0].split()[-1] for line in done.stdout.splitlines() if line.startswith("ok ")]
    assert said == ["health", "cache", "page", "file", "API", "import", "export", "moves"]
    assert services.query("SELECT count(*) FROM auth_user") == [(0,)]


def checks(services: Services) -> None:
    """What is left to say is what the test leaves out; the role is no superuser, and files are collected."""
    said = services.run("python", "manage.py", "check", "--deploy", "--database", "default").stderr
    ids = set(re.findall(r"\((\w+\.[EW]\d+)\)", said)) - {"security.W009"}
    assert ids == {"farm.W003", "farm.W005", "farm.W006", "farm.W014", "farm.W016"}
    assert "PostgreSQL 17.4" in said


def backups(services: Services) -> None:
    """By the role of the portal, which is no superuser: made, restored into a database of its own, and compared."""
    for command in (["backup"], ["checkbackup", "--noinput"]):
        done = services.run("python", "manage.py", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((services.folder / "backups").rglob("*.proof.json"))) == 1


def printers_are_polled(services: Services) -> None:
    """By the poller, and by Celery's worker when that has gone."""
    with services.running("poller") as poller:
        until(lambda: holders(services) and "celery" not in holders(services), "Nobody polls.")
    assert poller.returncode == 0, services.log("poller")
    with services.running("worker"), services.running("beat"):
        until(lambda: holders(services) == {"celery"}, "No worker polls.")
        until(lambda: services.query("SELECT count(*) FROM monitoring_shard") == [(8,)], "Not every shard was asked.")


def holders(services: Services) -> set[str]:
    return {holder for (holder,) in services.query("SELECT holder FROM monitoring_lease WHERE until > now()")}


def adminer_answers(services: Services) -> None:
    """At 8082 where that is free; somebody logs in and sees the farm's tables."""
    port = 8082 if is_free(8082) else free_port()
    folder = services.folder / "adminer"
    folder.mkdir()
    shutil.copy(ADMINER, folder / "index.php")
    with (services.folder / "adminer.log").open("wb") as log:
        process = subprocess.Popen(["php", "-S", f"127.0.0.1:{port}", "-t", folder], stdout=log, stderr=log)
    try:
        until(lambda: not is_free(port), "Adminer does not listen.")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        server = f"127.0.0.1:{services.database}"
        login = {"driver": "pgsql", "server": server, "username": "farm", "db": "farm"}
        fields = {f"auth[{name}]": value for name, value in login.items()}
        fields["auth[password]"] = SECRETS["POSTGRES_PASSWORD"]
        page = opener.open(f"http://127.0.0.1:{port}/", urllib.parse.urlencode(fields).encode(), timeout=LIMIT_S)
        assert "printers_printer" in page.read().decode()
    finally:
        process.terminate()
        process.wait()


def is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
