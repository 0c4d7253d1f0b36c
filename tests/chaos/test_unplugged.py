"""The network is cut in the middle of a batch, of the switch and of a commit: by a reset, or without a word."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from django.db import connection

from tests.chaos import stage
from tests.chaos.crew import at_work
from tests.chaos.journal import Write
from tests.chaos.migrating import await_end, check, resume
from tests.chaos.proxy import Cut, Proxy
from tests.database import url as url_here
from tests.farm import farm
from tests.manage import command, manage
from tests.waiting import LIMIT_S

BATCH = rb"INSERT INTO \S+printers_printer"
POINTS: dict[str, tuple[str, tuple[bytes, ...]]] = {
    "in a batch": ("1", (BATCH,)),
    "in the copy": ("0", (BATCH,)),
    "in the switch": ("1", (rb"CREATE SEQUENCE",)),
    "in the commit of a batch": ("1", (BATCH, rb"COMMIT")),
    "in the commit of the copy": ("0", (BATCH, rb"COMMIT")),
}

HOLDER = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^rehome'"


@contextmanager
def proxied(patterns: tuple[bytes, ...], how: Cut) -> Iterator[tuple[Proxy, str]]:
    """A way to the database that will be cut, and its URL."""
    parameters = connection.get_connection_params()
    proxy = Proxy(parameters, patterns, how)
    who = ":".join(quote(str(parameters.get(name) or ""), safe="") for name in ("user", "password")).rstrip(":")
    try:
        yield proxy, f"postgres://{who}@127.0.0.1:{proxy.port}/{parameters['dbname']}"
    finally:
        proxy.close()


@pytest.mark.long
@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_cut_connection_costs_nothing_but_another_run(births: list[Write], point: str, how: Cut) -> None:
    online, patterns = POINTS[point]
    with at_work(stage.conninfo(), seed=1, writers=2) as crew:
        with proxied(patterns, how) as (proxy, url):
            done = manage("migrate", "printers", "0002", DATABASE_URL=url, REHOME_ONLINE=online)
            assert proxy.cut.is_set()
        assert done.returncode == 1, done.stderr
        assert "Run the migration again" in done.stderr
        await_end()
        resume("printers", "0002")

    check(births, crew)


@pytest.mark.long
def test_a_connection_that_has_gone_silent_is_named_until_somebody_ends_it(births: list[Write]) -> None:
    """Neither end learns of it: the server holds the move's lock, and the process waits for an answer."""
    with at_work(stage.conninfo(), seed=1, writers=2) as crew, proxied((BATCH,), "silence") as (proxy, url):
        with subprocess.Popen(
            command("migrate", "printers", "0002"),
            env=os.environ | {"DATABASE_URL": url, "REHOME_ONLINE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert proxy.cut.wait(LIMIT_S)
            process.kill()
        (pid,) = farm.sql(HOLDER)[0]
        refused = manage("migrate", "printers", "0002", DATABASE_URL=url_here())
        assert refused.returncode == 1
        assert f"Another move is running in this database: pid {pid} (rehome, since" in refused.stderr
        farm.sql("SELECT pg_terminate_backend(%s, %s)", [pid, LIMIT_S * 1000])
        resume("printers", "0002")

    check(births, crew)
