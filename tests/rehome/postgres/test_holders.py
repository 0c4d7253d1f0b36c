"""Whoever holds a lock that a move waits for is named, with what ends his transaction."""

from collections.abc import Iterator

import pytest
from django.db import models
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from rehome import Move
from rehome.errors import LockNotObtained
from rehome.postgres import holders
from tests.apart import server_apart
from tests.rehome.support.clients import Client
from tests.rehome.support.lab import Lab

MOVE = Move("old.Thing", "new.Thing")
ENDS = "COMMIT PREPARED 'it''s 2' or ROLLBACK PREPARED 'it''s 2' ends it"


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """An alias of a server that prepares transactions, which the embedded one does not."""
    with django_db_blocker.unblock(), server_apart("preparing", max_prepared_transactions="5"):
        yield "preparing"


@pytest.fixture
def prepared(server: str, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[Lab, Client]]:
    """A table in which a prepared transaction has changed a row, and another session."""
    with django_db_blocker.unblock():
        lab = Lab(server)
        lab.twins(lambda app: {"name": models.TextField()})
        lab.sql("INSERT INTO old_thing (name) VALUES ('a')")
        client = Client(lab)
        client.play("BEGIN\nUPDATE {t} SET name = 'b'\nPREPARE TRANSACTION 'it''s 2'", "old_thing")
        try:
            yield lab, client
        finally:
            client.play("ROLLBACK PREPARED 'it''s 2'", "")
            client.close()
            lab.clean()


def test_a_prepared_transaction_is_named_with_what_ends_it(prepared: tuple[Lab, Client], settings: Settings) -> None:
    lab, client = prepared
    settings.REHOME_LOCK_TRIES, settings.REHOME_LOCK_TIMEOUT_MS = 2, 50
    with pytest.raises(LockNotObtained) as raised:
        lab.forward(MOVE)
    user = lab.connection.connection.info.user
    told = str(raised.value)
    assert f"of 50 ms: the prepared transaction 'it''s 2' (user {user}, since " in told
    assert f"; {ENDS}) uses " in told
    assert "old_thing" in told
    client.run("ROLLBACK PREPARED 'it''s 2'")
    lab.forward(MOVE)
    assert lab.verify(MOVE).ok


@pytest.mark.parametrize("statement", ["LOCK TABLE old_thing IN SHARE MODE", "UPDATE old_thing SET name = 'c'"])
def test_what_blocks_a_statement_may_be_a_prepared_transaction(prepared: tuple[Lab, Client], statement: str) -> None:
    lab, client = prepared
    client.run("BEGIN")
    waiting = client.start_blocked(statement)
    told = holders.blocking(lab.connection, client.connection.info.backend_pid)
    assert told.startswith("the prepared transaction 'it''s 2' (user ")
    assert told.endswith(f"{ENDS})")
    lab.sql("ROLLBACK PREPARED 'it''s 2'")
    waiting.result()
    client.run("COMMIT")
    assert holders.blocking(lab.connection, client.connection.info.backend_pid) == ""
