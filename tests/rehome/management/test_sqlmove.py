"""The SQL that sqlmove prints does what the migration does."""

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rehome.errors import Refused
from rehome.models import Phase
from rehome.plan.phases import INTERRUPTED
from tests.database import psql
from tests.farm import farm
from tests.farm.databases import connected_to, database

pytestmark = pytest.mark.server

PRINTERS, PROFILES = ("printers", "0002"), ("accounts", "0002")


def sqlmove(*arguments: str) -> str:
    stdout = StringIO()
    call_command("sqlmove", *arguments, stdout=stdout)
    return stdout.getvalue()


def picture() -> str:
    farm.sql("DROP TABLE IF EXISTS rehome_moverun")
    return farm.picture()


@pytest.mark.parametrize("online", ["0", "1"])
def test_forwards_it_is_what_the_migration_does(planned: str, monkeypatch: pytest.MonkeyPatch, online: str) -> None:
    monkeypatch.setenv("REHOME_ONLINE", online)
    script = sqlmove(*PROFILES) + sqlmove(*PRINTERS)

    with database(f"{planned}_psql", template=release(planned)) as other:
        farm.migrate("accounts", "0002")
        farm.migrate("printers", "0002")
        by_migration = picture()
        with connected_to(other):
            psql(script)
            by_script = picture()

    assert "portal_profile" in by_script
    assert by_script == by_migration


def test_backwards_it_is_what_the_migration_does(live: str) -> None:
    farm.sql("INSERT INTO accounts_profile (name) VALUES ('born since')")
    # Its trigger is away: the target wins.
    farm.sql("ALTER TABLE accounts_profile DISABLE TRIGGER USER")
    farm.sql("UPDATE accounts_profile SET name = 'changed since' WHERE id = 10")
    script = sqlmove(*PRINTERS, "--backwards") + sqlmove(*PROFILES, "--backwards")

    with database(f"{live}_psql", template=release(live)) as other:
        farm.migrate_back()
        by_migration = picture()
        with connected_to(other):
            # Of later migrations.
            psql("DROP INDEX accounts_profile_org_idx, printers_printer_printing_idx;")
            psql("ALTER TABLE accounts_profile DROP COLUMN province_id;")
            psql(script)
            assert farm.sql("SELECT count(*) FROM portal_profile WHERE name LIKE '%% since'") == [(2,)]
            by_script = picture()

    assert by_script == by_migration


def release(name: str) -> str:
    """A template must have no connection."""
    connection.close()
    return name


def test_the_script_is_readable_and_its_transactions_are_marked(planned: str) -> None:
    script = sqlmove(*PROFILES)

    assert script.startswith("-- accounts.0002_migrate_profile_data on database 'default', forwards\n")
    assert re.findall(r"(?m)^(-- portal.*|-- [A-Z]\w+: .*|BEGIN;|COMMIT;)$", script) == [
        "-- portal.Profile -> accounts.Profile",
        "-- Prepare: each by itself.",
        "BEGIN;",
        "COMMIT;",
        "-- Move: all or nothing.",
        "BEGIN;",
        "COMMIT;",
        "-- Settle: each by itself.",
        "BEGIN;",
        "COMMIT;",
    ]
    assert farm.sql("SELECT count(*) FROM accounts_profile") == [(0,)]


def test_a_live_move_has_only_what_it_lacks(live: str) -> None:
    assert "\nBEGIN;" not in sqlmove(*PRINTERS)

    farm.sql("ALTER TABLE portal_printer DISABLE TRIGGER USER")
    farm.sql("SELECT setval('printers_printer_id_seq', 1)")
    script = sqlmove(*PRINTERS)

    assert "-- Repair: all or nothing.\nBEGIN;\n" in script
    assert 'INSERT INTO "public"."printers_printer" (' not in script.partition("CREATE")[0]
    psql(script)
    assert [report.ok for report in farm.reports()] == [True, True]


@pytest.mark.long
def test_repaired_triggers_do_not_correct_the_target(live: str) -> None:
    farm.sql("ALTER TABLE portal_profile DISABLE TRIGGER USER")
    farm.sql("UPDATE portal_profile SET name = 'acknowledged' WHERE id = 10")
    psql(sqlmove(*PROFILES))
    farm.migrate("printers", "0001")

    with pytest.raises(Refused, match=r"1 rows of .* differ, because the trigger .* is or was missing"):
        farm.migrate("accounts", "0001")
    farm.sql("UPDATE portal_profile SET id = id WHERE id = 10")
    farm.migrate("accounts", "0001")

    assert farm.sql("SELECT name FROM portal_profile WHERE id = 10") == [("acknowledged",)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["accounts", "0001"], "accounts.0001_initial moves no model; sqlmigrate prints its SQL."),
        (["accounts", "0009"], "No migration of 'accounts' begins with '0009'."),
        (["accounts", "000"], "More than one migration of 'accounts' begins with '000'."),
        (["nowhere", "0001"], "No migration of 'nowhere' begins with '0001'."),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str, transactional_db: None) -> None:
    with pytest.raises(CommandError) as refused:
        sqlmove(*arguments)

    assert str(refused.value) == message
    assert refused.value.returncode == 2


def test_sqlmove_refuses_what_can_not_be_run(planned: str) -> None:
    with pytest.raises(Refused, match=r"portal\.Profile -> accounts\.Profile is not live .* it never ran here\."):
        sqlmove(*PROFILES, "--backwards")

    farm.migrate("accounts", "0002")
    farm.sql("DROP TABLE accounts_profile CASCADE")
    with pytest.raises(CommandError, match=r"accounts\.Profile has no table 'accounts_profile'"):
        sqlmove(*PROFILES)


@pytest.mark.parametrize("phase", sorted(INTERRUPTED))
def test_an_interrupted_move_is_resumed_or_cancelled(live: str, phase: Phase) -> None:
    farm.sql("UPDATE rehome_moverun SET phase = %s", [phase])
    for direction in ([], ["--backwards"]):
        with pytest.raises(
            CommandError, match=r"was interrupted\. `manage\.py migrate` resumes it; to cancel it, migrate to"
        ):
            sqlmove(*PROFILES, *direction)
