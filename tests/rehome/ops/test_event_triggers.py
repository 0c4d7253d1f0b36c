"""An event trigger on login acts in a restored database too, as soon as somebody connects to it: a proof must not."""

from pathlib import Path

import psycopg
import pytest
from django.db import connection

from rehome.errors import Refused
from rehome.ops import scratch
from rehome.ops.backups.store import Store
from rehome.ops.rehearsal import redirecting
from rehome.ops.servers import Server
from tests.farm import farm
from tests.farm.databases import Owned, connected_to
from tests.rehome.support.backups import databases, made, rows, run

pytestmark = [pytest.mark.server, pytest.mark.since(17)]

WRITES = "INSERT INTO kind SELECT max(id) + 1, 'login ' || max(id) + 1 FROM kind;"
IN_A_COPY = "IF starts_with(current_database(), 'rehome_scratch') THEN {} END IF;"
RAISES = "RAISE 'not in a copy';"
LOGINS = "SELECT count(*) FROM kind WHERE name LIKE 'login %'"


def on_login(body: str) -> None:
    """In the default connection's database, from its next session on."""
    rows(
        f"CREATE FUNCTION arrived() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN {body} END$$;"
        "CREATE EVENT TRIGGER arrived ON login EXECUTE FUNCTION arrived()"
    )


@pytest.mark.parametrize("body", [WRITES, RAISES], ids=["writes", "raises"])
def test_a_proof_sets_off_no_trigger_on_login(small: str, store: Store, body: str) -> None:
    on_login(IN_A_COPY.format(body))
    backup = made(store)

    assert "every one of 205 rows" in run("checkbackup")
    assert store.find(str(backup)).proved


def test_what_is_restored_has_the_trigger_again_and_no_row_of_it(small: str, store: Store) -> None:
    on_login(IN_A_COPY.format(WRITES))
    backup = made(store)

    run("restorebackup", str(backup), confirm=small)

    assert rows(LOGINS) == [(0,)]
    assert rows("SELECT evtname FROM pg_event_trigger") == [("arrived",)]


def test_a_role_that_may_not_turn_it_off_is_told_what_lets_it(owned: Owned, small: str, store: Store) -> None:
    on_login(IN_A_COPY.format(WRITES))
    made(store)
    ((superuser,),) = rows("SELECT current_user")
    farm.on_server(f'GRANT "{superuser}" TO "{owned.owner}"')
    acting = {"USER": owned.owner, "PASSWORD": "secret", "OPTIONS": {"assume_role": superuser}}

    with connected_to(small, **acting):
        with pytest.raises(
            Refused, match=f'trigger on login.*GRANT SET ON PARAMETER event_triggers TO "{owned.owner}"'
        ):
            run("checkbackup")
        assert databases("rehome_scratch") == []
    farm.on_server(f'GRANT SET ON PARAMETER event_triggers TO "{owned.owner}"')
    try:
        with connected_to(small, **acting), scratch.made(Server.of(connection), "a test") as copy:
            assert copy.quiet
    finally:
        farm.on_server(f'REVOKE SET ON PARAMETER event_triggers FROM "{owned.owner}"')


def test_a_copy_that_refuses_the_project_is_a_sentence(small: str, store: Store) -> None:
    # In a rehearsal the project's own sessions set it off, as they will on the day.
    on_login(IN_A_COPY.format(RAISES))
    server = Server.of(connection)
    connection.close()
    with (
        scratch.made(server, "a test", template=small) as copy,
        pytest.raises(Refused, match="can't connect to the copy as it connects to its own database: .*not in a copy"),
        redirecting.redirected("default", copy, elsewhere=False),
    ):
        raise AssertionError


def test_options_of_the_connection_are_kept(small: str) -> None:
    with connected_to(small, OPTIONS={"options": "-c work_mem=5MB"}):
        server = Server.of(connection)
        with scratch.made(server, "a test") as copy, copy.session() as session:
            assert session.execute(
                "SELECT current_setting('work_mem'), current_setting('event_triggers')"
            ).fetchall() == [("5MB", "off")]
        assert copy.environment()["PGOPTIONS"] == "-c work_mem=5MB -c event_triggers=off"
        assert server.environment()["PGOPTIONS"] == "-c work_mem=5MB"


def test_options_of_a_service_are_kept_and_overrule_nothing(
    small: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = connection.get_connection_params()
    place = "".join(f"{name}={known[name]}\n" for name in ("host", "port", "user"))
    (tmp_path / "services").write_text(f"[farm]\n{place}dbname={small}\noptions=-c work_mem=7MB\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    asked = "SELECT current_setting('work_mem'), current_setting('event_triggers'), current_database()"
    with (
        connected_to(small, HOST="", PORT="", USER="", OPTIONS={"service": "farm"}),
        scratch.made(Server.of(connection), "a test") as copy,
    ):
        with copy.session() as session:
            assert session.execute(asked).fetchall() == [("7MB", "off", copy.database)]
        assert {"PGSERVICE", "PGDATABASE", "PGOPTIONS"} <= copy.environment().keys()
        for name, value in copy.environment().items():
            monkeypatch.setenv(name, value)
        # As a program connects.
        with psycopg.connect(copy.arguments()[0].removeprefix("--dbname=")) as session:
            assert session.execute(asked).fetchall() == [("7MB", "off", copy.database)]
