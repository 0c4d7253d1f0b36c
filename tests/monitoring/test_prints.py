"""Which prints are found in what looks see, and how they end."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.models import Print
from monitoring.prints import recording
from printers import looking, signals
from printers.clients.base import Seen
from printers.fleet.models import LastSeen
from printers.models import Printer
from printers.states import State
from tests.monitoring.looks import AWAY, FILE, MINUTE, NOW, READY, REFUSED, Looker, ended, printing

pytestmark = pytest.mark.django_db

ERROR = Seen(State.ERROR, message="Thermal runaway")
DISCONNECTED = Seen(State.DISCONNECTED)
PAUSED = Seen(State.PAUSED, FILE, 40.0)


@pytest.fixture
def heron() -> Looker:
    return Looker(Printer.objects.create(ip_address="http://192.0.2.7", api_key="k"))


def waits() -> str:
    return LastSeen.objects.get().waits


def outcomes() -> list[tuple[str, str]]:
    return list(Print.objects.order_by("pk").values_list("file", "outcome"))


def test_a_print_from_its_start_to_its_end(heron: Looker) -> None:
    heron.sees(READY, printing(), PAUSED, printing(90.0))
    running = Print.objects.get()
    assert (running.file, running.started_at, running.ended_at, running.found_by) == (
        FILE,
        NOW + MINUTE,
        None,
        "polling",
    )

    heron.sees(ended())
    one = Print.objects.get()
    assert (one.outcome, one.ended_at, one.seconds, one.filament_mm) == ("finished", NOW + 4 * MINUTE, 180.0, None)
    assert (one.started_by, one.signed_off_at) == (None, None)
    assert (waits(), heron.shown) == ("finished", State.FINISHED)


def test_hours_and_filament_are_those_of_the_machine_where_it_says_them(heron: Looker) -> None:
    heron.sees(printing(), ended(took_s=5000.0, filament_mm=1234.5))

    assert Print.objects.values_list("seconds", "filament_mm").get() == (5000.0, 1234.5)


@pytest.mark.parametrize(
    ("looks", "outcome", "reason", "waiting"),
    [
        ([ended(State.FAILED, message="Out of filament")], "failed", "Out of filament", "failed"),
        ([ended(State.CANCELLED)], "cancelled", "", "cancelled"),
        ([ERROR], "failed", "Thermal runaway", "failed"),
        ([READY], "cancelled", "It stopped at 10 %.", "cancelled"),
        ([printing(99.6), READY], "finished", "", "finished"),
        ([DISCONNECTED], "lost", "Its printer was disconnected.", "failed"),
        ([AWAY, AWAY, AWAY, READY], "cancelled", "It stopped at 10 %.", "cancelled"),
        ([AWAY, AWAY, AWAY, ended()], "finished", "", "finished"),
    ],
)
def test_how_a_print_ends(looks: list[Seen], outcome: str, reason: str, waiting: str, heron: Looker) -> None:
    heron.sees(printing(), *looks)

    one = Print.objects.get()
    assert (one.outcome, one.reason, waits()) == (outcome, reason, waiting)


@pytest.mark.parametrize(
    "between", [[AWAY], [AWAY] * 3, [AWAY] * 9, [REFUSED], [Seen(State.ATTENTION, message="A web page.")], [PAUSED]]
)
def test_what_says_nothing_of_a_print_ends_none(between: list[Seen], heron: Looker) -> None:
    heron.sees(printing(), *between)
    assert (Print.objects.get().ended_at, waits()) == (None, "")
    heron.sees(printing(60.0))

    assert outcomes() == [(FILE, "")]


def test_a_print_that_vanished_is_lost(heron: Looker) -> None:
    heron.sees(printing(60.0), printing(1.0, "another.gcode"))
    assert outcomes() == [(FILE, "lost"), ("another.gcode", "")]
    assert (waits(), heron.shown) == ("", State.PRINTING)


def test_a_print_begins_when_the_one_before_has_ended(heron: Looker) -> None:
    """The machine prints all the while, as far as looks can tell."""
    heron.sees(printing(60.0))
    heron.at += timedelta(hours=9)
    heron.sees(printing(50.0, "another.gcode"), ended(file="another.gcode"))

    first, second = Print.objects.order_by("pk")
    assert second.started_at == first.ended_at == NOW + timedelta(hours=9, minutes=1)
    assert second.seconds == 60.0


def test_a_lost_print_that_runs_on_is_the_same_print(heron: Looker) -> None:
    """Moonraker was restarted, Klipper was not."""
    heron.sees(printing(took_s=60.0), DISCONNECTED)
    assert outcomes() == [(FILE, "lost")]
    heron.sees(printing(12.0, took_s=180.0))
    assert outcomes() == [(FILE, "")]
    assert (waits(), heron.shown) == ("", State.PRINTING)

    heron.sees(DISCONNECTED, printing(0.5, took_s=20.0))
    assert outcomes() == [(FILE, "lost"), (FILE, "")]


def test_the_same_file_from_its_beginning_is_another_print(heron: Looker) -> None:
    heron.sees(printing(60.0), AWAY, AWAY, AWAY, printing(1.0))

    assert outcomes() == [(FILE, "lost"), (FILE, "")]


def test_another_file_that_has_ended_is_another_print(heron: Looker) -> None:
    heron.sees(printing(60.0), AWAY, AWAY, AWAY, ended(file="another.gcode"))

    assert outcomes() == [(FILE, "lost"), ("another.gcode", "finished")]
    assert waits() == "finished"


def test_a_print_that_came_and_went_between_two_looks(heron: Looker) -> None:
    heron.sees(READY, ended(took_s=20.0))

    assert outcomes() == [(FILE, "finished")]
    assert (Print.objects.get().seconds, waits()) == (20.0, "finished")


@pytest.mark.parametrize("first", [ended(), printing()])
def test_a_printer_that_is_added_with_a_print_on_it(first: Seen, heron: Looker) -> None:
    heron.sees(first)

    assert outcomes() == [(FILE, "finished" if first.state == State.FINISHED else "")]


@pytest.mark.parametrize("away", [[AWAY] * 4, [DISCONNECTED], [REFUSED]])
def test_a_machine_that_was_away_says_no_news_when_it_says_the_same(away: list[Seen], heron: Looker) -> None:
    heron.sees(printing(), ended())
    sign_off_all()
    heron.sees(*away, ended())

    assert outcomes() == [(FILE, "finished")]
    assert (waits(), heron.shown) == ("", State.READY)


def test_a_machine_without_a_print_that_answers_with_a_web_page_prints_nothing(heron: Looker) -> None:
    heron.sees(READY, Seen(State.ATTENTION, message="There is a web page."), READY)

    assert outcomes() == []


def test_a_print_that_nobody_signed_off_waits_through_whatever_follows(heron: Looker) -> None:
    heron.sees(printing(), ended(), READY, DISCONNECTED, AWAY, AWAY, AWAY, READY)

    assert heron.shown == State.FINISHED
    heron.sees(printing(1.0, "next.gcode"))
    assert heron.shown == State.PRINTING
    heron.sees(ERROR)
    assert (heron.shown, waits()) == (State.ERROR, "failed")


def test_who_started_it_is_named_before_and_after_the_first_look(heron: Looker) -> None:
    maren = User.objects.create_user("maren")
    heron.sees(READY)
    signals.started.send(sender=Printer, printer=heron.printer.pk, file="a.gcode", user=maren)
    heron.at = Print.objects.get().started_at + timedelta(seconds=1)
    heron.sees(READY, printing(0.0, "A.gcode"))

    one = Print.objects.get()
    assert (one.file, one.started_by, one.found_by, one.seen_running) == ("A.gcode", maren, "control", True)
    heron.sees(ended(file="A.gcode"))
    sign_off_all()
    heron.sees(printing(0.0, "b.gcode"))
    signals.started.send(sender=Printer, printer=heron.printer.pk, file="b.gcode", user=maren)
    assert Print.objects.latest("pk").started_by == maren
    assert Print.objects.count() == 2


def test_a_start_that_follows_one_that_never_began_has_its_own_file_and_time(heron: Looker) -> None:
    heron.sees(READY)
    signals.started.send(sender=Printer, printer=heron.printer.pk, file="a.gcode", user=User.objects.create_user("a"))
    Print.objects.update(started_at=NOW)
    ada = User.objects.create_user("ada")
    signals.started.send(sender=Printer, printer=heron.printer.pk, file="b.gcode", user=ada)
    recording.end_what_never_began()

    one = Print.objects.get()
    assert (one.file, one.started_by, one.ended_at) == ("b.gcode", ada, None)


@pytest.mark.parametrize("former", [READY, ended(), ended(State.CANCELLED)])
def test_what_the_machine_says_of_its_last_print_ends_none_that_was_just_started(former: Seen, heron: Looker) -> None:
    heron.sees(printing(), former)
    sign_off_all()
    signals.started.send(sender=Printer, printer=heron.printer.pk, file=FILE, user=User.objects.create_user("maren"))
    heron.at = Print.objects.latest("pk").started_at + timedelta(seconds=1)
    heron.sees(former, former)
    assert Print.objects.latest("pk").ended_at is None

    heron.sees(Seen(State.HEATING, FILE, 0.0), ended())
    assert Print.objects.latest("pk").outcome == "finished"


def test_looks_that_change_nothing_of_prints_ask_nothing_of_them() -> None:
    printers = [Printer.objects.create(ip_address=f"http://192.0.2.{n}", api_key="k") for n in range(20)]
    looks = [
        looking.Look(one.pk, Seen(State.READY, message=word), NOW + n * MINUTE)
        for n, word in enumerate("ab")
        for one in printers
    ]
    looking.keep_changes(looks[:20])
    with CaptureQueriesContext(connection) as queries:
        looking.keep_changes(looks[20:])

    assert not any("monitoring_print" in query["sql"] for query in queries)


def test_a_batch_of_starts_and_ends_is_an_insert_and_an_update() -> None:
    printers = [Printer.objects.create(ip_address=f"http://192.0.2.{n}", api_key="k") for n in range(20)]
    looking.keep_changes([looking.Look(one.pk, printing(), NOW) for one in printers[:10]])
    with CaptureQueriesContext(connection) as queries:
        looking.keep_changes(
            [looking.Look(one.pk, ended() if one in printers[:10] else printing(), NOW + MINUTE) for one in printers]
        )

    words = [query["sql"].split()[0] for query in queries if '"monitoring_print"' in query["sql"]]
    assert sorted(word for word in words if word != "SELECT") == ["INSERT", "UPDATE"]
    assert Print.objects.filter(ended_at=None).count() == 10
    assert Print.objects.filter(outcome="finished").count() == 10


def sign_off_all() -> None:
    from django.utils import timezone

    Print.objects.update(signed_off_at=timezone.now(), verdict="good")
    LastSeen.objects.update(waits="")
