"""A rehearsal on another server, of a source that the connection may only read."""

import dataclasses
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from pytest_django import DjangoDbBlocker

from rehome.ops import scratch
from rehome.ops.backups.store import Store
from rehome.ops.servers import Server
from tests.apart import server_apart
from tests.database import dump
from tests.farm import farm
from tests.farm.databases import WORKER, connected_to
from tests.rehome.product import phases
from tests.rehome.support import backups, rehearsals
from tests.rehome.support.rehearsals import failed, rehearse, stage

pytestmark = pytest.mark.long
READER = f"test_reader_{WORKER}"
WRITES = """
SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()
"""


@pytest.fixture(scope="module")
def never_run(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), phases.project(), phases.template(phases.NEVER) as name:
        yield name


@pytest.fixture
def shop(never_run: str, store: Store, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    with django_db_blocker.unblock(), rehearsals.shop(never_run) as name:
        yield name


@pytest.fixture
def elsewhere(shop: str) -> Iterator[Server]:
    with server_apart("elsewhere"):
        yield Server.of(connections["elsewhere"])


@pytest.fixture
def reader(shop: str) -> Iterator[str]:
    """A role that may read everything, and write nothing."""
    farm.on_server(f'DROP ROLE IF EXISTS "{READER}"', f"CREATE ROLE \"{READER}\" LOGIN PASSWORD 'secret'")
    farm.on_server(f'GRANT pg_read_all_data, pg_read_all_stats TO "{READER}"')
    yield READER
    farm.on_server(f'DROP ROLE "{READER}"')


def url(server: Server) -> str:
    known = server.parameters
    return f"postgres://{known['user']}@/postgres?host={quote(known['host'], safe='')}&port={known['port']}"


def test_a_role_without_a_right_to_write_rehearses_on_another_server(shop: str, reader: str, elsewhere: Server) -> None:
    before, written = dump(), backups.rows(WRITES)
    with connected_to(shop, USER=reader, PASSWORD="secret"):
        with pytest.raises(
            CommandError, match=f"The role '{reader}', which migrates on the source, is not on the server"
        ):
            call_command("rehearsemoves", "--on", url(elsewhere))
        with elsewhere.outside() as session:
            session.execute(f'CREATE ROLE "{reader}" IN ROLE pg_read_all_data')
        report = failed("--on", url(elsewhere))
        with elsewhere.outside() as session:
            session.execute(f'ALTER ROLE "{reader}" SUPERUSER')
        worked = rehearse("--on", url(elsewhere))

    # As a role that may not migrate on the source, it fails on the copy too.
    assert not report["ok"]
    assert reader in stage(report, "forward")["problem"] or "permission denied" in stage(report, "forward")["problem"]
    assert worked["ok"], worked
    assert worked["source"]["system_identifier"] != worked["copy"]["system_identifier"]
    assert (dump(), backups.rows(WRITES)) == (before, written)
    assert scratch.leftovers(elsewhere) == []
    with elsewhere.outside() as session:
        found = session.execute("SELECT datname FROM pg_database WHERE datname ~ 'scratch'").fetchall()
    assert found == []


def test_roles_that_the_other_server_does_not_have_are_named(shop: str, reader: str, elsewhere: Server) -> None:
    farm.sql(f'GRANT SELECT ON warehouse_item TO "{reader}"')
    try:
        with pytest.raises(CommandError, match=f'does not have: {reader}. CREATE ROLE "{reader}";'):
            call_command("rehearsemoves", "--on", url(elsewhere))
    finally:
        farm.sql(f'REVOKE SELECT ON warehouse_item FROM "{reader}"')


def test_a_server_that_is_not_there_is_a_sentence(shop: str) -> None:
    with pytest.raises(CommandError, match=r"The server of --on can't be used: .*refused"):
        call_command("rehearsemoves", "--on", "postgres://postgres@127.0.0.1:1")
    assert connection.settings_dict["NAME"] == shop


def test_the_copy_on_another_server_is_what_the_project_writes_to(shop: str, elsewhere: Server) -> None:
    known = dataclasses.replace(elsewhere, database="postgres")
    before = dump()
    report = rehearse("--on", url(known), "--keep")
    [kept] = [name for (name,) in elsewhere_rows(elsewhere, "SELECT datname FROM pg_database") if "_rehearsed_" in name]

    assert report["ok"]
    moved = elsewhere_rows(elsewhere.on(kept), "SELECT count(*) FROM public.rehome_moverun WHERE phase = 'live'")
    assert moved == [(1,)]
    assert dump() == before


def elsewhere_rows(server: Server, question: str) -> list[tuple[object, ...]]:
    with server.session() as session:
        return session.execute(question).fetchall()
