"""What people say of prints, and what may start then."""

import threading

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from accounts.models import Profile
from monitoring.models import Print
from monitoring.prints import rates, signing
from printers import control
from printers.fleet.models import LastSeen, Membership, PrinterGroup, Role
from printers.models import Printer
from printers.states import State
from tests.monitoring.looks import READY, Looker, ended, printing

pytestmark = pytest.mark.django_db


@pytest.fixture
def maren() -> User:
    user = User.objects.create_user("maren", first_name="Maren")
    Profile.objects.get_or_create(user=user)
    return user


@pytest.fixture
def herons(maren: User) -> list[Looker]:
    """Three printers of Maren's, each with a print on its plate."""
    found = [
        Looker(Printer.objects.create(ip_address=f"http://192.0.2.{n}", api_key="k", profile=maren.profile))
        for n in range(3)
    ]
    for one in found:
        one.sees(printing(), ended())
    return found


def keys() -> list[int]:
    return list(Print.objects.order_by("pk").values_list("pk", flat=True))


def test_good_lets_the_next_one_start(maren: User, herons: list[Looker]) -> None:
    [first, *others] = keys()
    refused = control.start(maren, herons[0].printer.pk, "local/a.gcode")
    assert refused
    assert refused.sentence.endswith("has a print on its plate. Say first how it went.")

    [result] = signing.sign_off(maren, [first], "good")

    assert (result.done, result.sentence) == (True, "The print on http://192.0.2.0 is signed off as good.")
    one = Print.objects.get(pk=first)
    assert (one.verdict, one.signed_off_by, one.bad_reason) == ("good", maren, "")
    assert one.signed_off_at
    assert [heron.shown for heron in herons] == [State.READY, State.FINISHED, State.FINISHED]
    assert list(signing.waiting(maren).values_list("pk", flat=True)) == others


def test_bad_has_a_count_and_a_reason_and_many_are_signed_off_at_once(maren: User, herons: list[Looker]) -> None:
    results = signing.sign_off(maren, keys(), "bad", count=2, reason="Warped")

    assert [result.done for result in results] == [True] * 3
    assert set(Print.objects.values_list("verdict", "bad_count", "bad_reason")) == {("bad", 2, "Warped")}
    assert {heron.shown for heron in herons} == {State.READY}


def test_who_comes_second_changes_nothing_and_is_told_so(maren: User, herons: list[Looker]) -> None:
    other = User.objects.create_superuser("sindre")
    [key, *_] = keys()
    signing.sign_off(maren, [key], "good")

    [same] = signing.sign_off(other, [key], "good")
    [opposite] = signing.sign_off(other, [key], "bad", reason="Warped")

    said = "Maren has signed the print on http://192.0.2.0 off as good already."
    assert (same.done, same.sentence) == (True, said)
    assert (opposite.done, opposite.sentence) == (False, said)
    one = Print.objects.get(pk=key)
    assert (one.signed_off_by, one.verdict, one.bad_reason) == (maren, "good", "")


def test_a_print_that_runs_is_not_signed_off(maren: User, herons: list[Looker]) -> None:
    herons[0].sees(printing(5.0, "next.gcode"))

    [result] = signing.sign_off(maren, [Print.objects.latest("pk").pk], "good")

    assert (result.done, result.sentence) == (False, "The print on http://192.0.2.0 has not ended yet.")


def test_signing_off_needs_the_right_to_operate(herons: list[Looker]) -> None:
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(people := Group.objects.create(name="people"))
    group = PrinterGroup.objects.create(name="hall")
    Membership.objects.create(group=group, printer=herons[0].printer)
    role = Role.objects.create(user_group=people, printer_group=group, action="view")
    assert signing.sign_off(viewer, keys(), "good") == []
    assert not signing.waiting(viewer)

    Role.objects.filter(pk=role.pk).update(action="operate")
    assert len(signing.sign_off(viewer, keys(), "good")) == 1
    assert LastSeen.objects.filter(waits="").count() == 1


def test_a_word_that_is_no_verdict_is_refused(maren: User, herons: list[Looker]) -> None:
    with pytest.raises(ValueError, match="so-so"):
        signing.sign_off(maren, keys(), "so-so")


def test_an_older_print_that_nobody_signed_off_keeps_nothing_waiting(maren: User, herons: list[Looker]) -> None:
    herons[0].sees(printing(5.0, "next.gcode"), ended(file="next.gcode"))
    older, *_, newer = keys()

    signing.sign_off(maren, [older], "good")
    assert herons[0].shown == State.FINISHED
    Print.objects.filter(pk=older).update(signed_off_at=None, verdict="")
    signing.sign_off(maren, [newer], "good")
    assert herons[0].shown == State.READY


@pytest.mark.django_db(transaction=True)
def test_what_waits_survives_a_restart_of_everything(maren: User, herons: list[Looker]) -> None:
    """It is in rows alone, which any process reads."""
    herons[0].sees(READY)
    connection.close()

    assert herons[0].shown == State.FINISHED


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_sign_off_once(maren: User, herons: list[Looker]) -> None:
    others = [User.objects.create_superuser(f"person{n}") for n in range(4)]
    results: list[signing.Result] = []

    def sign(user: User, verdict: str) -> None:
        results.extend(signing.sign_off(user, keys(), verdict))
        connection.close()

    threads = [threading.Thread(target=sign, args=[user, "good" if n % 2 else "bad"]) for n, user in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 12
    first = Print.objects.values_list("signed_off_by", "verdict").distinct().get()
    assert sum(result.done for result in results) >= 3
    assert first[0] in [user.pk for user in others]


def test_rates_by_machine_file_and_reason(maren: User, herons: list[Looker]) -> None:
    one, two, three = keys()
    signing.sign_off(maren, [one], "good")
    signing.sign_off(maren, [two], "bad", reason="Warped")
    herons[0].sees(printing(5.0, "next.gcode"), ended(State.FAILED, "next.gcode", message="Jam"))

    by_file = {row["file"]: row for row in rates.rates(Print.objects.all(), "file")}
    assert by_file["bracket.gcode"] | {"file": ""} == {"file": "", "good": 1, "bad": 1, "unknown": 1, "rate": 50.0}
    assert by_file["next.gcode"]["rate"] == 0.0
    by_printer = {row["printer"]: row["rate"] for row in rates.rates(Print.objects.all(), "printer")}
    assert by_printer == {herons[0].printer.pk: 50.0, herons[1].printer.pk: 0.0, herons[2].printer.pk: None}
    assert list(rates.reasons(Print.objects.all())) == [{"why": "Jam", "number": 1}, {"why": "Warped", "number": 1}]
    assert three
