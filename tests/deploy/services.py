"""The services of docker-compose.yml as plain processes: what containers run, in a folder with what the image has.

PostgreSQL 17.4 from npm, Redis from Debian; the commands are those of docker-compose.yml.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from tests.conftest import ROOT
from tests.deploy import releases
from tests.deploy.test_compose import SECRETS, SET, compose
from tests.servers.plugin import refuse
from tests.servers.starting import NotInstalled, free_port

NEEDED = {"npm": "npm", "psql": "postgresql", "redis-server": "redis-server"}


class Services:
    """What stands in docker-compose.yml, with places of this machine instead of names of containers."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.release = releases.make(folder, "image")
        self.redis, self.web = free_port(), free_port()
        superuser = urllib.parse.urlsplit(self.start_postgres())
        self.database = superuser.port or 0
        self.fill(superuser)
        shutil.copy(ROOT / "docker-compose.yml", folder)
        (folder / ".env").write_text("BEHIND_TLS_PROXY=true\n")
        done = compose(folder, "--profile", "*", "config", "--format", "json", **SET)
        self.declared: dict[str, Any] = json.loads(done.stdout)["services"]

    def start_postgres(self) -> str:
        """DATABASE_URL of its superuser. The server ends with its input."""
        command = [ROOT / "scripts" / "postgres.sh", "17", "sh", "-c", 'echo "$DATABASE_URL"; cat']
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin
        assert process.stdout
        self.stack.callback(process.wait)
        self.stack.enter_context(process.stdout)
        self.stack.enter_context(process.stdin)
        return process.stdout.readline().strip()

    def fill(self, superuser: urllib.parse.SplitResult) -> None:
        """As the container does with a new volume."""
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(superuser.port), "PGPASSWORD": str(superuser.password)}
        subprocess.run(
            ["bash", ROOT / "deploy" / "postgres-init.sh"],
            env={"PATH": os.environ["PATH"], "POSTGRES_PASSWORD": SECRETS["POSTGRES_PASSWORD"]} | place,
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def environment(self, service: str) -> dict[str, str]:
        given: dict[str, str] = self.declared[service]["environment"]
        places = {"@db:5432": f"@127.0.0.1:{self.database}", "@redis:6379": f"@127.0.0.1:{self.redis}"}
        moved = dict(given, BACKUP_DIR=str(self.folder / "backups"), WEB_PORT=str(self.web))
        for before, after in places.items():
            moved = {name: value.replace(before, after) for name, value in moved.items()}
        return {"PATH": f"{self.release}/.venv/bin:{os.environ['PATH']}", "HOME": str(self.folder)} | moved

    def command(self, service: str) -> list[str]:
        """The file's, or the image's; programs of Python by Python, since no script leads to this folder's."""
        image = json.loads(re.findall(r"(?m)^CMD (.*)$", (ROOT / "Dockerfile").read_text())[0])
        words = [str(word) for word in self.declared[service].get("command") or image]
        words = [word.replace("0.0.0.0:8000", f"127.0.0.1:{self.web}") for word in words]
        return words if words[0] == "python" else ["python", "-m", *words]

    def run(self, *command: str, service: str = "web") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.release, env=self.environment(service), stdin=subprocess.DEVNULL, capture_output=True,
            text=True,
        )  # fmt: skip

    @contextlib.contextmanager
    def running(self, service: str) -> Iterator[subprocess.Popen[bytes]]:
        """Ends by SIGTERM, as a container does, within the time that the file gives it."""
        with (self.folder / f"{service}.log").open("wb") as log:
            process = subprocess.Popen(
                self.command(service), cwd=self.release, env=self.environment(service), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait()

    def query(self, sql: str) -> list[Any]:
        with psycopg.connect(self.environment("web")["DATABASE_URL"]) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[arg-type]

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(errors="replace")


S = TypeVar("S", bound=Services)


@contextlib.contextmanager
def started(kind: type[S], folder: Path) -> Iterator[S]:
    """PostgreSQL and Redis are there until the block ends; without their programs the test is skipped, or fails."""
    for program, package in NEEDED.items():
        if shutil.which(program) is None:
            refuse(NotInstalled(package))
    with contextlib.ExitStack() as stack:
        made = kind(folder, stack)
        # As its container starts it, but for the folder, the port, and whom it listens to.
        (redis,) = (word for word in made.declared["redis"]["command"] if word.startswith("exec"))
        redis = redis.replace("$$", "$") + f" --port {made.redis} --bind 127.0.0.1 --dir {folder}"
        process = subprocess.Popen(
            ["sh", "-c", redis], env={"PATH": os.environ["PATH"]} | made.declared["redis"]["environment"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        stack.callback(process.wait)
        stack.callback(process.terminate)
        yield made


def healthy(services: Services) -> bool:
    return services.run("python", "scripts/healthcheck.py").returncode == 0
