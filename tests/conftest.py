"""What every test relies on: the database server, and what it can do."""

import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import DjangoDbBlocker

from core.faults import reporting
from core.moves import standing
from monitoring.alerts import pulse
from monitoring.dashboard import numbers
from rehome.models import Phase
from tests import emptying, houses

pytest_plugins = ["tests.servers.plugin", "tests.farm.plugin"]

ROOT = Path(__file__).parent.parent
CONTRIB = ["citext", "hstore"]
WITHOUT_CONTRIB = f"this server lacks {' and '.join(CONTRIB)}"
TOO_OLD = "needs PostgreSQL "
MOVES = {"lab", "house", "live_house", "planned_house"}
"""Fixtures of tests that move rows, half a second each."""


def pytest_configure() -> None:
    emptying.install()
    # Whoever runs in the background of a script ignores Ctrl-C, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make chaos` asks for more of."""
    chaos = parser.getgroup("chaos")
    chaos.addoption("--operations", type=int, default=5_000, help="operations that the writers of chaos log")
    chaos.addoption("--chaos-seed", type=int, help="from which the writers' choices and the moments of kills follow")
    chaos.addoption("--kills", type=int, default=5, help="how often a migrating process is killed at a random moment")
    chaos.addoption("--stops", type=int, default=2, help="how often its server is stopped at once")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of a parametrised test that moves rows, every case but the first is long. With TURN, a quarter of the long tests
    are run: every fourth, and another quarter with the next number.
    """
    for item in items:
        case = getattr(item, "callspec", None)
        if case and any(case.indices.values()) and MOVES & set(item.fixturenames):  # type: ignore[attr-defined]
            item.add_marker("long")
    if turn := os.environ.get("TURN"):
        long = [item for item in items if item.get_closest_marker("long")]
        left_out = [item for number, item in enumerate(long, int(turn)) if number % 4]
        config.hook.pytest_deselected(items=left_out)
        names = {item.nodeid for item in left_out}
        items[:] = [item for item in items if item.nodeid not in names]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Each worker has its own database; nobody waits for the disk where everything is thrown away.

    Nor does an autovacuum come by in the middle of a test, and hold a lock that the test counts or waits for.
    """
    if settings.DATABASES["default"]["ENGINE"] == "core.embedded":
        _turn_off_for_tests(settings.DATABASES["default"]["EMBEDDED_POSTGRES_DIR"])


def _turn_off_for_tests(data: Path) -> None:
    import psycopg

    from core.embedded import server

    assert data != ROOT / "var" / "postgres", "Tests must not change the developer's server."
    server.hold(data)
    with psycopg.connect(
        host=str(server.socket_folder(data)), user=server.SUPERUSER, dbname="postgres", autocommit=True
    ) as postgres:
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum", "jit"):
            postgres.execute(f"ALTER SYSTEM SET {setting} = off")
        postgres.execute("SELECT pg_reload_conf()")


@pytest.fixture(autouse=True)
def _contrib(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> None:
    """Skip tests marked contrib where the server can't run them; fail them when REQUIRE_CONTRIB=1."""
    if request.node.get_closest_marker("contrib") is None:
        return
    request.getfixturevalue("django_db_setup")
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = ANY(%s)", [CONTRIB])
        (available,) = cursor.fetchone()
    if available < len(CONTRIB):
        (pytest.fail if os.environ.get("REQUIRE_CONTRIB") == "1" else pytest.skip)(WITHOUT_CONTRIB)


@pytest.fixture(autouse=True)
def _since(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> None:
    """Skip tests marked since(version) where the server is older."""
    marker = request.node.get_closest_marker("since")
    if marker is None:
        return
    request.getfixturevalue("django_db_setup")
    (version,) = marker.args
    with django_db_blocker.unblock():
        connection.ensure_connection()
        if connection.pg_version < version * 10_000:
            pytest.skip(f"{TOO_OLD}{version}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    without = [report for report in skipped if WITHOUT_CONTRIB in str(report.longrepr)]
    if without:
        terminalreporter.write_line(
            f"Not run: {len(without)} tests, because {WITHOUT_CONTRIB}. "
            "Run them with: scripts/postgres.sh 17 make pytest",
            yellow=True,
        )
    for report in skipped:
        _, found, version = str(report.longrepr[-1]).partition(TOO_OLD)
        if found:
            terminalreporter.write_line(f"Not run: {report.nodeid}, which {TOO_OLD}{version}.", yellow=True)


@pytest.fixture
def _hung_up() -> Iterator[None]:
    """The end of the terminal ends what the test starts, also where `nohup` runs the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def _standing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's database has both moves live; nobody asks it again. Tests of other phases say so."""
    known = float("inf"), Phase.LIVE
    monkeypatch.setattr(standing, "_remembered", dict.fromkeys(["portal.Printer", "portal.Profile"], known))
    monkeypatch.setattr(standing, "_noticed", [])


@pytest.fixture(autouse=True)
def _numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is needed, and no page counts again, unless a test says so."""
    monkeypatch.setattr(numbers, "_remembered", defaultdict(lambda: (float("inf"), 0)))


@pytest.fixture(autouse=True)
def _faults_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of its own would write to the database beside the test's transaction."""
    monkeypatch.setattr(reporting.reporter, "submit", reporting.report)


@pytest.fixture(autouse=True)
def _no_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A poller in a test begins no thread that decides about alerts beside the test."""
    monkeypatch.setattr(pulse.pulse, "beat", lambda: None)


@pytest.fixture
def superuser(db: None) -> User:
    """Without a password, which would take long to hash; `force_login` asks for none."""
    return User.objects.create_superuser("root", "root@example.com")


@pytest.fixture
def browser(superuser: User) -> Client:
    """Logged in to the admin."""
    client = Client()
    client.force_login(superuser)
    return client


@pytest.fixture(scope="session")
def planned_house(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), houses.planned() as name:
        yield name


@pytest.fixture(scope="session")
def live_house(planned_house: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), houses.live(planned_house) as name:
        yield name


@pytest.fixture
def planned(planned_house: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The default connection leads to a farm whose new tables are there and empty; this is its name."""
    with django_db_blocker.unblock(), houses.house(planned_house) as name:
        yield name


@pytest.fixture
def live(live_house: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The default connection leads to a farm whose moves are live; this is its name."""
    with django_db_blocker.unblock(), houses.house(live_house) as name:
        yield name
