"""What verifymoves prints, records and exits with; what it finds is tested with the verification itself."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, models

from rehome import Move
from rehome.models import MoveRun
from rehome.verify.problems import find_problems
from tests.database import psql, url
from tests.farm import farm
from tests.farm.databases import database
from tests.manage import command
from tests.rehome.support.lab import Lab
from tests.waiting import LIMIT_S, until

pytestmark = pytest.mark.server

PROFILE, PRINTER = "portal.Profile -> accounts.Profile", "portal.Printer -> printers.Printer"
HEADINGS = [
    "move", "source rows", "target rows", "missing", "extra", "different", "orphans", "unvalidated", "sequence",
    "sync", "identity", "seconds", "ok",
]  # fmt: skip
SHAPE = [
    "move", "ok", "source_rows", "target_rows", "missing", "extra", "different", "orphans", "unvalidated",
    "sequence_ok", "sync", "identity_ok", "view", "defects", "triggers", "probe", "hidden", "stranded", "seconds",
    "differences",
]  # fmt: skip


class Result:
    """What one call left behind."""

    def __init__(self, *arguments: str, **options: Any) -> None:
        stdout, stderr = StringIO(), StringIO()
        self.code, self.failure = 0, ""
        try:
            call_command("verifymoves", *arguments, stdout=stdout, stderr=stderr, no_color=True, **options)
        except CommandError as error:
            self.code, self.failure = error.returncode, str(error)
        self.out, self.err = stdout.getvalue(), stderr.getvalue()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def table(self) -> list[list[str]]:
        """The lines of the table, until the first empty one."""
        return [re.split(r"\s{2,}", line) for line in self.out.partition("\n\n")[0].splitlines()]


def verify(*arguments: str, **options: Any) -> Result:
    return Result(*arguments, **options)


def write_unseen(*statements: str) -> None:
    """Write while no trigger carries it."""
    tables = ["portal_profile", "portal_printer", "accounts_profile", "printers_printer"]
    for table in tables:
        farm.sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for statement in statements:
        farm.sql(statement)
    for table in tables:
        farm.sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")


# ----- equal


def test_equal_tables_are_a_table_of_numbers_and_exit_code_0(live: str) -> None:
    counts = [f"{len(farm.rows(table)):,}" for table in ("portal_profile", "portal_printer")]

    result = verify()

    assert (result.code, result.failure) == (0, "")
    assert result.out.endswith("\n\nEqual.\n")
    assert result.err == f"Comparing {PROFILE} ...\nComparing {PRINTER} ...\n"
    assert result.table[0] == HEADINGS
    for line, move, count in zip(result.table[1:], (PROFILE, PRINTER), counts, strict=True):
        assert line[:11] == [move, count, count, "0", "0", "0", "0", "0", "yes", "installed", "yes"]
        assert re.fullmatch(r"\d+\.\d", line[11])
        assert line[12] == "yes"
    assert verify(verbosity=0).err == ""


def test_json_has_the_documented_shape_and_the_ledger_keeps_it(live: str) -> None:
    result = verify(format="json")

    assert (result.code, list(result.json)) == (0, ["ok", "moves", "imports"])
    assert [(list(move), move["move"], move["ok"]) for move in result.json["moves"]] == [
        (SHAPE, PROFILE, True),
        (SHAPE, PRINTER, True),
    ]
    runs = MoveRun.objects.order_by("pk")
    assert [run.verification for run in runs] == result.json["moves"]
    assert all(run.verified_at for run in runs)


@pytest.mark.parametrize("name", ["printers.Printer", "PORTAL.printer", "portal.printer -> printers.PRINTER"])
def test_one_move_is_named_by_either_of_its_models(name: str, live: str) -> None:
    assert [move["move"] for move in verify(name, format="json").json["moves"]] == [PRINTER]


# ----- not equal


def test_differences_are_named_with_what_to_do(live: str) -> None:
    write_unseen(
        "DELETE FROM printers_printer WHERE id = 20",
        "UPDATE printers_printer SET api_key = 'another', ping = NOT ping WHERE id IN (30, 40)",
        "INSERT INTO printers_printer (id, ip_address, api_key, ping, printing) VALUES (7, '', 'extra', true, true)",
    )

    result = verify("printers.Printer", limit=3)

    assert (result.code, result.failure) == (1, f"Not in order: {PRINTER}.")
    assert result.table[1][3:6] == ["1", "1", "2"]
    assert result.table[1][-1] == "NO"
    assert re.findall(r"(?m)^  public\..*", result.out) == [
        "  public.printers_printer 30: different in api_key, ping",
        "  public.printers_printer 40: different in api_key, ping",
        "  public.printers_printer 7: extra",
    ]
    assert "  The rows differ: 1 missing in the target, 1 only there, 2 with other values." in result.out
    assert "Equal." not in result.out

    numbers = verify("printers.Printer", format="json").json
    (move,) = numbers["moves"]
    assert (numbers["ok"], move["ok"], move["missing"], move["extra"], move["different"]) == (False, False, 1, 1, 2)
    assert [(found["kind"], found["key"], found["columns"]) for found in move["differences"]] == [
        ("different", ["30"], ["api_key", "ping"]),
        ("different", ["40"], ["api_key", "ping"]),
        ("extra", ["7"], []),
        ("missing", ["20"], []),
    ]
    assert json.loads(farm.sql("SELECT verification::text FROM rehome_moverun ORDER BY id DESC")[0][0]) | {
        "seconds": 0
    } == move | {"seconds": 0}
    assert verify("printers.Printer", format="json", limit=0).json["moves"][0]["differences"] == []

    # The cure, row by row: the source is right about 20 and 30, the target about 40, and 7 should not be.
    farm.sql("UPDATE portal_printer SET id = id WHERE id IN (20, 30)")
    farm.sql("UPDATE printers_printer SET id = id WHERE id = 40")
    farm.sql("DELETE FROM printers_printer WHERE id = 7")
    assert verify().code == 0
    assert farm.sql("SELECT api_key FROM portal_printer WHERE id IN (30, 40) ORDER BY id") == [
        ("no profile",),
        ("another",),
    ]


def cures(result: Result) -> list[str]:
    return re.findall(r"(?m)^ +Cure: (.*)", result.out)


def follow(cure: str) -> None:
    """Do what the commands between backquotes say."""
    (arguments,) = re.findall(r"`manage\.py sqlmove (\S+ \S+) \| manage\.py dbshell -- -v ON_ERROR_STOP=1`", cure)
    script = StringIO()
    call_command("sqlmove", *arguments.split(), stdout=script)
    psql(script.getvalue())


@pytest.mark.parametrize(
    ("damage", "column", "shown", "problem"),
    [
        ("ALTER TABLE portal_printer DISABLE TRIGGER USER", 9, "missing", "is missing or disabled"),
        ("OUTDATED", 9, "outdated", "is not the one that this version of rehome"),
        ("SELECT setval('printers_printer_id_seq', 1)", 8, "NO", "The sequence is behind the largest key"),
        ("CREATE SEQUENCE own OWNED BY portal_printer.id", 8, "NO", "or the tables use different sequences"),
        ("UNVALIDATED", 7, "1", "Constraints that PostgreSQL has not validated: printers_printer_profile"),
    ],
)
def test_what_sqlmove_cures(damage: str, column: int, shown: str, problem: str, live: str) -> None:
    match damage:
        case "OUTDATED":
            ((function,),) = farm.sql(
                "SELECT tgfoid::regproc::text FROM pg_trigger WHERE tgrelid = 'portal_printer'::regclass "
                "AND tgname ~ '^rehome_forward_[^t]'"
            )
            body = "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
            farm.sql(f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger {body}")
        case "UNVALIDATED":
            ((name,),) = farm.sql(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'printers_printer'::regclass AND contype = 'f'"
            )
            farm.sql(f"ALTER TABLE printers_printer DROP CONSTRAINT {name}")
            farm.sql(
                f"ALTER TABLE printers_printer ADD CONSTRAINT {name} FOREIGN KEY (profile_id) "
                "REFERENCES accounts_profile (id) DEFERRABLE INITIALLY DEFERRED NOT VALID"
            )
        case _:
            farm.sql(damage)
            if "own" in damage:
                farm.sql("ALTER TABLE portal_printer ALTER COLUMN id SET DEFAULT nextval('own')")

    result = verify()

    assert result.code == 1
    assert result.table[2][column] == shown
    assert problem in result.out
    (cure,) = cures(result)
    follow(cure)
    assert verify().code == 0
    farm.sql("INSERT INTO portal_printer (ip_address, api_key, ping, printing) VALUES ('', 'after', true, true)")
    assert verify().code == 0


def test_orphans_are_counted_with_what_to_do(live: str) -> None:
    farm.sql("SET session_replication_role = replica")
    farm.sql("UPDATE portal_printer SET profile_id = 404 WHERE id = 10")
    farm.sql("UPDATE printers_printer SET profile_id = 404 WHERE id = 10")
    farm.sql("SET session_replication_role = DEFAULT")

    result = verify()

    assert (result.code, result.table[2][6]) == (1, "1")
    assert "1 rows of the target have a foreign key that leads to no row." in result.out
    assert cures(result) == ["Create the rows that they name, or set the column to null."]
    farm.sql("UPDATE printers_printer SET profile_id = NULL WHERE id = 10")
    assert verify().code == 0


def test_a_lost_permission_is_told_and_migrate_makes_it_again(live: str) -> None:
    farm.sql("DELETE FROM auth_group_permissions")
    farm.sql("DELETE FROM auth_permission WHERE codename = 'view_printer'")

    result = verify()

    assert (result.code, result.table[2][10]) == (1, "NO")
    (cure,) = cures(result)
    assert cure.endswith("run `manage.py migrate`, which creates what is missing.")
    farm.migrate()
    assert verify().code == 0


def test_what_a_move_without_a_way_back_can_not_carry_is_told_apart(lab: Lab) -> None:
    lab.model("old.Thing", {"name": models.TextField(), "note": models.TextField()})
    lab.model("new.Thing", {"name": models.TextField()})
    move = Move("old.Thing", "new.Thing", discard=["note"], irreversible=True)
    lab.forward(move)
    lab.sql("INSERT INTO new_thing (name) VALUES ('born since')")

    (problem,) = find_problems(lab.verify(move), lab.plan(move), ("new", "0002"), {})

    assert "This move can't go back, so what was written to public.new_thing since is not carried." in problem.text
    assert problem.cure == "None is needed where those writes explain the differences."


# ----- nothing to compare


def test_planned_moves_are_no_proof(planned: str) -> None:
    result = verify()

    assert (result.code, result.failure) == (
        1,
        "Nothing was checked: no move is live and no import has run on this database.",
    )
    assert result.table[1] == [PROFILE, *["-"] * 11, "NO"]
    assert f"{PROFILE}: not checked. It is planned on this database, not live" in result.out
    (first, _) = verify(format="json").json["moves"]
    assert list(first) == [*SHAPE, "problem"]
    assert (first["ok"], first["source_rows"], first["differences"]) == (False, None, [])
    assert first["problem"] == "It is planned on this database, not live: only one of its tables is in use."
    assert MoveRun._meta.db_table not in connection.introspection.table_names()


@pytest.mark.long
def test_a_move_that_was_rolled_back_is_not_checked(live: str) -> None:
    farm.migrate("printers", "0001")

    everything, named = verify(), verify("printers.Printer")

    assert everything.code == 0
    assert everything.table[1][-1] == "yes"
    assert everything.table[2] == [PRINTER, *["-"] * 11, "NO"]
    assert everything.out.endswith(
        f"{PRINTER}: not checked. It is back on this database, not live: only one of its tables is in use.\n\nEqual.\n"
    )
    assert [move["ok"] for move in verify(format="json").json["moves"]] == [True, False]
    assert (named.code, named.failure) == (
        1,
        f"Not checked: {PRINTER}: It is back on this database, not live: only one of its tables is in use.",
    )


def test_a_faked_move_beside_a_live_one_is_a_failure(live: str) -> None:
    farm.migrate("printers", "0001")
    call_command("migrate", "printers", "0002", fake=True, verbosity=0)
    farm.sql("DELETE FROM rehome_moverun WHERE source_table = 'public.portal_printer'")

    result = verify()

    assert (result.code, result.table[1][-1], result.table[2][-1]) == (1, "yes", "NO")
    assert result.failure.startswith(
        f"Not checked: {PRINTER}: printers.0002_migrate_printer_data is recorded as applied, but rehome did not run it"
    )
    assert verify("accounts.Profile").code == 0


def test_a_live_move_that_can_not_be_compared_is_a_failure(live: str) -> None:
    farm.sql("ALTER TABLE printers_printer RENAME TO printers_machine")

    result = verify()

    assert result.code == 1
    assert result.failure.startswith(f"Not checked: {PRINTER}: printers.Printer has no table 'printers_printer'")


def test_empty_tables_prove_nothing(live: str) -> None:
    farm.sql("TRUNCATE portal_printer, printers_printer, portal_profile, accounts_profile")

    result = verify()

    assert (result.code, result.failure) == (
        1,
        "Nothing was compared: every table is empty.",
    )
    assert verify(format="json").json["ok"] is False


def test_a_project_without_moves_has_nothing_to_check(planned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rehome.management.commands.verifymoves.find_moves", lambda loader: [])

    assert verify().failure == "Nothing was checked: no move is live and no import has run on this database."
    assert verify(format="json").json == {"ok": False, "moves": [], "imports": []}


# ----- usage and circumstances


@pytest.fixture
def other(live_house: str, planned: str) -> Iterator[str]:
    """An alias beside the default one, on which nothing has moved: there everything has."""
    with database(f"{live_house}_other", template=live_house) as name:
        connections.databases["other"] = connections.databases["default"] | {"NAME": name}
        yield "other"
        connections["other"].close()
        del connections["other"], connections.databases["other"]


def test_every_command_looks_at_the_database_that_it_is_given(other: str) -> None:
    farm.sql("ALTER TABLE accounts_profile DISABLE TRIGGER USER", database=other)

    result = verify(database=other)

    assert result.code == 1
    assert cures(result) == [
        "Create the triggers again with `manage.py sqlmove accounts 0002_migrate_profile_data --database other | "
        "manage.py dbshell --database other -- -v ON_ERROR_STOP=1`, then verify again."
    ]
    assert MoveRun.objects.using(other).filter(verified_at=None).count() == 0
    script, shown = StringIO(), StringIO()
    call_command("sqlmove", "accounts", "0002", database=other, stdout=script)
    call_command("showmoves", database=other, format="json", stdout=shown)
    assert [move["phase"] for move in json.loads(shown.getvalue())] == ["live", "live"]
    psql(script.getvalue(), other)
    assert verify(database=other).code == 0
    assert verify().code == 1


def test_an_unknown_move_exits_with_2_and_names_those_there_are(live: str) -> None:
    result = verify("printers.Scanner")

    assert (result.code, result.out) == (2, "")
    assert result.failure == (
        "There is no move 'printers.Scanner'. The moves on this database: accounts.Profile, printers.Printer."
    )


def test_a_read_only_connection_compares_and_records_nothing(live: str) -> None:
    farm.sql("SET default_transaction_read_only = on")

    result = verify()

    assert result.code == 0
    assert result.err.count("This connection is read-only: the result is not recorded.") == 2
    assert farm.sql("SELECT count(verified_at) FROM rehome_moverun") == [(0,)]


@pytest.fixture
def reader(live: str) -> Iterator[str]:
    """A role that may read everything and write nothing, and is this connection's."""
    role = f"{live}_reader"
    farm.sql(f'CREATE ROLE "{role}" IN ROLE pg_read_all_data')
    farm.sql(f'SET ROLE "{role}"')
    yield role
    farm.sql("RESET ROLE")
    farm.sql(f'DROP ROLE "{role}"')


def test_a_role_that_may_only_read_can_verify(reader: str) -> None:
    result = verify()

    assert result.code == 0
    assert "the result is not recorded" in result.err


def test_a_role_is_told_each_right_that_it_lacks_to_verify(live: str) -> None:
    """SELECT is enough; each refusal names where, and the GRANT."""
    role, granted = f"{live}_auditor", []
    farm.sql(f'DROP ROLE IF EXISTS "{role}"; CREATE ROLE "{role}"')
    try:
        while True:
            farm.sql(f'SET ROLE "{role}"')
            result = verify(verbosity=0)
            farm.sql("RESET ROLE")
            if result.code == 0:
                break
            found = re.search(r"lacks the privilege SELECT on (\S+)\. Run (GRANT SELECT ON .*)\.", result.failure)
            assert found, result.failure + result.out
            assert found[1] not in granted
            granted.append(found[1])
            farm.sql(found[2])
        tables = {"django_migrations", "rehome_moverun", "portal_profile", "accounts_profile", "auth_user"}
        assert {f"public.{table}" for table in tables} <= set(granted)
    finally:
        farm.sql(f'RESET ROLE; DROP OWNED BY "{role}"; DROP ROLE "{role}"')


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_verification_says_so_and_leaves_nothing(live: str, number: int, code: int) -> None:
    farm.sql("BEGIN")
    farm.sql("LOCK TABLE printers_printer IN ACCESS EXCLUSIVE MODE")
    with subprocess.Popen(
        command("verifymoves"),
        env=os.environ | {"DATABASE_URL": url()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'printers_printer'::regclass")
            process.send_signal(number)
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    farm.sql("ROLLBACK")

    assert (process.returncode, out) == (code, "")
    assert err.endswith("CommandError: Interrupted; nothing is changed.\n")
    assert "Traceback" not in err


def wait_for(query: str) -> None:
    until(lambda: farm.sql(query), query)
