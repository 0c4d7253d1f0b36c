"""A prepared transaction outlasts the session that prepared it: whoever it is in the way of is told its name."""

from collections.abc import Iterator

import pytest
from django.db import connections
from psycopg import sql
from pytest_django import DjangoDbBlocker

from rehome.errors import BackupFailed, Refused
from rehome.ops import fingerprints, scratch
from rehome.ops.backups import dumping, restoring
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server
from tests.apart import server_apart
from tests.rehome.support.backups import run

pytestmark = [pytest.mark.server, pytest.mark.long]

GID = "it's 2"
NAMED = "the prepared transaction 'it''s 2' "
REFUSED = "'portal' has prepared transactions, with which it can't be renamed: 'it''s 2'. Connect to it"


@pytest.fixture(scope="module")
def apart(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    """A server that prepares transactions, which the embedded one does not."""
    with django_db_blocker.unblock(), server_apart("preparing", max_prepared_transactions="2"):
        server = Server.of(connections["preparing"])
        with server.session() as session:
            session.execute("CREATE TABLE public.kind (id integer)")
        yield server


@pytest.fixture
def forgotten(apart: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    """A session has prepared a transaction that holds a lock of a table, and is gone."""
    with django_db_blocker.unblock():
        prepare(apart)
        yield apart
        connections["preparing"].close()
        with apart.session() as session:
            session.execute(sql.SQL("ROLLBACK PREPARED {}").format(GID))


def prepare(server: Server) -> None:
    with server.session() as session:
        session.execute("BEGIN")
        session.execute("LOCK public.kind IN ACCESS EXCLUSIVE MODE")
        session.execute(sql.SQL("PREPARE TRANSACTION {}").format(GID))


def test_a_database_that_has_one_is_not_restored(forgotten: Server, store: Store) -> None:
    with pytest.raises(Refused, match=REFUSED):
        run("restorebackup", "any", confirm="portal", database="preparing")


def test_one_that_came_meanwhile_ends_nobody(forgotten: Server) -> None:
    with forgotten.session() as other, scratch.made(forgotten, "a test") as new:
        with pytest.raises(Refused, match=REFUSED):
            restoring.swap(forgotten, new.database)
        assert other.execute("SELECT current_database()").fetchall() == [("portal",)]


def test_what_a_swap_has_left_prepared_is_named(forgotten: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever commits in two phases may be disconnected between them.
    monkeypatch.setattr(restoring, "TRIES", 1)
    monkeypatch.setattr(restoring, "refuse_prepared", lambda session, *databases: None)
    said = pytest.raises(BackupFailed, match=rf"Connected: {NAMED}\(postgres\)\. Nothing is changed")
    with scratch.made(forgotten, "a test") as new, said:
        restoring.swap(forgotten, new.database)


def test_a_backup_that_waits_for_one_names_it(forgotten: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumping, "LOCK_WAIT_MS", 100)
    monkeypatch.setattr(fingerprints, "take", lambda session: None)
    with pytest.raises(BackupFailed, match=rf"for a lock of another session: {NAMED}.* uses public.kind"):
        run("backup", database="preparing")
