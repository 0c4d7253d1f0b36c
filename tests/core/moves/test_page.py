"""The staff's page of moves, on farms whose moves are planned, live, interrupted and retired."""

import dataclasses
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from core.moves import reading, verifying
from core.moves.models import Check
from rehome.models import Phase
from rehome.plan.ledger import Ledger
from rehome.plan.record import Checkpoint, Record
from tests.waiting import LIMIT_S

PAGE, VERIFY = "/staff/moves/", "/staff/moves/verify/"
PRINTERS = "portal.Printer -> printers.Printer"
PROFILES = "portal.Profile -> accounts.Profile"


@pytest.fixture(autouse=True)
def _the_page_waits_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "QUICK_S", LIMIT_S)


def enter() -> Client:
    """As staff, on whichever database the default connection leads to."""
    call_command("migrate", verbosity=0, app_label="core")
    for label in ("sessions", "admin", "people"):
        call_command("migrate", label, verbosity=0)
    client = Client()
    client.force_login(User.objects.create_superuser("ines"))
    return client


def text(client: Client) -> str:
    response = client.get(PAGE)
    assert response.status_code == 200
    return response.content.decode()


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db
def test_live_moves_have_their_rows_sync_and_writes(browser: Client) -> None:
    page = text(browser)

    assert page.count('data-state="ready"') >= 2
    assert "Both tables are in use, and in sync." in page
    assert "<b>installed</b>" in page
    assert "printers.0002_migrate_printer_data" in page
    assert ">never" in page


@pytest.mark.django_db
def test_an_overdue_verification_is_called_so(browser: Client) -> None:
    Ledger("default").runs.update(changed_at=timezone.now() - timezone.timedelta(hours=30))

    assert "<title>Moves: 2 to verify · Print farm</title>" in text(browser)


def test_planned_moves_have_not_run(planned: str) -> None:
    page = text(enter())

    assert page.count("It has not run here yet.") == 2
    assert "Verify now" not in page


def test_a_verification_compares_is_recorded_and_names_rows_that_differ_but_not_what_stands_in_them(live: str) -> None:
    client = enter()

    response = client.post(VERIFY, {"move": PRINTERS}, follow=True)

    assert response.redirect_chain == [(PAGE, 302)]
    assert response.content.decode().count("Equal") == 1
    run = Ledger("default").latest_named(PRINTERS)
    assert run is not None
    assert run.verification["ok"] is True
    assert Check.objects.get().by == "ines"

    execute("ALTER TABLE printers_printer DISABLE TRIGGER USER")
    execute("UPDATE printers_printer SET api_key = 'rosebud-rosebud' WHERE id = (SELECT min(id) FROM printers_printer)")
    execute("ALTER TABLE printers_printer ENABLE TRIGGER USER")
    page = client.post(VERIFY, {"move": PRINTERS}, follow=True).content.decode()

    assert "<code>api_key</code>" in page
    assert "Not in order: portal.Printer -&gt; printers.Printer." in page
    assert "rosebud" not in page
    assert "<title>Moves: 1 differs" in page


@pytest.mark.long
def test_all_are_verified_at_once(live: str) -> None:
    page = enter().post(VERIFY, follow=True).content.decode()

    assert page.count("Equal") == 2


@pytest.mark.django_db
def test_a_copy_shows_how_far_it_is(browser: Client) -> None:
    ledger = Ledger("default")
    run = ledger.latest_named(PRINTERS)
    assert run is not None
    copied = {"printers_printer": Checkpoint(filenode=1, block=62, blocks=100, rows=1_240_000)}
    kept = dataclasses.replace(Record.of(run), copied=copied)
    ledger.runs.filter(pk=run.pk).update(phase=Phase.COPYING, kept=kept.as_json())

    page = text(browser)

    assert "<title>Moves: 1 is copying · Print farm</title>" in page
    assert "1,240,000 of about 2,000,000 rows" in page
    assert '<progress class="bar" data-state="printing" max="100" value="62"' in page
    assert 'hx-trigger="every 3s"' in page
    assert "hx-trigger" in browser.get(PAGE, headers={"HX-Request": "true"}).content.decode()


@pytest.mark.long
def test_retired_moves_are_verified_through_their_view(live: str) -> None:
    client = enter()
    call_command("retiremoves", interactive=False, verbosity=0)

    page = client.post(VERIFY, {"move": PRINTERS}, follow=True).content.decode()

    assert "The target alone has the rows; the old name is a view of it." in page
    assert page.count("Equal") == 2
    assert Check.objects.get().said == ""


@pytest.mark.long
def test_a_running_comparison_is_not_begun_twice_and_one_whose_process_has_died_runs_no_more(live: str) -> None:
    client = enter()
    Check.objects.create(move=PRINTERS, by="bob", started_at=timezone.now())
    assert "comparing now" not in text(client)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [verifying.LOCKS, verifying.key_of(PRINTERS)])
    page = client.post(VERIFY, {"move": PRINTERS}, follow=True).content.decode()

    assert "comparing now" in page
    assert Check.objects.get().by == "bob"


@pytest.mark.django_db
def test_a_move_that_is_not_there_is_not_verified(browser: Client) -> None:
    assert browser.post(VERIFY, {"move": "portal.Nothing -> printers.Nothing"}).status_code == 404
    assert not Check.objects.exists()


@pytest.mark.django_db
def test_records_that_cannot_be_read_are_a_sentence(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger("default").runs.update(phase="melting")

    page = text(browser)

    assert "no phase that" in page


@pytest.mark.django_db
def test_the_page_reads_and_writes_nothing(browser: Client) -> None:
    before: list[Any] = [vars(run) for run in Ledger("default").all()]
    reading.read_page()

    after = [vars(run) for run in Ledger("default").all()]
    assert [{**run, "_state": None} for run in after] == [{**run, "_state": None} for run in before]
