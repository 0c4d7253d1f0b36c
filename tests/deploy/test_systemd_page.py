"""docs/systemd.md, from an empty machine to its second release.

What root does is done in the test's folder: `sudo` runs as who runs the test, `systemctl` starts what the units say,
`apt-get` and `useradd` do nothing. An environment has this one's packages, and pip says whether they are enough.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.embedded import programs
from tests.apart import server_apart
from tests.deploy.link import Link
from tests.deploy.machine import Machine
from tests.pages import Reader, blocks, commands, reading
from tests.servers.plugin import refuse
from tests.servers.starting import NotInstalled, free_port

PAGE = "docs/systemd.md"
SUDO = "os.execvp(words[2], words[2:]) if words[0] == '-u' else os.execvp(words[0], words)"
INSTALL = """
os.execv("/usr/bin/install", ["install", *(word for word in words if not word.startswith(("--owner", "--group")))])
"""
GIT = """
assert words[:3] == ["clone", "--branch", "main"]
from tests.deploy import releases
releases.copy(pathlib.Path(words[-1]), "deploy", "docs")
script = pathlib.Path(words[-1]) / "scripts" / "release.py"
releases.change(script, "/srv/farm/current", str(here.parent / "srv/farm/current"))
releases.change(script, "/run/farm", str(here.parent / "run"))
"""
PYTHON3 = """
assert words == ["-m", "venv", ".venv"]
from tests.deploy import releases
releases.give_environment(pathlib.Path.cwd())
pip = pathlib.Path(".venv/bin/pip")
pip.write_text(f"#!/bin/sh\\nexec {sys.executable} -m pip \\"$@\\" --no-index --dry-run --quiet\\n")
pip.chmod(0o755)
"""
SYSTEMCTL = """
verb, *units = (word for word in words if not word.startswith("-"))
for unit in (one for one in units if not one.endswith(".timer")):
    pid = here / f"{unit}.pid"
    if verb == "restart":
        os.kill(int(pid.read_text()), 15)
    units = (here.parent / "etc/systemd/system" / f"{unit}.service").read_text()
    (command,) = (line for line in units.splitlines() if line.startswith("ExecStart="))
    for before, after in json.loads((here / "places").read_text()).items():
        command = command.replace(before, after)
    current = here.parent / "srv/farm/current"
    with (here / f"{unit}.log").open("ab") as log:
        process = subprocess.Popen(
            command.removeprefix("ExecStart=").split(), cwd=current, env=os.environ | {"PWD": str(current)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )
    pid.write_text(str(process.pid))
    while unit == "farm-web" and not list((here.parent / "run").glob("web.pid.*.loaded")):
        assert process.poll() is None, (here / f"{unit}.log").read_text()
        time.sleep(0.05)
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Whatever its systemctl has started ends with the test."""
    made = Machine(
        tmp_path / "bin", sudo=SUDO, install=INSTALL, git=GIT, python3=PYTHON3, systemctl=SYSTEMCTL, apt_get="",
        useradd="",
    )  # fmt: skip
    for name in ("run", "etc/systemd/system", "srv/farm"):
        (tmp_path / name).mkdir(parents=True)
    yield made
    started = [one for one in psutil.process_iter(["environ"]) if belongs(one, tmp_path)]
    for process in started:
        process.kill()
    psutil.wait_procs(started)


def belongs(process: psutil.Process, folder: Path) -> bool:
    return str((process.info["environ"] or {}).get("PWD", "")).startswith(str(folder))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    program = shutil.which("redis-server")
    if program is None:
        refuse(NotInstalled("redis-server"))
    with subprocess.Popen(
        [str(program), "--port", str(port), "--save", "", "--dir", tmp_path], stdout=subprocess.DEVNULL
    ) as process:
        yield f"redis://127.0.0.1:{port}/1"
        process.terminate()


@pytest.fixture
def reader(machine: Machine, tmp_path: Path) -> Iterator[Reader]:
    """Of the page, on a machine with a PostgreSQL of its own; nobody's settings but those of its .env."""
    web = free_port()
    with server_apart("elsewhere") as data:
        link = Link(f"{data}/.s.PGSQL.5432")
        places = {"/srv/farm": f"{tmp_path}/srv/farm", "/run/farm": f"{tmp_path}/run", ":8000": f":{web}"}
        (machine.folder / "places").write_text(json.dumps(places))
        places |= {
            "/var/lib/farm": f"{tmp_path}/var/lib/farm",
            "/etc/systemd/system": f"{tmp_path}/etc/systemd/system",
            "https://farm.example.com": f"http://127.0.0.1:{web}",
            "127.0.0.1:5432": f"127.0.0.1:{link.port}",
        }
        given = {"PGHOST": "127.0.0.1", "PGPORT": str(link.port), "PGUSER": "postgres"}
        path = f"{machine.folder}:{programs.installation() / 'bin'}"
        with reading(PAGE, tmp_path, places, PATH=path, **given) as made:
            for name in {"DJANGO_ENV", "DEBUG", "DATABASE_URL", "BACKUP_DIR", "LEGACY_DB_DB"} & made.environment.keys():
                del made.environment[name]
            yield made
        link.close()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_command_in_the_order_of_the_page(reader: Reader, machine: Machine, cache: str, tmp_path: Path) -> None:
    reader.run("apt-get install")
    assert machine.asked("apt-get") == ["install python3-venv redis-server nginx"]
    reader.run("sudo -u postgres createuser", "PASSWORD\nPASSWORD\n")
    reader.run("install --mode=600")
    write_settings(tmp_path / "srv/farm/.env", reader.instead | {"redis://127.0.0.1:6379/1": cache})

    made = reader.run("cd /srv/farm/releases\ngit clone")
    assert "post-processed" in made, "files have names with a hash, as production wants them"
    served = reader.run("cp -r /srv/farm/current/deploy/systemd/.")
    assert "Applying printers.0002_migrate_printer_data" in served
    assert works(served)
    assert machine.asked("systemctl")[0] == "daemon-reload"

    (release,) = (block for block in commands(PAGE) if block.text.startswith("cd /srv/farm/releases\ngit clone"))
    beside = release.text.replace("2026-11-28", "2026-12-05").rpartition("ln -s")[0]
    assert reader.type(beside).returncode == 0
    second = reader.run("cd /srv/farm/releases/2026-12-05")
    assert "2026-12-05 serves." in second
    assert works(second)
    assert (tmp_path / "srv/farm/current").readlink().name == "2026-12-05"


def write_settings(file: Path, instead: dict[str, str]) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    (shown,) = (block.text for block in blocks(PAGE) if "DATABASE_URL" in block.text)
    for before, after in instead.items():
        shown = shown.replace(before, after)
    file.write_text(shown)


def works(said: str) -> bool:
    """As smoke.py says, of all that can be tried here: everybody is on the old side still, which imports nothing."""
    lines = re.findall(r"(?m)^(ok|--|FAILED) +([\w ]+):", said)
    return [what for verdict, what in lines if verdict == "ok"][:5] == [
        "health",
        "cache",
        "login page",
        "static file",
        "API",
    ]
