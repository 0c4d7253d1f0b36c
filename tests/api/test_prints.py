"""Prints by the API: which are shown, how they are signed off, and how often they succeed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.history import partitions
from monitoring.models import Print
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import LastSeen
from printers.models import Printer
from printers.states import State
from tests.api.conftest import pages, program, send
from tests.url_map.people import Farm

PRINTS = "/api/v1/prints/"
NOW = datetime(2026, 3, 14, 16, 3, tzinfo=UTC)


def ended(printer: Printer, outcome: str = "finished", **more: Any) -> Print:
    given = {"file": "clip.gcode", "started_at": NOW, "ended_at": NOW + timedelta(hours=1)}
    return Print.objects.create(printer=printer, outcome=outcome, **given | more)


@pytest.fixture
def waiting(farm: Farm) -> Print:
    """The printer is ready and its plate is not."""
    looking.keep([(farm.printer.pk, Seen(State.READY))], timezone.now())
    LastSeen.objects.update(waits=State.FINISHED)
    return ended(farm.printer)


@pytest.fixture
def operator(farm: Farm) -> Client:
    return program(farm.operator)


def test_a_print_is_shown_to_who_may_see_its_printer(farm: Farm, waiting: Print) -> None:
    shown = program(farm.viewer, writes=False).get(f"{PRINTS}{waiting.pk}/").json()
    assert (shown["printer"], shown["file"], shown["outcome"]) == (farm.printer.pk, "clip.gcode", "finished")
    assert (shown["verdict"], shown["started_by"], shown["found_by"]) == (None, None, "polling")

    stranger = program(farm.stranger)
    assert stranger.get(f"{PRINTS}{waiting.pk}/").status_code == 404
    assert stranger.get(PRINTS).json()["results"] == []
    assert send(stranger, "POST", f"{PRINTS}{waiting.pk}/sign-off/", {"verdict": "good"}).status_code == 404
    assert stranger.get(f"{PRINTS}rates/").json() == {"rates": [], "reasons": []}


def test_after_a_print_nothing_starts_until_it_is_signed_off(farm: Farm, waiting: Print, operator: Client) -> None:
    one = f"/api/v1/printers/{farm.printer.pk}/"
    refused = send(operator, "POST", f"{one}start/", {"file": "next.gcode"})
    assert (refused.status_code, refused.json()["state"]) == (409, "finished")
    assert "Say first how it went" in refused.json()["detail"]

    said = send(operator, "POST", f"{PRINTS}{waiting.pk}/sign-off/", {"verdict": "good"})
    assert (said.status_code, said.json()["done"]) == (200, True)
    assert operator.get(f"{one}state/").json()["state"] == "ready"
    assert operator.get(f"{PRINTS}{waiting.pk}/").json()["signed_off_by"] == "may operate"


def test_the_same_said_twice_is_once_and_something_else_is_refused(
    waiting: Print, farm: Farm, operator: Client
) -> None:
    address = f"{PRINTS}{waiting.pk}/sign-off/"
    bad = {"verdict": "bad", "reason": "Came loose", "count": 3}
    assert send(operator, "POST", address, bad).json()["done"] is True
    first = Print.objects.get()
    assert send(program(farm.owner), "POST", address, bad | {"reason": "Other"}).status_code == 200
    assert send(operator, "POST", address, {"verdict": "good"}).status_code == 409

    last = Print.objects.get()
    assert (last.signed_off_by, last.bad_reason, last.bad_count) == (farm.operator, "Came loose", 3)
    assert last.signed_off_at == first.signed_off_at


def test_a_sign_off_is_undone_by_who_said_it(farm: Farm, waiting: Print, operator: Client) -> None:
    address = f"{PRINTS}{waiting.pk}/sign-off/"
    send(operator, "POST", address, {"verdict": "bad", "reason": "Came loose"})
    assert send(program(farm.viewer), "DELETE", address).status_code == 403
    assert send(program(farm.operator, writes=False, name="reads"), "DELETE", address).status_code == 403
    refused = send(program(farm.owner), "DELETE", address)
    assert (refused.status_code, refused.json()["print"]) == (409, waiting.pk)

    undone = send(operator, "DELETE", address)

    assert (undone.status_code, undone.json()["done"]) == (200, True)
    shown = operator.get(f"{PRINTS}{waiting.pk}/").json()
    assert (shown["verdict"], shown["signed_off_at"], shown["bad_reason"]) == (None, None, "")
    assert operator.get(f"/api/v1/printers/{farm.printer.pk}/state/").json()["state"] == "finished"


def test_who_may_only_look_signs_nothing_off(farm: Farm, waiting: Print) -> None:
    viewer = program(farm.viewer)
    assert send(viewer, "POST", f"{PRINTS}{waiting.pk}/sign-off/", {"verdict": "good"}).status_code == 403
    many = send(viewer, "POST", f"{PRINTS}sign-off/", {"verdict": "good", "prints": [waiting.pk]})
    assert (many.status_code, many.json()) == (200, {"results": []})
    assert Print.objects.get().signed_off_at is None


def test_many_are_signed_off_at_once(farm: Farm, waiting: Print, operator: Client) -> None:
    running = Print.objects.create(printer=farm.printer, started_at=NOW, file="next.gcode")
    sent = {"verdict": "bad", "reason": "Strings", "prints": [waiting.pk, running.pk, 2**31 - 1]}
    results = send(operator, "POST", f"{PRINTS}sign-off/", sent).json()["results"]

    assert [(one["print"], one["done"]) for one in results] == [(waiting.pk, True), (running.pk, False)]
    assert "has not ended yet" in results[1]["sentence"]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"reason": ""}, 409), ({"verdict": "fine"}, 400), ({"count": -1}, 400), ({"count": 1.5}, 400),
        ({"reason": "x" * 501}, 400), ({"reason": 5}, 400),
    ],
)  # fmt: skip
def test_a_wrong_verdict_is_none(wrong: dict[str, Any], status: int, waiting: Print, operator: Client) -> None:
    sent = {"verdict": "bad", "reason": "x"} | wrong
    assert send(operator, "POST", f"{PRINTS}{waiting.pk}/sign-off/", sent).status_code == status
    assert Print.objects.get().signed_off_at is None


def test_filters_order_and_pages(farm: Farm, operator: Client) -> None:
    prints = {
        "good": ended(farm.printer, verdict="good"),
        "bad": ended(farm.printer, "failed", verdict="bad", started_at=NOW - timedelta(days=2)),
        "open": Print.objects.create(printer=farm.printer, started_at=NOW + timedelta(hours=2), file="other.gcode"),
        "lost": ended(farm.printer, "lost", started_at=NOW - timedelta(days=1)),
    }
    names = {one.pk: name for name, one in prints.items()}

    def found(query: str) -> list[str]:
        return [names[row["id"]] for row in pages(operator, f"{PRINTS}?limit=2&{query}")]

    assert found("") == ["open", "good", "lost", "bad"]
    assert found("ordering=started_at") == ["bad", "lost", "good", "open"]
    assert found("outcome=running") == found("file=other.gcode") == ["open"]
    assert found("verdict=none") == ["lost"]
    assert found(f"printer={farm.printer.pk}&outcome=failed") == ["bad"]
    assert found("since=1015-04-07T14:46:54%2B22:34&before=1016-01-01T00:00:00Z") == []
    assert found("since=2026-03-13T12:00:00Z&before=2026-03-14T16:03:00Z") == ["lost"]


def test_rates_by_printer_and_by_file_and_the_reasons(farm: Farm, operator: Client) -> None:
    ended(farm.printer, verdict="good")
    ended(farm.printer, verdict="bad", bad_reason="Came loose", file="gear.gcode")
    by_file = operator.get(f"{PRINTS}rates/?per=file").json()

    assert [(row["file"], row["rate"]) for row in by_file["rates"]] == [("gear.gcode", 0.0), ("clip.gcode", 100.0)]
    assert by_file["reasons"] == [{"reason": "Came loose", "prints": 1}]
    [row] = operator.get(f"{PRINTS}rates/").json()["rates"]
    assert (row["printer"], row["rate"], row["good"], row["bad"]) == (farm.printer.pk, 50.0, 1, 1)


def test_history_of_a_printer(farm: Farm, operator: Client) -> None:
    now = timezone.now()
    partitions.make_ahead(now)
    warm = {"tool0": {"actual": 214.5, "target": 215.0}}
    for minutes, seen in ((50, Seen(State.READY)), (40, Seen(State.PRINTING, "a", 1.0, None, warm))):
        looking.keep([(farm.printer.pk, seen)], now - timedelta(minutes=minutes))
    address = f"/api/v1/printers/{farm.printer.pk}/history/"
    found = operator.get(f"{address}?range=hour").json()

    assert [span["state"] for span in found["states"]] == ["ready", "printing"]
    assert [point["actual"] for point in found["temperatures"]["tool0"]] == [214.5]
    assert operator.get(f"{address}?until=2001-01-01T00:00:00Z").json()["states"] == []
    assert operator.get(f"{address}?until=0001-01-01T00:00:00Z&range=week").status_code == 200
    assert operator.get(f"{address}?range=year").status_code == 400
    assert program(farm.stranger).get(address).status_code == 404
