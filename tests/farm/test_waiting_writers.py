"""A transaction that has read or written something, and then waits for the move to let it write, does not stop it."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import connection

from tests.farm import farm
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab
from tests.waiting import LIMIT_S

BEGUN = {
    "has read the table": "SELECT name FROM portal_profile WHERE id = 10",
    "has locked the row": "SELECT name FROM portal_profile WHERE id = 10 FOR UPDATE",
    "has registered a user": (
        "INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, "
        "date_joined) VALUES ('', false, 'registered', '', '', '', false, true, now())"
    ),
}
WRITE = "UPDATE portal_profile SET organization = 'waited' WHERE id = 10"


@pytest.fixture
def client(monolith: None) -> Iterator[Client]:
    session = Client(Lab.__new__(FarmLab))
    yield session
    if not session.connection.closed:
        session.close()


class FarmLab(Lab):
    """Where clients connect to; it makes nothing and drops nothing."""

    alias = "default"


def while_it_runs(
    client: Client, first: str, begun: str, later: str, run: Callable[[], None], *, blocked: bool = True
) -> Any:
    """Before the first statement that matches `first` the client begins, and before `later` it writes and waits.

    Returns what its statement returned, once it has committed.
    """
    waiting: list[Future[Any]] = []
    started: list[str] = []

    def watch(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        if not started and re.search(first, text):
            started.append(text)
            client.run("BEGIN")
            client.run(begun)
        elif started and not waiting and re.search(later, text):
            waiting.append(client.start_blocked(WRITE) if blocked else client.start(WRITE))
            waiting.append(client.thread.submit(client.run, "COMMIT"))
        return execute(text, params, many, context)

    with connection.execute_wrapper(watch):
        run()
    assert waiting, "the client did not get to write"
    written, committed = waiting
    committed.result(timeout=LIMIT_S)
    return written.result()


@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
def test_forwards(client: Client, begun: str) -> None:
    farm.prepare_targets()

    written = while_it_runs(
        client,
        r'^LOCK TABLE "public"."portal_profile" IN SHARE ROW EXCLUSIVE',
        begun,
        r"^INSERT INTO .*accounts_profile",
        lambda: farm.migrate("accounts", "0002"),
    )

    assert written == 1
    client.close()
    assert farm.rows("accounts_profile")[10]["organization"] == "waited"
    assert farm.rows("accounts_profile") == farm.rows("portal_profile")


@pytest.mark.parametrize("begun", BEGUN.values(), ids=BEGUN)
def test_backwards(client: Client, begun: str) -> None:
    """Nobody waits while rows are compared, and the lock that follows is released while another session blocks it."""
    farm.prepare_targets()
    farm.migrate("accounts", "0002")

    written = while_it_runs(
        client,
        r"^SELECT pg_catalog\.count\(\*\), .*accounts_profile",
        begun,
        r"ACCESS EXCLUSIVE",
        lambda: farm.migrate("accounts", "0001"),
        blocked=False,
    )

    assert written == 1
    assert farm.rows("portal_profile")[10]["organization"] == "waited"
