"""The embedded server between processes: each test has a data folder of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.embedded import server
from tests.conftest import ROOT
from tests.manage import command
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.long

# Reads a table, so it has to connect.
CONNECT = ("showmigrations", "contenttypes")

# Connects, says so, and keeps the connection until its input ends.
HOLDER = """
import django; django.setup()
from django.db import connection
cursor = connection.cursor()
print("connected", flush=True)
input()
cursor.execute("SELECT 1")
"""


class Folder:
    """A data folder and the processes that use it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.environment = os.environ | {
            "DATABASE_URL": "",
            "EMBEDDED_POSTGRES_DIR": str(data),
            "DJANGO_SETTINGS_MODULE": "core.settings",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            arguments, cwd=ROOT, env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def holder(self) -> subprocess.Popen[str]:
        holder = self.start(sys.executable, "-c", HOLDER)
        assert holder.stdout
        assert holder.stdout.readline() == "connected\n", holder.communicate()
        return holder

    def run(self, *arguments: str) -> None:
        finish(self.start(*command(*arguments)))

    @property
    def postmaster(self) -> psutil.Process | None:
        if not server._is_running(self.data):
            return None
        return psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate("\n", timeout=LIMIT_S)
    assert process.returncode == 0, errors
    return output


@pytest.fixture
def folder() -> Iterator[Folder]:
    # Not tmp_path: pytest closes its folders to other users, and as root the server is one.
    parent = Path(tempfile.mkdtemp()).resolve()
    folder = Folder(parent / "postgres")
    yield folder
    if postmaster := folder.postmaster:
        postmaster.kill()
    shutil.rmtree(parent, ignore_errors=True)
    shutil.rmtree(server.socket_folder(folder.data), ignore_errors=True)


def test_a_command_that_needs_no_database_starts_no_server(folder: Folder) -> None:
    folder.run("--help")
    folder.run("check")

    assert not folder.data.exists()


def test_the_last_command_stops_the_server(folder: Folder) -> None:
    folder.run("migrate", "contenttypes")

    assert folder.postmaster is None
    folder.run("migrate", "contenttypes", "--check")


def test_ten_commands_at_once_on_an_empty_folder(folder: Folder) -> None:
    commands = [folder.start(*command(*CONNECT)) for _ in range(10)]

    for process in commands:
        assert "0001_initial" in finish(process)
    assert folder.data.is_dir()
    assert folder.postmaster is None


def test_commands_end_while_others_go_on(folder: Folder) -> None:
    first, second = folder.holder(), folder.holder()

    finish(first)
    folder.run(*CONNECT)

    assert folder.postmaster is not None
    finish(second)
    assert folder.postmaster is None


def test_a_killed_command_leaves_the_server_to_the_next(folder: Folder) -> None:
    holder = folder.holder()
    holder.kill()
    holder.communicate()
    assert folder.postmaster is not None

    folder.run(*CONNECT)

    assert folder.postmaster is None


@pytest.mark.parametrize("moment", ["postgres.new-*", "postgres/postmaster.pid"])
def test_a_command_killed_while_the_server_starts(folder: Folder, moment: str) -> None:
    process = folder.start(*command(*CONNECT))
    while not list(folder.data.parent.glob(moment)):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    folder.run(*CONNECT)

    assert folder.postmaster is None


def test_a_killed_server_is_started_again(folder: Folder) -> None:
    holder = folder.holder()
    assert folder.postmaster
    folder.postmaster.kill()
    holder.kill()
    holder.communicate()

    folder.run(*CONNECT)


def test_a_pid_that_another_program_was_given_is_not_the_server(folder: Folder) -> None:
    folder.run(*CONNECT)
    (folder.data / "postmaster.pid").write_text(f"{os.getpid()}\n{folder.data}\n1\n5432\n\n\n1 1\nready\n")

    folder.run(*CONNECT)


def test_a_path_too_long_for_a_socket(folder: Folder) -> None:
    folder.data = folder.data.parent / ("long" * 30) / "postgres"
    folder.environment["EMBEDDED_POSTGRES_DIR"] = str(folder.data)

    folder.run(*CONNECT)

    assert server.socket_folder(folder.data) != folder.data


def test_other_peoples_variables_do_not_reach_the_server(folder: Folder) -> None:
    folder.environment |= {"PGPORT": "6000", "PGDATA": "/nowhere", "PGHOST": "db.example.com"}

    folder.run(*CONNECT)


def test_dbshell_uses_the_psql_of_the_server(folder: Folder) -> None:
    shell = folder.start(*command("dbshell", "--", "-Atc", "SELECT current_database()"))

    assert finish(shell) == "portal\n"


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(folder: Folder) -> None:
    folder.data.mkdir()
    (folder.data / "thesis.txt").write_text("irreplaceable")

    process = folder.start(*command(*CONNECT))
    _, errors = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 1
    assert f"The embedded PostgreSQL in {folder.data} could not be started" in errors
    assert "EMBEDDED_POSTGRES_DIR" in errors
    assert [path.name for path in folder.data.iterdir()] == ["thesis.txt"]
