"""Fixtures of the real servers, and what is said when one is not installed."""

import os
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers import mariadb as mariadb_server
from tests.servers import mysql as mysql_server
from tests.servers import postgis as postgis_server
from tests.servers import starting
from tests.servers.mariadb import MariaDB
from tests.servers.postgis import PostGIS
from tests.servers.starting import NotInstalled

DEBIAN = Path(__file__).parent.parent.parent / "requirements" / "debian.txt"
WITHOUT = "real servers lack "


@pytest.fixture(scope="session")
def postgis() -> Iterator[PostGIS]:
    """A PostgreSQL with PostGIS, started by the first test that asks."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgis_server.started())
        except NotInstalled as missing:
            refuse(missing)
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB, started by the first test that asks."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(mariadb_server.started())
        except NotInstalled as missing:
            refuse(missing)
        yield server


@pytest.fixture(scope="session")
def mysql() -> Iterator[MariaDB]:
    """A MySQL, where `make mysql` has unpacked one."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(mysql_server.started())
        except NotInstalled as missing:
            pytest.skip(f"{WITHOUT}{missing}")
        yield server


def refuse(missing: NotInstalled) -> None:
    """Skip the test; fail it when REQUIRE_LEGACY_SERVERS=1."""
    (pytest.fail if os.environ.get("REQUIRE_LEGACY_SERVERS") == "1" else pytest.skip)(f"{WITHOUT}{missing}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the log of a server that is gone: it names the statement that a server crashed on."""
    report = yield
    if report.failed:
        report.sections += [(server.end, server.said) for server in starting.STARTED if server.died]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = (str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", []))
    missing = Counter(reason.partition(WITHOUT)[2] for reason in reasons if WITHOUT in reason)
    for what, tests in missing.items():
        terminalreporter.write_line(f"Not run: {tests} tests, because this machine lacks {what}.", yellow=True)
    if missing:
        terminalreporter.write_line(
            f"Run them after: make servers (apt-get install {' '.join(packages())}; mysqlclient)", yellow=True
        )


def packages() -> list[str]:
    """The Debian packages that `make servers` installs."""
    lines = (line.partition("#")[0].strip() for line in DEBIAN.read_text().splitlines())
    return [line for line in lines if line]
