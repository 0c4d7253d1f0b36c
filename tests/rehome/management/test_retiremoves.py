"""retiremoves retires the farm's old tables and unretires them, asks where it should, and says what it did."""

import io
import json
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from rehome.errors import Refused
from tests.database import url_of
from tests.farm import farm
from tests.farm.test_locks import other_session
from tests.manage import manage

pytestmark = pytest.mark.server

SOURCES = ["portal_profile", "portal_printer"]
WRITE = "UPDATE portal_printer SET printing = NOT printing WHERE id = %s"


def retiremoves(*arguments: str, **options: Any) -> str:
    stdout = StringIO()
    call_command("retiremoves", *arguments, stdout=stdout, **options)
    return stdout.getvalue()


def showmoves() -> list[dict[str, Any]]:
    stdout = StringIO()
    call_command("showmoves", stdout=stdout, format="json")
    return json.loads(stdout.getvalue())


def kinds() -> list[str]:
    question = (
        "SELECT relkind::text FROM unnest(%s::text[]) AS t JOIN pg_class c ON c.oid = t::regclass ORDER BY t DESC"
    )
    return [kind for (kind,) in farm.sql(question, [SOURCES])]


def a_printer() -> int:
    return farm.sql("SELECT min(id) FROM portal_printer")[0][0]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Somebody sits at a terminal and gives one answer to every question; the questions."""

    def sit(answer: str) -> list[str]:
        asked: list[str] = []
        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
        return asked

    return sit


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.long
def test_all_moves_are_retired_and_unretired(live: str) -> None:
    before = {table: farm.rows(table) for table in SOURCES}
    said = retiremoves().splitlines()
    assert [line.partition(" is retired: ")[0] for line in said] == [str(move) for move in farm.MOVES]
    assert "views of public.accounts_profile replace public.portal_profile" in said[0]
    assert kinds() == ["v", "v"]
    assert [move["phase"] for move in showmoves()] == ["retired", "retired"]
    assert {table: farm.rows(table) for table in SOURCES} == before

    assert retiremoves().splitlines() == [f"{move} is retired already." for move in farm.MOVES]
    said = retiremoves("--undo").splitlines()
    assert [line.partition(" is live again")[0] for line in said] == [str(move) for move in reversed(farm.MOVES)]
    farm.assert_in_step()
    assert "is not retired; there is nothing to undo." in retiremoves("--undo")


def test_a_database_where_nothing_is_live(planned: str) -> None:
    assert retiremoves() == "No move is live on this database that could be retired.\n"
    assert retiremoves("--undo") == "No move is retired on this database that can be unretired.\n"
    assert retiremoves("--drop") == "No move on this database has old rows that are set aside.\n"
    with pytest.raises(Refused, match="portal.Printer -> printers.Printer is not live .* it never ran here"):
        retiremoves("printers.Printer")
    with pytest.raises(Refused, match="is not retired on database 'default': it never ran here"):
        retiremoves("printers.Printer", "--undo")
    with pytest.raises(CommandError, match="There is no move 'portal.Nothing'"):
        retiremoves("portal.Nothing")


def test_a_dry_run_prints_and_changes_nothing(live: str) -> None:
    before = farm.picture(records=True)
    printed = retiremoves("--dry-run")
    assert 'CREATE VIEW "public"."portal_printer" WITH (security_invoker = true) AS SELECT' in printed
    assert farm.picture(records=True) == before
    retiremoves("printers.Printer")
    before = farm.picture(records=True)
    assert 'DROP VIEW "public"."portal_printer"' in retiremoves("--undo", "--dry-run")
    assert 'DROP TABLE "public"."rehome_aside_' in retiremoves("--drop", "--dry-run")
    assert farm.picture(records=True) == before


@pytest.mark.long
def test_what_is_dropped_does_not_come_back(live: str, answers: Callable[[str], list[str]]) -> None:
    retiremoves()
    with pytest.raises(Refused, match=f"no terminal to ask on: it is database '{live}'.*Add --confirm {live}"):
        retiremoves("--drop")
    with pytest.raises(Refused, match="--noinput alone does not confirm it.*Nothing is changed"):
        retiremoves("--drop", "--noinput")
    with pytest.raises(Refused, match=f"--confirm names 'another', and this is database '{live}'"):
        retiremoves("--drop", "--confirm=another")
    answers("yes")
    with pytest.raises(Refused, match=f"'yes' is not '{live}'. Nothing is changed"):
        retiremoves("portal.Profile", "--drop")
    answers(f"{live}")
    told = retiremoves("portal.Profile", "--drop")
    assert "neither an undo nor a way back" in told
    assert f"database    {live}" in told
    assert "last write  20" in told
    assert "the old rows are dropped" in told
    assert "the old rows are dropped" in retiremoves("--drop", "--noinput", f"--confirm={live}")
    assert farm.sql("SELECT relname FROM pg_class WHERE relname ~ '^rehome_(aside|writes)'") == []
    assert "No move is retired on this database" in retiremoves("--undo")
    for again in ("--undo", "--drop"):
        with pytest.raises(Refused, match="was dropped for good by `retiremoves --drop`"):
            retiremoves("portal.Profile", again)
    with pytest.raises(Refused, match="was dropped for good"):
        farm.migrate("printers", "0001")
    assert kinds() == ["v", "v"]
    farm.sql("UPDATE portal_printer SET printing = true")


def test_retiremoves_asks_while_writes_arrive(live: str, answers: Callable[[str], list[str]]) -> None:
    with other_session() as session:
        session.execute("SET application_name = 'an old worker'")
        session.execute(WRITE, [a_printer()])
        with pytest.raises(CommandError) as refusal:
            retiremoves("printers.Printer")
        assert "1 rows were written through public.portal_printer since the move; " in str(refusal.value)
        assert "an old worker (user " in str(refusal.value)
        assert "with --noinput, nothing is asked" in str(refusal.value)
        call_command("verifymoves", verbosity=0, stdout=StringIO())
        asked = answers("no")
        assert retiremoves("printers.Printer") == "Cancelled.\n"
        assert "0 rows were written through public.portal_printer since verifymoves last counted, 20" in asked[0]
    assert kinds() == ["r", "r"]
    answers("")
    farm.sql(WRITE, [a_printer()])
    assert retiremoves("printers.Printer") == "Cancelled.\n"
    answers("yes")
    assert "is retired" in retiremoves("printers.Printer")


def test_noinput_asks_nothing(live: str) -> None:
    farm.sql(WRITE, [a_printer()])
    assert "is retired" in retiremoves("printers.Printer", "--noinput")


def test_nobody_is_asked_when_nothing_has_arrived_since_the_last_verification(live: str) -> None:
    farm.sql(WRITE, [a_printer()])
    call_command("verifymoves", verbosity=0, stdout=StringIO())
    assert "is retired" in retiremoves("printers.Printer")


def test_tables_that_differ_are_not_retired(live: str) -> None:
    farm.sql("ALTER TABLE printers_printer DISABLE TRIGGER USER")
    farm.sql("UPDATE printers_printer SET printing = NOT printing")
    with pytest.raises(Refused, match="Verification of .* failed.*verifymoves printers.Printer"):
        retiremoves()
    assert kinds() == ["v", "r"]
    assert showmoves()[1]["verified_ok"] is False


def test_retiremoves_as_a_program(live: str) -> None:
    name = connection.settings_dict["NAME"]
    done = manage("retiremoves", "printers.Printer", DATABASE_URL=url_of(name))
    assert (done.returncode, done.stdout[:45]) == (0, "portal.Printer -> printers.Printer is retired")
    assert "[3/3] validate foreign keys" in done.stderr
    refused = manage("retiremoves", "--drop", DATABASE_URL=url_of(name))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert manage("retiremoves", "--drop", "--undo").returncode == 2
