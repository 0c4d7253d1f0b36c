"""Targets of the Makefile, as make would run them."""

import re
import subprocess

import pytest

from tests.conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
COMMANDS = {
    "collect": "collectstatic --noinput",
    "migrate": "migrate",
    "superuser": "createsuperuser",
    "shell": "shell",
    "psql": "dbshell",
    "backup": "backup",
    "restore": "restorebackup",
    "rehearse": "rehearsemoves",
    "ready": "moveready",
    "verify": "verifymoves",
}


def make(*arguments: str) -> str:
    """What it would run."""
    command = ["make", "-n", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("target", "command"), COMMANDS.items())
def test_commands_run_here_and_in_a_container(target: str, command: str) -> None:
    assert make(target, "ARGS=--help").splitlines()[-1] == f".venv/bin/python manage.py {command} --help"
    inside = make(target, "DOCKER=1")
    assert inside.strip() == f"docker compose run --rm --no-deps web python manage.py {command}"


def test_nothing_that_is_typed_deletes_volumes() -> None:
    assert make("docker-down", "ARGS=--volumes").strip() == "docker compose --profile '*' down --remove-orphans"
    assert re.findall(r"(?m)^\t.*(?:down .*(?:-v\b|--volumes)|volume (?:rm|prune)|system prune).*$", MAKEFILE) == []


def test_docker_up_asks_for_migrations_before_anything_is_replaced() -> None:
    steps = make("docker-up").splitlines()
    assert [step.split()[2] for step in steps] == ["build", "up", "run", "up"]
    assert steps[1].endswith("--wait db redis")
    assert steps[2].endswith("--no-deps migrate")


def test_help_names_every_target() -> None:
    said = make("help")
    targets = re.findall(r"(?m)^([a-z-]+):", MAKEFILE)
    assert len(targets) > 40
    assert [name for name in targets if not re.search(rf"\b{name}\b", said)] == []


def test_make_up_is_the_embedded_farm() -> None:
    assert make("up").splitlines()[-1].endswith(".venv/bin/python scripts/up.py")
