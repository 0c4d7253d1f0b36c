"""docs/docker.md, in the order of the page: the services of docker-compose.yml as plain processes, and no Docker.

`docker compose exec` and `run` run the command as the service would, with its environment, and those of `db` on its
server. What Docker alone can do, such as to build and to start, is asked of Compose as far as it reads it without
Docker (tests/test_blocks.py); `make image` builds the image.
"""

import json
import os
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.embedded import programs
from tests.apart import server_apart
from tests.conftest import ROOT
from tests.deploy.link import Link
from tests.deploy.machine import Machine
from tests.deploy.services import Services, healthy, started
from tests.deploy.test_compose import COMPOSE, SECRETS, SET
from tests.pages import Reader, blocks, reading
from tests.servers.starting import free_port
from tests.waiting import until

PAGE = "docs/docker.md"
ADMIN = "administrator"
"""A superuser by password: the one of the container is reached from within it alone."""
DOCKER = f"""
assert words[0] == "compose"
if words[1] in ("exec", "run"):
    given = [word for word in words[2:] if word not in ("-T", "--rm", "--no-deps")]
    service = json.loads((here / "services.json").read_text())[given[0]]
    command = given[1:] or service["command"]
    if command[0].startswith(("psql", "pg_")):
        command = ["{ADMIN}" if word == "postgres" else word for word in command]
    mine = {{name: text for name, text in os.environ.items() if name.startswith("DJANGO_SUPERUSER")}}
    os.chdir(service["folder"])
    os.environ["PATH"] = service["environment"]["PATH"]
    os.execvpe(command[0], command, service["environment"] | mine)
"""


class Farm(Services):
    def fill(self, superuser: urllib.parse.SplitResult) -> None:
        address = f"postgres://postgres:{superuser.password}@127.0.0.1:{superuser.port}/postgres"
        with psycopg.connect(address, autocommit=True) as session:
            session.execute(f"CREATE ROLE {ADMIN} SUPERUSER LOGIN PASSWORD '{ADMIN}'")
        super().fill(superuser)

    def superuser(self, statement: str) -> None:
        address = f"postgres://{ADMIN}:{ADMIN}@127.0.0.1:{self.database}/postgres"
        with psycopg.connect(address, autocommit=True) as session:
            session.execute(statement)  # type: ignore[arg-type]

    def write(self, file: Path) -> None:
        """What `docker compose` reaches."""
        inside = {
            "PATH": f"{programs.installation() / 'bin'}:{os.environ['PATH']}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.database),
            "PGPASSWORD": ADMIN,
            "PGDATABASE": "postgres",
        }
        services: dict[str, Any] = {
            name: {"folder": str(self.release), "environment": self.environment(name), "command": self.command(name)}
            for name in ("web", "migrate")
        }
        file.write_text(json.dumps(services | {"db": {"folder": str(self.folder), "environment": inside}}))


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    # As a server is that holds something: `moveready` says no where a crash could lose it.
    monkeypatch.setenv("POSTGRES_SETTINGS", "-c fsync=on -c full_page_writes=on")
    with started(Farm, tmp_path / "farm") as made:
        yield made


@pytest.fixture
def machine(farm: Farm, tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "bin", docker=DOCKER, git="assert words == ['pull']")
    farm.write(made.folder / "services.json")
    return made


@pytest.fixture
def reader(farm: Farm, machine: Machine, tmp_path: Path) -> Iterator[Reader]:
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "docker-compose.yml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    instead = {"/srv/farm": str(folder), "http://127.0.0.1:8000": f"http://127.0.0.1:{farm.web}"}
    given = {"PATH": str(machine.folder), "ARGS": "", "DJANGO_SUPERUSER_PASSWORD": "Vp8-test-of-a-page"}
    with reading(PAGE, folder, instead, **given) as made:
        yield made


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_command_in_the_order_of_the_page(reader: Reader, farm: Farm, machine: Machine) -> None:
    who = {"ARGS": "--noinput", "DJANGO_SUPERUSER_EMAIL": "ada@example.com"}
    tried = reader.run("make docker-env\n", **who, DJANGO_SUPERUSER_USERNAME="ada")
    assert "Wrote .env." in tried
    assert "The database is ready." in tried
    # Both ways to begin are on the page; one farm begins once.
    (reader.folder / ".env").unlink()
    collected = farm.run("python", "manage.py", "collectstatic", "--noinput", "--verbosity", "0")
    assert collected.returncode == 0, collected.stderr

    with farm.running("web"):
        until(lambda: healthy(farm), "It is not ready.")
        works(reader.run("make docker-env HOST=", **who, DJANGO_SUPERUSER_USERNAME="bob"))
        reader.run("docker compose exec db psql")
        before = SECRETS["POSTGRES_PASSWORD"]
        farm.superuser(f"ALTER ROLE farm PASSWORD '{before}'")
        reader.run("make migrate DOCKER=1")
        assert "Proved: " in reader.run("30 2 * * *")
        works(reader.run("git pull"))
        reader.run("docker compose pull db")
    assert machine.asked("git") == ["pull"]

    to_another_major(reader, farm, machine)


def works(said: str) -> None:
    lines = [line.split()[0] for line in said.splitlines() if line.startswith(("ok ", "-- ", "FAILED "))]
    assert len(lines) == 8
    assert "FAILED" not in lines


def to_another_major(reader: Reader, farm: Farm, machine: Machine) -> None:
    """From PostgreSQL 17.4 to the embedded one's version, as if that were the new volume's."""
    reader.run("make backup DOCKER=1\ndocker compose stop")
    (override,) = (block.text for block in blocks(PAGE) if block.language == "yaml")
    (reader.folder / "docker-compose.override.yml").write_text(override)
    read = subprocess.run(
        [COMPOSE, "config", "--format", "json"], cwd=reader.folder, env={"PATH": os.environ["PATH"]} | SET,
        check=True, capture_output=True,
    )  # fmt: skip
    assert json.loads(read.stdout)["volumes"]["database"]["name"] == "farm_database_18"

    with server_apart("elsewhere") as data:
        link = Link(f"{data}/.s.PGSQL.5432")
        farm.database = link.port
        farm.fill(urllib.parse.urlsplit(f"postgres://postgres:unused@127.0.0.1:{link.port}"))
        farm.write(machine.folder / "services.json")
        moved = reader.run("docker compose up --detach --wait db redis")
        assert "The database has every migration of this release." in moved
        assert farm.query("SELECT username FROM auth_user ORDER BY username") == [("ada",), ("bob",)]
        link.close()


@pytest.mark.skipif(
    shutil.which("nginx") is None and os.environ.get("REQUIRE_LEGACY_SERVERS") != "1",
    reason="nginx is not installed: make servers installs it",
)
def test_nginx_reads_its_lines(tmp_path: Path) -> None:
    (lines,) = (block.text for block in blocks(PAGE) if block.language == "nginx")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    request += ["-subj", "/CN=farm.example.com", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(request, check=True, capture_output=True)
    lines = lines.replace("/etc/letsencrypt/live/farm.example.com", str(tmp_path)).replace("443", str(free_port()))
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/errors; events {{}}\nhttp {{ access_log off;\n{lines}\n}}\n"
    )
    done = subprocess.run(["nginx", "-t", "-c", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
