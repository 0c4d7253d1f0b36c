"""Planned work and the log by the API: who sees it, and who says that it was done."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.maintenance.models import Entry, Task
from tests.api.conftest import pages, program, send
from tests.url_map.people import Farm

TASKS, ENTRIES = "/api/v1/maintenance/tasks/", "/api/v1/maintenance/entries/"
DAY = timedelta(days=1)


@pytest.fixture
def belt(farm: Farm) -> Task:
    Task.objects.all().delete()
    Entry.objects.all().delete()
    return Task.objects.create(
        printer=farm.printer, what="Tighten the belt", every_days=30, done_at=timezone.now() - 33 * DAY
    )


@pytest.fixture
def operator(farm: Farm) -> Client:
    return program(farm.operator)


def test_work_is_shown_to_who_may_see_its_printer(farm: Farm, belt: Task) -> None:
    [shown] = pages(program(farm.viewer, writes=False), TASKS)

    assert (shown["id"], shown["printer"], shown["every_days"]) == (belt.pk, farm.printer.pk, 30)
    assert shown["overdue"] == "Tighten the belt: overdue by 3 days"
    stranger = program(farm.stranger)
    assert pages(stranger, TASKS) == pages(stranger, ENTRIES) == []


def test_it_is_done_and_in_the_log_and_counted_anew(farm: Farm, belt: Task, operator: Client) -> None:
    done = send(operator, "POST", f"{TASKS}{belt.pk}/done/", {"parts": "Belt 6 mm", "cost": "12.50"})

    assert done.status_code == 201
    entry = done.json()
    assert (entry["what"], entry["by"], entry["parts"], entry["cost"]) == (
        "Tighten the belt", "may operate", "Belt 6 mm", "12.50",
    )  # fmt: skip
    assert pages(operator, ENTRIES) == [entry]
    assert pages(operator, TASKS)[0]["overdue"] is None
    assert pages(operator, f"{TASKS}?overdue=true") == []


def test_what_was_done_earlier_is_said_with_its_moment(farm: Farm, belt: Task, operator: Client) -> None:
    at = (timezone.now() - DAY).replace(microsecond=0)
    send(operator, "POST", f"{TASKS}{belt.pk}/done/", {"what": "Belt, by Ada", "done_at": at.isoformat()})

    belt.refresh_from_db()
    assert (belt.done_at, Entry.objects.get().what) == (at, "Belt, by Ada")


def test_who_may_only_look_or_read_signs_no_work_off(farm: Farm, belt: Task) -> None:
    path = f"{TASKS}{belt.pk}/done/"

    assert send(program(farm.viewer), "POST", path, {}).status_code == 403
    assert send(program(farm.operator, writes=False), "POST", path, {}).status_code == 403
    assert send(program(farm.stranger), "POST", path, {}).status_code == 404
    assert not Entry.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"cost": "-1"}, 400), ({"cost": "1e3"}, 400), ({"cost": 5}, 400), ({"cost": "\u0661"}, 400),
        ({"parts": "x" * 501}, 400), ({"done_at": "2026-01-02"}, 400), ({"done_at": "2099-01-02T00:00:00Z"}, 409),
        ({"done_at": "0001-01-01T12:00:00Z"}, 409), ({"done_at": "9999-12-31T12:00:00Z"}, 409),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(wrong: dict[str, Any], status: int, belt: Task, operator: Client) -> None:
    assert send(operator, "POST", f"{TASKS}{belt.pk}/done/", wrong).status_code == status
    assert not Entry.objects.exists()


def test_the_list_is_narrowed_to_what_is_due(farm: Farm, belt: Task, operator: Client) -> None:
    now = timezone.now()
    due = {
        "by hours": Task.objects.create(printer=farm.printer, what="a", every_hours=10, seconds=36_000, done_at=now),
        "by prints": Task.objects.create(printer=farm.printer, what="b", every_prints=3, prints=3, done_at=now),
        "by days": belt,
    }
    later = [
        Task.objects.create(printer=farm.printer, what="c", every_hours=10, seconds=35_999, done_at=now),
        Task.objects.create(printer=farm.printer, what="d", every_prints=3, prints=2, every_days=1, done_at=now),
    ]

    found = pages(operator, f"{TASKS}?overdue=true&limit=1")

    assert {row["id"] for row in found} == {task.pk for task in due.values()}
    assert all(row["overdue"] for row in found)
    rest = pages(operator, f"{TASKS}?overdue=false&printer={farm.printer.pk}")
    assert [(row["id"], row["overdue"]) for row in rest] == [(task.pk, None) for task in later]
