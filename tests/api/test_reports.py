"""What agents tell of printers."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from api.models import Report
from monitoring.models import Print
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import LastSeen
from printers.models import Printer
from printers.states import State
from tests.api.conftest import program, send, text_of_token
from tests.url_map import people
from tests.url_map.people import Farm

REPORT = {
    "state": "printing", "file": "clip.gcode", "progress": 12.5, "message": "",
    "temperatures": {"tool0": {"actual": 214, "target": 215}, "bed": {"actual": 60.5}},
}  # fmt: skip


@pytest.fixture
def agent(farm: Farm) -> Client:
    return program(farm.operator)


def report(client: Client, printer: int, data: Any = REPORT, key: str = "1") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return send(client, "POST", f"/api/v1/printers/{printer}/status/", data, headers=headers)


def test_what_an_agent_tells_is_what_was_last_seen(farm: Farm, agent: Client) -> None:
    response = report(agent, farm.printer.pk)

    assert (response.status_code, response.json()["repeated"]) == (200, False)
    printer = Printer.objects.whole().get()
    assert (printer.state, printer.seen.file, printer.seen.progress) == (State.PRINTING, "clip.gcode", 12.5)
    assert printer.seen.temperatures == {
        "tool0": {"actual": 214, "target": 215}, "bed": {"actual": 60.5, "target": None},
    }  # fmt: skip
    assert (printer.ping, printer.printing) == (True, True)


def test_the_same_report_is_kept_once(farm: Farm, agent: Client) -> None:
    first = report(agent, farm.printer.pk).json()
    report(agent, farm.printer.pk, {"state": "paused"}, key="2")
    again = report(agent, farm.printer.pk).json()

    assert again == first | {"repeated": True}
    assert Printer.objects.whole().get().state == State.PAUSED


def test_a_key_that_came_with_something_else_is_refused(farm: Farm, agent: Client) -> None:
    report(agent, farm.printer.pk)
    assert report(agent, farm.printer.pk, {"state": "paused"}).status_code == 409
    assert Printer.objects.whole().get().state == State.PRINTING


def test_keys_of_two_people_and_two_printers_are_apart(farm: Farm, agent: Client) -> None:
    other = Printer.objects.create(profile=farm.owner.profile, ip_address="http://10.0.0.9", api_key="x")
    answers = [
        report(agent, farm.printer.pk), report(program(farm.owner), farm.printer.pk, {"state": "paused"}),
        report(program(farm.owner, name="second"), other.pk),
    ]  # fmt: skip

    assert [answer.json()["repeated"] for answer in answers] == [False, False, False]


@pytest.mark.parametrize("key", ["", "x" * 101, "two words", "ключ"])
def test_without_a_key_nothing_is_kept(key: str, farm: Farm, agent: Client) -> None:
    response = report(agent, farm.printer.pk, key=key)

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "#/Idempotency-Key"
    assert not LastSeen.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "outoforder"}, {"state": None}, {"progress": 101}, {"progress": 1e999}, {"progress": "5"},
        {"temperatures": {"tool0": 5}}, {"temperatures": {"tool0": {"actual": "hot"}}}, {"file": "x" * 1001},
        {"at": "yesterday"}, {"at": "2026-03-05"}, {"ends_at": "9999-12-31T23:59:59-12:00"}, {"message": "a\0b"},
        {"at": 5},
    ],
)  # fmt: skip
def test_a_wrong_report_is_not_kept(wrong: dict[str, Any], farm: Farm, agent: Client) -> None:
    assert report(agent, farm.printer.pk, REPORT | wrong).status_code == 400
    assert not LastSeen.objects.exists()
    assert not Report.objects.exists()


@pytest.mark.parametrize("moment", ["0001-01-01T12:00:00Z", "9999-12-31T12:00:00Z"])
@pytest.mark.parametrize("name", ["at", "ends_at"])
def test_a_moment_that_some_zones_do_not_have_is_refused(name: str, moment: str, farm: Farm, agent: Client) -> None:
    assert report(agent, farm.printer.pk, REPORT | {name: moment}).status_code == 409
    assert not LastSeen.objects.exists()


def test_what_was_seen_earlier_does_not_replace_what_was_seen_later(farm: Farm, agent: Client) -> None:
    looking.keep([(farm.printer.pk, Seen(State.READY))], timezone.now())
    earlier = (timezone.now() - timedelta(minutes=5)).isoformat()
    assert report(agent, farm.printer.pk, REPORT | {"at": earlier}).status_code == 200

    assert Printer.objects.whole().get().state == State.READY


def test_what_was_seen_tomorrow_keeps_no_report_back(farm: Farm, agent: Client) -> None:
    """The portal's own clock was ahead."""
    looking.keep([(farm.printer.pk, Seen(State.READY))], timezone.now() + timedelta(days=1))
    assert report(agent, farm.printer.pk, REPORT | {"state": "error"}).status_code == 200

    assert Printer.objects.whole().get().state == State.ERROR


def test_an_agent_whose_clock_is_ahead_is_told(farm: Farm, agent: Client) -> None:
    soon, later = ((timezone.now() + timedelta(seconds=s)).isoformat() for s in (30, 3600))
    assert report(agent, farm.printer.pk, REPORT | {"at": later}).status_code == 409
    assert report(agent, farm.printer.pk, REPORT | {"at": soon}).status_code == 200
    assert LastSeen.objects.get().asked_at <= timezone.now()


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2200-01-01T00:00:00Z"])
def test_a_time_that_is_none_in_another_zone_breaks_no_page(at: str, farm: Farm, agent: Client) -> None:
    response = report(agent, farm.printer.pk, REPORT | {"ends_at": at})

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (409, "#/ends_at")
    page = Client()
    page.force_login(farm.owner)
    with timezone.override("Asia/Tokyo"):
        assert page.get("/").status_code == 200


def test_keys_are_forgotten_after_a_day(farm: Farm, agent: Client) -> None:
    report(agent, farm.printer.pk)
    Report.objects.update(at=timezone.now() - timedelta(days=1, minutes=1))
    assert report(agent, farm.printer.pk).json()["repeated"] is False
    assert Report.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_kept(farm: Farm) -> None:
    """However the two meet: one answer says that it was kept, the other that it was kept before."""
    headers = {"Authorization": f"Bearer {text_of_token(farm.operator)}"}
    answers, together = [], threading.Barrier(4)

    def tell() -> None:
        try:
            together.wait()
            answers.append(report(Client(headers=headers), farm.printer.pk))
        finally:
            connection.close()

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.json()["repeated"] for answer in answers) == [False, True, True, True]
    assert Report.objects.count() == 1


def test_who_may_only_look_tells_nothing(farm: Farm) -> None:
    before = people.rows()
    assert report(program(farm.viewer), farm.printer.pk).status_code == 403
    assert {name for name, rows in people.rows().items() if rows != before[name]} == {"api.Token"}


def test_a_print_that_an_agent_tells_of_was_found_by_it(farm: Farm, agent: Client) -> None:
    report(agent, farm.printer.pk, {"state": "ready"})
    report(agent, farm.printer.pk, key="2")
    report(agent, farm.printer.pk, {"state": "finished", "file": "clip.gcode"}, key="3")

    [found] = Print.objects.all()
    assert (found.file, found.outcome, found.found_by) == ("clip.gcode", "finished", "agent")
    assert Printer.objects.whole().get().state == State.FINISHED


@pytest.mark.parametrize("parts", [["a\0"], [""], ["x" * 21], ["1"], [f"tool{n}" for n in range(21)]])
def test_parts_have_short_names_and_are_few(parts: list[str], farm: Farm, agent: Client) -> None:
    sent = REPORT | {"temperatures": {part: {"actual": 5} for part in parts}}
    assert report(agent, farm.printer.pk, sent).status_code == 409
    assert not LastSeen.objects.exists()
