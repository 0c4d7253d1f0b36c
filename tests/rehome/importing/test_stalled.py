"""A source that says nothing more is left after a time, and at once on a signal: while connecting and while sending."""

import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.db.models import IntegerField, TextField
from django.test import override_settings

from rehome.errors import ImportFailed
from rehome.importing import running, verifying
from rehome.importing.sources.patience import Patient, patient
from rehome.management.commands import verifymoves
from rehome.models import ImportRun
from tests.chaos.proxy import Cut, Proxy
from tests.rehome.importing.test_lost import assert_as_before
from tests.rehome.importing.test_rejects import make, simple
from tests.rehome.importing.test_skip_bad import Command
from tests.rehome.importing.workshop import OLDER, Workshop, connect
from tests.waiting import LIMIT_S, until

ROWS = 20_000
SERVERS = ["postgresql", "mysql"]
ASKED = {"postgresql": [rb"COPY \("], "mysql": [rb"LIMIT 0", rb"SELECT"]}
"""What a client says last before rows come."""
RECKONED = [rb"(?i)count\("]
"""The same of a verification."""
AT_WORK = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend' AND state = 'active'"
)
STALLED = "stalled"
FOR_EVER = {"REHOME_SOURCE_TIMEOUT_S": 0}
SOON = {"REHOME_SOURCE_TIMEOUT_S": 1}


@pytest.fixture(params=SERVERS)
def places(request: pytest.FixtureRequest) -> Workshop:
    """More rows than the buffers between both servers hold."""
    shop: Workshop = request.getfixturevalue({"postgresql": "shop", "mysql": "mysql_shop"}[request.param])
    make(shop, {"size": IntegerField(), "code": TextField()}, {"size": IntegerField(), "code": TextField()})
    series = {
        "postgresql": f"generate_series(1, {ROWS}) AS s (n)",
        "mysql": f"(SELECT seq AS n FROM seq_1_to_{ROWS}) s",
    }
    shop.query(f"INSERT INTO old_place (id, size, code) SELECT n, n, repeat('x', 1000) FROM {series[request.param]}")
    return shop


@contextmanager
def silent_while_sending(shop: Workshop, asked: Sequence[bytes] = ()) -> Iterator[threading.Event]:
    """A way to the source on which nothing comes after the first of its rows, or after what is `asked`."""
    there = connections[OLDER].settings_dict
    how: Cut = "silence" if asked else "midway"
    proxy = Proxy({"host": there["HOST"], "port": there["PORT"]}, asked or ASKED[connections[OLDER].vendor], how)
    try:
        with connect(STALLED, **there | {"HOST": "127.0.0.1", "PORT": str(proxy.port)}):
            yield proxy.cut
    finally:
        proxy.close()


@contextmanager
def silent_while_connecting(shop: Workshop, asked: Sequence[bytes] = ()) -> Iterator[threading.Event]:
    """A server that takes a connection and says nothing at all."""
    taken, ends = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            ends.append(listener.accept()[0])
            taken.set()

        thread = threading.Thread(target=accept)
        thread.start()
        place = {"HOST": "127.0.0.1", "PORT": str(listener.getsockname()[1])}
        with connect(STALLED, **connections[OLDER].settings_dict | place):
            yield taken
        thread.join()
    for end in ends:
        end.close()


@contextmanager
def sent(number: int, silent: threading.Event) -> Iterator[None]:
    """This process gets a signal as soon as its source is silent."""

    def send() -> None:
        assert silent.wait(LIMIT_S)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


WHERE = {"while connecting": silent_while_connecting, "while sending": silent_while_sending}
SAID = {
    "while connecting": "The database 'stalled' can't be reached: .*Nothing is committed",
    "while sending": "The connection to database 'stalled' was lost: it has said nothing for 1 s, and "
    "REHOME_SOURCE_TIMEOUT_S waits no longer. Nothing is committed; run the import again.",
}


def verify(shop: Workshop) -> str:
    """What `verifymoves` says of an import that came from there."""
    ImportRun.objects.update(source=STALLED)
    told = StringIO()
    apart = partial(verifying.verify, apps=shop.apps)
    with patch.object(verifymoves, "find_imports", lambda: [simple()]), patch.object(verifying, "verify", apart):
        call_command(verifymoves.Command(), simple().target, stdout=told, stderr=told)
    return told.getvalue()


def call(shop: Workshop, *args: str) -> None:
    with patch.object(running, "run", partial(running.run, apps=shop.apps)):
        call_command(Command(), *args, source=STALLED, stdout=StringIO(), stderr=StringIO())


@pytest.mark.parametrize("where", WHERE)
def test_a_silent_source_is_left_after_the_time_that_the_settings_name(places: Workshop, where: str) -> None:
    with override_settings(**SOON), WHERE[where](places), pytest.raises(ImportFailed, match=SAID[where]):
        running.run([simple()], running.Options(), source=STALLED, apps=places.apps)
    assert_as_before(places)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_wait_for_a_silent_source(places: Workshop, where: str, number: int, code: int) -> None:
    """No timeout would: it waits for ever."""
    with (
        override_settings(**FOR_EVER),
        WHERE[where](places) as silent,
        sent(number, silent),
        pytest.raises(CommandError) as failed,
    ):
        call(places)
    assert (failed.value.returncode, str(failed.value)) == (code, "Interrupted; nothing is committed.")
    assert signal.set_wakeup_fd(-1) == -1
    assert_as_before(places)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_verification_that_waits_for_a_silent_source(
    places: Workshop, where: str, number: int, code: int
) -> None:
    places.run(simple())
    with (
        override_settings(**FOR_EVER),
        WHERE[where](places, RECKONED) as silent,
        sent(number, silent),
        pytest.raises(CommandError) as told,
    ):
        verify(places)
    assert (told.value.returncode, str(told.value)) == (code, "Interrupted; nothing is changed.")
    assert not isinstance(connections[OLDER], Patient)
    assert not connections["default"].in_atomic_block
    until(lambda: places.sql(AT_WORK) == [(0,)], "no session is at work for it")
    assert places.sql("SELECT verified_at FROM rehome_importrun") == [(None,)]


def test_a_verification_leaves_a_silent_source_too(places: Workshop) -> None:
    places.run(simple())
    left = pytest.raises(CommandError, match="Not checked: .*it has said nothing for 1 s")
    with override_settings(**SOON), silent_while_sending(places, RECKONED), left:
        verify(places)


def test_the_run_after_that_brings_every_row(places: Workshop) -> None:
    with override_settings(**SOON), silent_while_sending(places), pytest.raises(ImportFailed):
        running.run([simple()], running.Options(), source=STALLED, apps=places.apps)
    (report,) = places.run(simple())
    assert report.counts.inserted == ROWS
    assert not isinstance(connections[OLDER], Patient), "The alias is the project's own connection again."


def test_an_alias_keeps_the_timeouts_that_it_sets_itself(mysql_shop: Workshop) -> None:
    options: dict[str, Any] = {"read_timeout": 7, "connect_timeout": 3}
    with connect(STALLED, **connections[OLDER].settings_dict | {"OPTIONS": options}), patient(STALLED):
        params = connections[STALLED].get_connection_params()
    assert {name: params[name] for name in options} == options
    assert params["write_timeout"] == 600
