"""A sign-off is undone for some minutes, by who said it, unless the machine has begun something else."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from accounts.models import Profile
from monitoring.alerts import events
from monitoring.alerts.models import Event
from monitoring.models import Print
from monitoring.prints import signing, undoing
from printers import control
from printers.fleet.models import LastSeen
from printers.models import Printer
from printers.states import State
from tests.monitoring.looks import NOW, READY, Looker, ended, printing

pytestmark = pytest.mark.django_db


@pytest.fixture
def maren() -> User:
    user = User.objects.create_user("maren", first_name="Maren")
    Profile.objects.get_or_create(user=user)
    return user


@pytest.fixture
def heron(maren: User) -> Looker:
    """With a print on its plate that has failed."""
    printer = Printer.objects.create(ip_address="http://192.0.2.1", api_key="k", profile=maren.profile)
    one = Looker(printer, NOW - timedelta(days=1))
    one.sees(printing(), ended(State.FAILED), READY)
    return one


def the_print() -> Print:
    return Print.objects.get(file="bracket.gcode")


def undo(user: User) -> tuple[bool, str]:
    [result] = undoing.undo(user, [the_print().pk])
    return result.done, result.sentence


@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_it_is_as_if_nobody_had_said_anything(verdict: str, maren: User, heron: Looker) -> None:
    signing.sign_off(maren, [the_print().pk], verdict, count=2, reason="Came loose")
    assert heron.shown == State.READY

    done, sentence = undo(maren)

    assert (done, heron.shown) == (True, State.FAILED)
    assert sentence == "The print on http://192.0.2.1 waits again for somebody to say how it went."
    one = the_print()
    assert [getattr(one, name) for name in signing.SAID] == [None, None, "", None, ""]
    assert list(signing.waiting(maren)) == [one]
    refused = control.start(maren, heron.printer.pk, "local/a.gcode")
    assert refused
    assert "Say first how it went" in refused.sentence


def test_twice_is_once_and_it_can_be_said_anew(maren: User, heron: Looker) -> None:
    signing.sign_off(maren, [the_print().pk], "good")
    assert undo(maren) == undo(maren)

    [result] = signing.sign_off(maren, [the_print().pk], "bad", reason="Strings")

    assert (result.done, the_print().verdict, heron.shown) == (True, "bad", State.READY)


def test_what_another_has_said_stays(maren: User, heron: Looker) -> None:
    signing.sign_off(User.objects.create_superuser("ada"), [the_print().pk], "good")

    assert undo(maren) == (False, "Somebody else has said how the print on http://192.0.2.1 went, and may undo it.")
    assert (the_print().verdict, heron.shown) == ("good", State.READY)


def test_after_some_minutes_it_stays(maren: User, heron: Looker) -> None:
    signing.sign_off(maren, [the_print().pk], "good")
    Print.objects.update(signed_off_at=timezone.now() - undoing.FOR - timedelta(seconds=1))

    assert undo(maren) == (False, "The sign-off on http://192.0.2.1 is older than 10 minutes, and stays.")


@pytest.mark.parametrize("over", [False, True])
def test_when_the_machine_has_begun_something_else_it_stays(over: bool, maren: User, heron: Looker) -> None:
    signing.sign_off(maren, [the_print().pk], "good")
    heron.at = timezone.now()
    heron.sees(printing(file="next.gcode"), *([ended(file="next.gcode")] if over else []))

    done, sentence = undo(maren)

    assert (done, sentence) == (False, "http://192.0.2.1 has begun another print since; the sign-off stays.")
    assert heron.shown == (State.FINISHED if over else State.PRINTING)
    assert not undoing.may_undo(maren, the_print(), heron.printer)


def test_who_may_not_operate_it_undoes_nothing(maren: User, heron: Looker) -> None:
    signing.sign_off(maren, [the_print().pk], "good")

    assert undoing.undo(User.objects.create_user("stranger"), [the_print().pk]) == []
    assert the_print().verdict == "good"


def test_a_print_that_runs_is_left_alone(maren: User, heron: Looker) -> None:
    signing.sign_off(maren, [the_print().pk], "good")
    heron.at = timezone.now()
    heron.sees(printing(file="next.gcode"))

    [result] = undoing.undo(maren, [Print.objects.get(file="next.gcode").pk])

    assert (result.done, result.sentence) == (False, "The print on http://192.0.2.1 has not ended yet.")


def test_who_was_told_of_the_print_is_not_told_again(maren: User, heron: Looker) -> None:
    events.follow(timezone.now())
    told = Event.objects.get()
    signing.sign_off(maren, [told_print := the_print().pk], "good")
    events.follow(timezone.now())
    undoing.undo(maren, [told_print])

    events.follow(timezone.now())

    again = Event.objects.get()
    assert (again.pk, again.ended_at) == (told.pk, None)


@pytest.mark.django_db(transaction=True)
def test_a_look_at_the_same_moment_loses_nothing(maren: User, heron: Looker) -> None:
    """Undone while the poller writes that the next print has begun: it is one or the other, and both agree."""
    signing.sign_off(maren, [the_print().pk], "good")
    heron.at = timezone.now()
    results: list[undoing.Result] = []

    def alone(call: object) -> None:
        try:
            call()  # type: ignore[operator]
        finally:
            connection.close()

    threads = [
        threading.Thread(target=alone, args=[lambda: results.extend(undoing.undo(maren, [the_print().pk]))]),
        threading.Thread(target=alone, args=[lambda: heron.sees(printing(file="next.gcode"))]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert heron.shown == State.PRINTING
    assert results[0].done == (the_print().verdict == "")
    assert Print.objects.get(file="next.gcode").ended_at is None
    assert LastSeen.objects.get().state == State.PRINTING
