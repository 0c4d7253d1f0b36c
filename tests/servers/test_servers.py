"""The real servers are what the tests of imports take them for."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from django.db import connections
from django.db.utils import OperationalError
from pytest_django import DjangoDbBlocker

from tests.deploy import services
from tests.manage import ROOT
from tests.servers.mariadb import MariaDB
from tests.servers.plugin import packages
from tests.servers.postgis import PostGIS
from tests.waiting import LIMIT_S


def test_postgis_gives_each_test_an_empty_database_with_geometries(
    postgis: PostGIS, django_db_blocker: DjangoDbBlocker
) -> None:
    for _ in range(2):
        with postgis.database() as database, django_db_blocker.unblock(), database.alias("old") as alias:
            cursor = connections[alias].cursor()
            cursor.execute("CREATE TABLE place (id int, spot geometry(Point, 4326))")
            cursor.execute("INSERT INTO place VALUES (1, ST_Point(51.4, 35.7, 4326))")
            cursor.execute("SELECT current_user, ST_AsText(spot) FROM place")
            assert cursor.fetchone() == ("legacy", "POINT(51.4 35.7)")
        assert alias not in connections.databases


def test_mariadb_gives_each_test_an_empty_database(mariadb: MariaDB, django_db_blocker: DjangoDbBlocker) -> None:
    for _ in range(2):
        with mariadb.database() as database, django_db_blocker.unblock(), database.alias("old") as alias:
            cursor = connections[alias].cursor()
            cursor.execute("CREATE TABLE place (id int, name text)")
            cursor.execute("INSERT INTO place VALUES (1, 'تهران 🖨')")
            cursor.execute("SELECT substring_index(current_user(), '@', 1), name FROM place")
            assert cursor.fetchone() == ("legacy", "تهران 🖨")


def test_a_database_goes_whoever_is_still_at_work_in_it(postgis: PostGIS, mariadb: MariaDB) -> None:
    for server in (postgis, mariadb):
        with server.database() as database:
            server.run("CREATE TABLE place (id int)", name=database.name, user=database.user)
            left = server.connect(database.name, database.user)
            left.cursor().execute("BEGIN")
            left.cursor().execute("SELECT * FROM place")
        with server.database() as database, pytest.raises(left.ProgrammingError, match="place"):
            server.run("SELECT * FROM place", name=database.name)
        left.close()


def test_neither_lets_anybody_in_without_the_password(
    postgis: PostGIS, mariadb: MariaDB, django_db_blocker: DjangoDbBlocker
) -> None:
    for server in (postgis, mariadb):
        with (
            server.database() as database,
            database.alias("old", PASSWORD="wrong") as alias,
            django_db_blocker.unblock(),
            pytest.raises(OperationalError, match="(?i)password"),
        ):
            connections[alias].ensure_connection()


@pytest.mark.parametrize("name", ["postgis", "mariadb"])
@pytest.mark.long
def test_a_server_ends_with_the_tests_even_when_they_are_killed(name: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(name)  # skipped where it is not installed
    script = f"from tests.servers import {name}\nwith {name}.started(): print('started', flush=True), input()"
    with python("-c", script) as tests:
        try:
            assert tests.stdout.readline() == "started\n"
            [server] = psutil.Process(tests.pid).children()
            folder = server.cwd()
        finally:
            tests.kill()
    assert psutil.wait_procs([server], timeout=LIMIT_S)[1] == []
    shutil.rmtree(folder)


@pytest.mark.parametrize("required", ["0", "1"])
def test_what_is_missing_is_named_with_the_command_that_installs_it(required: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.servers import mariadb\n"
        "from tests.servers.starting import NotInstalled\n"
        "def programs(): raise NotInstalled('mariadb-server')\n"
        "mariadb.programs = programs\n"
    )
    two = "def test_one(mariadb): pass\ndef test_two(mariadb): pass\n"
    with run_plugin(tmp_path, two, REQUIRE_LEGACY_SERVERS=required) as tests:
        out = tests.communicate()[0]
    if required == "1":
        assert tests.returncode == pytest.ExitCode.TESTS_FAILED
        assert "2 errors" in out
        assert "real servers lack mariadb-server" in out
    else:
        assert tests.returncode == pytest.ExitCode.OK
        assert "Not run: 2 tests, because this machine lacks mariadb-server." in out
        assert "make servers (apt-get install postgresql postgresql-postgis mariadb-server " in out


def test_whatever_a_test_may_lack_is_installed_by_make_servers() -> None:
    calls = [
        node
        for folder in ("tests", "scripts")
        for path in sorted(Path(ROOT, folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("NotInstalled", "starting.NotInstalled")
    ]
    named = {word.value for call in calls for word in call.args if isinstance(word, ast.Constant)}
    named |= {package for program, package in services.NEEDED.items() if program != "npm"}  # of the machine's own

    assert {"adminer", "systemd", "gdal-bin", "postgresql"} <= named
    assert named - {*packages(), "mysqlclient", "a MySQL (make mysql)"} == set()


CRASHES = """
import pytest
from tests.servers import starting

@pytest.fixture
def server():
    crash = "echo 'Query (0x7f): SELECT 1'; kill -SEGV $$"
    with (
        starting.folder("crash") as folder,
        starting.running("/bin/sh", "-c", crash, cwd=folder, connects=lambda: True) as process,
    ):
        yield process

def test_one(server):
    server.wait()
    raise AssertionError("Lost connection")
"""


def test_a_test_that_fails_shows_what_a_server_said_before_it_crashed(tmp_path: Path) -> None:
    with run_plugin(tmp_path, CRASHES) as tests:
        out = tests.communicate()[0]
    assert "sh ended by SIGSEGV" in out
    assert "Query (0x7f): SELECT 1" in out.partition("sh ended by SIGSEGV")[2]


def run_plugin(folder: Path, test: str, **environment: str) -> subprocess.Popen[str]:
    """These fixtures, for tests of a file of its own."""
    (folder / "test_it.py").write_text(test)
    ini = folder / "pytest.ini"
    ini.write_text("[pytest]\n")
    options = ["-p", "tests.servers.plugin", "-p", "no:django", "-p", "no:cacheprovider", "-c", ini, folder]
    return python("-m", "pytest", *options, **environment)


def python(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "core.settings"} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
