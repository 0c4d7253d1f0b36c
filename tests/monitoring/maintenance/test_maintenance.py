"""What was done to a machine, and when it is due again: by hours printed, days or prints; overdue shows."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import profiles
from monitoring.maintenance import actions, due
from monitoring.maintenance.models import Entry, Task
from monitoring.models import Print
from printers.fleet.models import Machine, Membership, PrinterGroup, Role
from printers.models import Printer

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def maren(db: None) -> User:
    user = User.objects.create_user("maren", first_name="Maren", last_name="Okafor")
    profiles.ensure(user)
    return user


@pytest.fixture
def printer(maren: User) -> Printer:
    return make(maren, 1)


def make(owner: User, number: int, model: str = "MK4S") -> Printer:
    printer = Printer.objects.create(profile=owner.profile, ip_address=f"10.20.0.{number}", api_key="k")
    Machine.objects.create(printer=printer, name=f"Heron {number}", model=model)
    return printer


@pytest.fixture
def client(maren: User, settings: Any) -> Client:
    settings.CUTOVER_PERCENT = 100
    client = Client()
    client.force_login(maren)
    return client


def printed(printer: Printer, *hours: float, seconds: float | None = None) -> None:
    """Prints since an hour after NOW."""
    for one in hours:
        begun = timezone.now() + timedelta(hours=1)
        Print.objects.create(
            printer=printer,
            started_at=begun,
            ended_at=begun + timedelta(hours=one),
            seconds=seconds,
            outcome="finished",
        )


def task(printer: Printer, **values: Any) -> Task:
    return Task.objects.create(**{"printer": printer, "what": "Change the nozzle", "done_at": NOW, **values})


def said(printer: Printer) -> str:
    due.count_all()
    return due.overdue([printer.pk]).get(printer.pk, "")


def test_due_by_hours_printed(printer: Printer) -> None:
    task(printer, every_hours=10)
    printed(printer, 5, 4.9)
    assert said(printer) == ""
    printed(printer, 0.2)
    assert said(printer) == "Change the nozzle: due now"
    printed(printer, 12)
    assert said(printer) == "Change the nozzle: overdue by 12 h"


def test_what_the_machine_itself_has_measured_counts(printer: Printer) -> None:
    task(printer, every_hours=10)
    printed(printer, 100, seconds=3600)

    assert said(printer) == ""


def test_due_by_number_of_prints(printer: Printer) -> None:
    task(printer, every_prints=3)
    printed(printer, 1, 1)
    assert said(printer) == ""
    printed(printer, 1, 1)

    assert said(printer) == "Change the nozzle: overdue by 1 print"


def test_due_by_days(printer: Printer) -> None:
    planned = task(printer, every_days=30, done_at=NOW - timedelta(days=29))
    assert said(printer) == ""
    planned.done_at = NOW - timedelta(days=33, hours=1)
    planned.save()

    assert said(printer) == "Change the nozzle: overdue by 3 days"


def test_whichever_is_first_makes_it_due(printer: Printer) -> None:
    task(printer, every_hours=1000, every_prints=1)
    printed(printer, 1)

    assert said(printer) == "Change the nozzle: due now"


def test_a_print_that_still_runs_and_one_from_before_do_not_count(printer: Printer) -> None:
    task(printer, every_prints=1)
    Print.objects.create(printer=printer, started_at=NOW - timedelta(hours=1), ended_at=NOW + timedelta(hours=1))
    Print.objects.create(printer=printer, started_at=NOW + timedelta(hours=2))

    assert said(printer) == ""


def test_an_unchanged_farm_writes_no_row(printer: Printer) -> None:
    planned = task(printer, every_prints=5)
    printed(printer, 1)
    due.count_all()
    planned.refresh_from_db()
    before = planned.counted_at
    due.count_all()
    planned.refresh_from_db()

    assert planned.counted_at == before


def test_recording_the_work_counts_anew_and_stays_in_the_log(printer: Printer, maren: User) -> None:
    planned = task(printer, every_prints=1, done_at=NOW - timedelta(days=3))
    Print.objects.create(printer=printer, started_at=NOW - timedelta(days=2), ended_at=NOW - timedelta(days=1))
    assert said(printer) == "Change the nozzle: due now"

    actions.record(maren, printer, "New nozzle", NOW, tasks=[planned], parts="0.4 mm", cost=Decimal("12.50"))

    assert due.overdue([printer.pk]) == {}
    planned.delete()
    maren.delete()
    entry = Entry.objects.get() if Entry.objects.exists() else None
    assert entry is None or (entry.by, entry.by_name, entry.task) == (None, "Maren Okafor", None)


def test_work_that_was_done_earlier_than_the_last_time_counts_nothing_anew(printer: Printer, maren: User) -> None:
    planned = task(printer, every_days=30)
    actions.record(maren, printer, "Long ago", NOW - timedelta(days=90), tasks=[planned])

    planned.refresh_from_db()
    assert planned.done_at == NOW


def test_a_task_needs_an_interval(printer: Printer) -> None:
    with pytest.raises(IntegrityError):
        task(printer)


# ----- pages


def at(name: str, printer: Printer, *more: Any) -> str:
    return reverse(f"maintenance:{name}", args=[printer.pk, *more])


def moment(value: Any) -> str:
    return timezone.localtime(value).strftime("%Y-%m-%dT%H:%M")


def test_overdue_shows_on_the_tile_and_on_the_page(client: Client, printer: Printer) -> None:
    task(printer, every_prints=1)
    printed(printer, 1, 1, 1)
    due.count_all()

    for address in (
        reverse("printers:list") + "?view=tiles", reverse("printers:detail", args=[printer.pk]), at("log", printer),
    ):  # fmt: skip
        assert "Change the nozzle: overdue by 2 prints" in client.get(address).content.decode(), address


def test_work_is_planned_for_all_of_a_model(client: Client, printer: Printer, maren: User) -> None:
    others = [make(maren, 2), make(maren, 3), make(maren, 4, model="XL")]
    stranger = User.objects.create_user("stranger")
    profiles.ensure(stranger)
    make(stranger, 5)
    page = client.get(at("plan", printer)).content.decode()
    assert "Also for 2 more of model MK4S that you may manage" in page

    client.post(at("plan", printer), {"what": "Oil", "every_days": "30", "done_at": moment(NOW), "also": "on"})

    assert set(Task.objects.values_list("printer", flat=True)) == {printer.pk, others[0].pk, others[1].pk}
    client.post(at("plan", printer), {"what": "oil", "every_days": "10", "done_at": moment(NOW), "also": "on"})
    assert Task.objects.count() == 3, "It is planned already."


def test_work_is_recorded_for_what_was_planned(client: Client, printer: Printer) -> None:
    planned = task(printer, every_days=1, done_at=NOW - timedelta(days=4))
    page = client.get(at("record", printer) + f"?task={planned.pk}").content.decode()
    assert "checked" in page

    client.post(
        at("record", printer),
        {"tasks": [planned.pk], "what": "", "done_at": moment(NOW), "parts": "nozzle 0.4", "cost": "12.5"},
    )

    page = client.get(at("log", printer)).content.decode()
    for shown in ("Change the nozzle", "Maren Okafor", "nozzle 0.4", "12.50 spent in all"):
        assert shown in page
    assert due.overdue([printer.pk]) == {}


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"what": ""}, "what"),
        ({"done_at": ""}, "done_at"),
        ({"done_at": moment(NOW + timedelta(days=2))}, "done_at"),
        ({"done_at": "0026-03-04T10:00"}, "done_at"),
        ({"cost": "-1"}, "cost"),
        ({"cost": "1e30"}, "cost"),
    ],
)
def test_an_entry_that_is_wrong(client: Client, printer: Printer, data: dict[str, str], wrong: str) -> None:
    response = client.post(at("record", printer), {"what": "Oil", "done_at": moment(NOW)} | data)

    assert response.status_code == 400
    assert wrong in response.context["form"].errors
    assert not Entry.objects.exists()


@pytest.mark.parametrize(
    ("data", "wrong"),
    [({}, "every_hours"), ({"every_days": "0"}, "every_days"), ({"every_prints": "9999999"}, "every_prints")],
)
def test_a_plan_that_is_wrong(client: Client, printer: Printer, data: dict[str, str], wrong: str) -> None:
    response = client.post(at("plan", printer), {"what": "Oil", "done_at": moment(NOW)} | data)

    assert response.status_code == 400
    assert wrong in response.context["form"].errors


@pytest.mark.parametrize(
    ("zone", "done_at"), [("Asia/Tokyo", "0001-01-01T00:00"), ("America/Lima", "9999-12-31T23:00")]
)
@pytest.mark.parametrize("what", ["record", "plan"])
def test_a_moment_that_other_zones_do_not_have_is_wrong(
    what: str, zone: str, done_at: str, client: Client, printer: Printer
) -> None:
    """Kept, neither the log nor the dashboard could be read any more."""
    client.post(reverse("profile-look"), {"time_zone": zone})
    response = client.post(at(what, printer), {"what": "Oil", "every_days": "5", "done_at": done_at})

    assert response.status_code == 400
    assert "done_at" in response.context["form"].errors


@pytest.mark.parametrize(
    ("typed", "meant"), [("2025-10-26T02:30", "2025-10-26T00:30Z"), ("2026-03-29T02:30", "2026-03-29T01:30Z")]
)
def test_work_is_recorded_in_hours_that_come_twice_or_never(
    typed: str, meant: str, client: Client, printer: Printer
) -> None:
    """The form itself offers the clock of the moment."""
    client.post(reverse("profile-look"), {"time_zone": "Europe/Oslo"})
    for what in ("record", "plan"):
        assert client.post(at(what, printer), {"what": "Oil", "every_days": "5", "done_at": typed}).status_code == 302

    assert Entry.objects.get().done_at == Task.objects.get().done_at == datetime.fromisoformat(meant)


def test_planned_work_is_edited_and_dropped(client: Client, printer: Printer, maren: User) -> None:
    planned = task(printer, every_days=30)
    other = task(make(maren, 2), every_days=30)
    client.post(at("edit", printer, planned.pk), {"what": "Oil", "every_hours": "5", "done_at": moment(NOW)})
    planned.refresh_from_db()
    assert (planned.what, planned.every_hours, planned.every_days) == ("Oil", 5, None)
    assert client.get(at("edit", printer, other.pk)).status_code == 404
    client.post(at("delete", printer, other.pk))

    client.post(at("delete", printer, planned.pk))
    assert list(Task.objects.all()) == [other]


def test_an_operator_records_and_does_not_plan(printer: Printer, settings: Any) -> None:
    settings.CUTOVER_PERCENT = 100
    operator = User.objects.create_user("sindre")
    operator.groups.add(crew := Group.objects.create(name="crew"))
    hall = PrinterGroup.objects.create(name="Hall")
    Membership.objects.create(group=hall, printer=printer)
    Role.objects.create(user_group=crew, printer_group=hall, action="operate")
    client = Client()
    client.force_login(operator)

    page = client.get(at("log", printer)).content.decode()
    assert "Record work" in page
    assert "Plan work" not in page
    assert client.post(at("record", printer), {"what": "Oil", "done_at": moment(NOW)}).status_code == 302
    assert client.get(at("plan", printer)).status_code == 403


def test_overdue_costs_one_query_for_all_tiles(printer: Printer, maren: User, django_assert_num_queries: Any) -> None:
    keys = [make(maren, number).pk for number in range(2, 30)]
    for key in keys:
        task(Printer(pk=key), every_days=1, done_at=NOW - timedelta(days=2))

    with django_assert_num_queries(1):
        assert len(due.overdue(keys)) == 28
