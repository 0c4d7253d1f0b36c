"""showmoves says how each move stands, whatever the database is like."""

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from pytest_django import DjangoDbBlocker

from rehome.errors import Stopped
from rehome.parts import batches
from tests.database import url_of
from tests.farm import farm
from tests.farm.databases import WORKER, connected_to, database
from tests.farm.test_locks import other_session
from tests.manage import manage
from tests.waiting import NO_WAIT

MOVES = ["portal.Profile -> accounts.Profile", "portal.Printer -> printers.Printer"]


def showmoves(**options: Any) -> str:
    stdout = StringIO()
    call_command("showmoves", stdout=stdout, **options)
    return stdout.getvalue()


def shown() -> dict[str, list[Any]]:
    """By column, of both moves."""
    first, second = json.loads(showmoves(format="json"))
    return {name: [first[name], second[name]] for name in first}


def test_a_database_without_tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), database(f"test_bare_{WORKER}") as name, connected_to(name):
        assert shown()["phase"] == ["planned", "planned"]
        printed = showmoves()

    assert (
        "portal.Profile has no table 'portal_profile' in database 'default'. Run the migration that creates it"
        in printed
    )


def test_planned_moves(planned: str) -> None:
    assert shown() == {
        "move": MOVES,
        "migration": ["accounts.0002_migrate_profile_data", "printers.0002_migrate_printer_data"],
        "phase": ["planned", "planned"],
        "rows": [None, None],
        "sync": [None, None],
        "old_writes": [None, None],
        "old_writes_since_verification": [None, None],
        "counted_at": [None, None],
        "writers": [None, None],
        "stranded": [{}, {}],
        "verified_at": [None, None],
        "verified_ok": [None, None],
        "note": ["", ""],
    }
    lines = showmoves().splitlines()
    counts = ["old writes", "since verification"]
    assert re.split(r"\s{2,}", lines[0]) == ["move", "migration", "phase", "rows", "sync", *counts, "last verification"]
    assert re.split(r"\s{2,}", lines[1]) == [MOVES[0], "accounts.0002_migrate_profile_data", "planned", *"-----"]
    assert len(lines) == 3


def test_live_moves_with_their_rows_triggers_and_last_verification(live: str) -> None:
    profiles, printers = len(farm.rows("portal_profile")), len(farm.rows("portal_printer"))
    call_command("verifymoves", stdout=StringIO(), verbosity=0)
    farm.sql("ALTER TABLE accounts_profile DISABLE TRIGGER USER")
    farm.sql("UPDATE accounts_profile SET name = 'elsewhere' WHERE id = 10")
    with pytest.raises(CommandError):
        call_command("verifymoves", "accounts.Profile", stdout=StringIO(), verbosity=0)

    columns = shown()
    assert columns["phase"] == ["live", "live"]
    assert columns["rows"] == [profiles, printers]
    assert columns["sync"] == ["missing", "installed"]
    assert columns["verified_ok"] == [False, True]
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00$", when) for when in columns["verified_at"])
    printed = showmoves().splitlines()
    assert re.search(r"live +\d+ +missing +0 +0 +20[-\d]+ [\d:]+: DIFFERENCES$", printed[1])
    assert re.search(r"live +\d+ +installed +0 +0 +20[-\d]+ [\d:]+: equal$", printed[2])

    ((function,),) = farm.sql(
        "SELECT tgfoid::regproc::text FROM pg_trigger WHERE tgrelid = 'portal_printer'::regclass "
        "AND tgname ~ '^rehome_forward_[^t]'"
    )
    farm.sql(f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    assert shown()["sync"] == ["missing", "outdated"]


def test_moves_that_were_rolled_back_or_interrupted(live: str) -> None:
    farm.migrate("printers", "0001")
    farm.sql("UPDATE rehome_moverun SET phase = 'prepared' WHERE source_table = 'public.portal_profile'")

    columns = shown()

    assert columns["phase"] == ["prepared", "back"]
    assert columns["sync"] == [None, None]
    assert columns["note"] == [
        "No row is copied yet; interrupted. `migrate accounts 0002_migrate_profile_data` resumes it, "
        "`migrate accounts` with the name of the migration before it cancels it.",
        "",
    ]


@pytest.mark.long
def test_how_far_an_online_move_came_and_who_is_at_work_on_it(planned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, noted = batches.copy_batch, []

    def look_first(*args: Any) -> Any:
        done = manage("showmoves", "--format", "json", DATABASE_URL=url_of(connection.settings_dict["NAME"]))
        noted.append(json.loads(done.stdout)[0])
        if len(noted) == 2:
            raise KeyboardInterrupt
        return whole(*args)

    farm.sql("INSERT INTO portal_profile (name) SELECT repeat('x', 100) FROM generate_series(1, 1000)")
    monkeypatch.setattr(batches, "copy_batch", look_first)
    monkeypatch.setenv("REHOME_ONLINE", "1")
    with pytest.raises(Stopped):
        farm.migrate("accounts", "0002")

    assert [look["phase"] for look in noted] == ["copying", "copying"]
    assert re.fullmatch(r"Copied: nothing yet; at work: pid \d+ \(rehome, since [\d:]+ UTC.*\)\.", noted[0]["note"])
    assert re.match(r"Copied: \d+ % of what becomes public.accounts_profile; at work: pid ", noted[1]["note"])
    assert re.match(r"Copied: \d+ % of what becomes public.accounts_profile; interrupted. `mi", shown()["note"][0])


def test_writes_through_the_old_table_since_the_move_and_since_the_last_verification(live: str) -> None:
    touch = "UPDATE portal_printer SET printing = NOT printing WHERE id = 20"
    with other_session() as session:
        session.execute("SET application_name = 'an old worker'")
        session.execute(touch)
        session.execute(touch)
        ((user,),) = farm.sql("SELECT current_user")
        columns = shown()
        assert columns["old_writes"] == columns["old_writes_since_verification"] == [0, 2]
        assert columns["counted_at"] == [None, None]
        assert columns["writers"] == [[], [{"application_name": "an old worker", "user": user, "sessions": 1}]]
        last = showmoves().splitlines()[-1]
        assert shown() == columns
        session.execute(touch)
        call_command("verifymoves", verbosity=0, stdout=StringIO())
    assert last == (
        f"{MOVES[1]}: connected sessions that wrote through public.portal_printer: "
        f"an old worker (user {user}, 1 session)."
    )
    columns = shown()
    assert (columns["old_writes"], columns["old_writes_since_verification"]) == ([0, 3], [0, 0])
    assert all(when.startswith("20") for when in columns["counted_at"])
    assert len(showmoves().splitlines()) == 3


def test_showmoves_only_reads(live: str) -> None:
    farm.sql("UPDATE portal_printer SET printing = NOT printing WHERE id = 20")
    before = farm.picture(records=True)
    for _ in range(2):
        assert shown()["old_writes_since_verification"] == [0, 1]
    assert farm.picture(records=True) == before


def test_a_verification_that_may_not_write_counts_nothing(live: str) -> None:
    farm.sql("UPDATE portal_printer SET printing = NOT printing WHERE id = 20")
    before = farm.picture(records=True)
    farm.sql("SET default_transaction_read_only = on")
    call_command("verifymoves", verbosity=0, stdout=StringIO())
    farm.sql("RESET default_transaction_read_only")
    assert shown()["old_writes_since_verification"] == [0, 1]
    assert farm.picture(records=True) == before


def test_nobody_waits_for_a_move_that_is_at_work(live: str) -> None:
    farm.sql(NO_WAIT)
    with other_session() as session, session.transaction():
        session.execute("SELECT FROM rehome_moverun FOR UPDATE")
        assert shown()["counted_at"] == [None, None]
    farm.sql("RESET lock_timeout")


def test_a_record_that_rehome_did_not_make_is_noted(planned: str) -> None:
    call_command("migrate", "accounts", "0002", fake=True, verbosity=0)

    columns = shown()

    assert columns["phase"] == ["planned", "planned"]
    assert columns["note"][0].startswith(
        "accounts.0002_migrate_profile_data is recorded as applied, but rehome did not run it on this database"
    )
    assert columns["note"][1] == ""
    assert f"{MOVES[0]}: accounts.0002_migrate_profile_data is recorded as applied" in showmoves()


def test_a_live_move_whose_table_has_another_name_by_now_is_still_live(live: str) -> None:
    farm.sql("ALTER TABLE printers_printer RENAME TO printers_machine")

    columns = shown()

    assert columns["phase"] == ["live", "live"]
    assert columns["sync"] == ["installed", None]
    assert columns["note"][1].startswith("printers.Printer has no table 'printers_printer'")


def test_a_project_without_moves(planned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehome.management.commands.showmoves.find_moves", lambda loader: [])

    assert showmoves() == "(no moves)\n"
    assert json.loads(showmoves(format="json")) == []


def test_a_router_keeps_moves_out_of_a_database(planned: str, settings: Any) -> None:
    settings.DATABASE_ROUTERS = ["tests.rehome.management.test_showmoves.OnlyAccounts"]

    assert [move["move"] for move in json.loads(showmoves(format="json"))] == [MOVES[0]]


class OnlyAccounts:
    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return app_label == "accounts"


def test_a_database_that_can_not_be_reached_is_one_sentence() -> None:
    done = manage("showmoves", DATABASE_URL="postgres://nobody@127.0.0.1:1/nothing")

    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: Database 'default' can't be read: connection failed")
    assert "Traceback" not in done.stderr


def test_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch, planned: str) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")

    with pytest.raises(CommandError, match="Database 'default' is sqlite; rehome moves models on PostgreSQL"):
        showmoves()


def test_an_unknown_database_exits_with_2() -> None:
    done = manage("showmoves", "--database", "nowhere")

    assert done.returncode == 2
    assert "argument --database: invalid choice: 'nowhere'" in done.stderr
