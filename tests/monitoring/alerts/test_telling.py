"""From what printers do to what arrives: each thing once, its end told, much at once in one message."""

from datetime import time
from email.header import decode_header, make_header
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import profiles
from accounts.people.models import Person
from monitoring.alerts import events, judging, rules
from monitoring.alerts.models import Event, Mention, Message, Notice, Rule
from monitoring.models import Print
from monitoring.polling import sweeping
from monitoring.prints import signing
from printers import control
from printers.fleet.models import Membership, PrinterGroup, Role
from printers.states import State
from tests.monitoring.alerts.conftest import Clock, Farm
from tests.monitoring.alerts.sinks import Mailbox, Service

pytestmark = pytest.mark.django_db


def subjects(mailbox: Mailbox) -> list[str]:
    titles = [str(make_header(decode_header(message["Subject"]))) for message in mailbox.messages]
    return [title.replace("\N{NO-BREAK SPACE}", " ").removeprefix("[Print farm] ") for title in titles]


def bodies(mailbox: Mailbox) -> list[bytes]:
    parts = [part for message in mailbox.messages for part in message.walk() if not part.is_multipart()]
    return [part.get_payload(decode=True) for part in parts]


def test_an_error_is_told_once_and_that_it_is_over_once(farm: Farm, mailbox: Mailbox) -> None:
    kestrel = farm.printer(name="Kestrel", place="Hall A, rack 3")
    farm.rule(State.ERROR)
    farm.see(State.ERROR, kestrel, message="Nozzle 31 °C under its target", file="hinge.gcode", progress=43.0)

    assert farm.settle() == 1
    assert farm.settle() == 0
    farm.see(State.READY, kestrel)
    assert farm.settle() == 1
    assert farm.settle() == 0

    assert subjects(mailbox) == ["Kestrel stopped at 43 %", "Kestrel is well again"]


def test_the_mail_says_what_where_and_why_and_leads_to_the_printer(farm: Farm, mailbox: Mailbox, settings: Any) -> None:
    settings.PORTAL_URL = "https://farm.example.org"
    kestrel = farm.printer(name="Kestrel", place="Hall A, rack 3")
    farm.rule(State.ERROR, place="Hall A, rack 3")
    farm.see(State.PRINTING, kestrel, file="hinge.gcode", progress=1.0)
    Print.objects.update(started_by=farm.owner)
    farm.see(State.ERROR, kestrel, message="Nozzle 31 °C under its target", file="hinge.gcode", progress=43.0)
    farm.settle()

    text, html = mailbox.parts()

    for written in (text, html):
        for said in (
            "Nozzle 31 °C under its target.",
            "Hall A, rack 3",
            "hinge.gcode",
            "15:00 by Maren",
            "Errors in Hall A, rack 3",
        ):
            assert said in written
        assert f"https://farm.example.org/printers/{kestrel.pk}/" in written
    assert "You get this once; when <bdi>Kestrel</bdi> is well again you are told once more" in html
    [message] = mailbox.messages
    assert message["To"] == "maren@example.org"
    assert message["Auto-Submitted"] == "auto-generated"


def test_a_name_is_only_a_name(farm: Farm, mailbox: Mailbox, hook: Service) -> None:
    """It calls no room, writes no tag and no header, and turns no sentence around."""
    names = ["<!channel> @everyone <b>", "one\r\nBcc: all@example.org", "کارگاه \u202egnorw"]
    farm.rule(State.ERROR, channels=[farm.channel(), farm.channel(hook.host)])
    for name in names:
        farm.see(State.ERROR, farm.printer(name=name))
        farm.settle()

    said = [post["title"] for post in hook.posts]
    assert said == [
        "‹!channel› @\N{ZERO WIDTH SPACE}everyone ‹b› has an error",
        "one Bcc: all@example.org has an error",
        "\u2068کارگاه gnorw\u2069 has an error",
    ]
    assert [message["Bcc"] for message in mailbox.messages] == [None] * 3
    assert len(bodies(mailbox)) == 6
    assert all(b"<b>" not in body for body in bodies(mailbox))


def test_forty_printers_lost_at_once_are_one_message(farm: Farm, mailbox: Mailbox, clock: Clock) -> None:
    """Noticed one after the other, as hosts are asked at different moments."""
    lost = farm.printers(40)
    farm.rule(State.UNREACHABLE)
    for four in range(0, 40, 4):
        farm.see(State.UNREACHABLE, *lost[four : four + 4], message="Nothing answered within 5 s.")
        farm.round()
    farm.settle()

    assert subjects(mailbox) == ["40 printers are out of reach"]
    text, html = mailbox.parts()
    assert "And 20 more." in text
    assert lost[0].name in html

    farm.see(State.READY, *lost)
    farm.settle()
    assert subjects(mailbox)[1:] == ["40 printers are well again"]


def test_different_things_at_once_are_one_message_too(farm: Farm, mailbox: Mailbox) -> None:
    first, second, third = farm.printers(3)
    farm.rule(State.UNREACHABLE, State.ERROR)
    farm.see(State.ERROR, first)
    farm.see(State.UNREACHABLE, second, third)
    farm.settle()

    assert subjects(mailbox) == [f"{first.name} has an error, 2 printers are out of reach"]


def test_two_rules_and_two_channels(farm: Farm, mailbox: Mailbox, hook: Service) -> None:
    """Each channel once, whatever rules lead there."""
    printer, webhook = farm.printer(), farm.channel(hook.host)
    farm.rule(State.ERROR, State.PAUSED, channels=[farm.channel(), webhook])
    farm.rule(State.ERROR, channels=[webhook])
    farm.see(State.ERROR, printer)
    farm.settle()

    assert len(mailbox.messages) == 1
    assert [post["title"] for post in hook.posts] == [f"{printer.name} has an error"]


def test_what_comes_out_of_one_trouble_and_into_another_is_not_well(farm: Farm, mailbox: Mailbox) -> None:
    printer = farm.printer()
    farm.rule(State.UNREACHABLE, State.ERROR)
    farm.see(State.UNREACHABLE, printer)
    farm.settle()
    farm.see(State.ERROR, printer)
    farm.settle()

    assert subjects(mailbox) == [f"{printer.name} is out of reach", f"{printer.name} has an error"]


def test_nothing_is_told_of_machines_out_of_order(farm: Farm, mailbox: Mailbox) -> None:
    before, meanwhile, told = farm.printers(3)
    farm.rule(State.ERROR)
    control.take_out(farm.owner, [before.pk], "motor")
    farm.see(State.ERROR, before, meanwhile)
    farm.round()
    control.take_out(farm.owner, [meanwhile.pk], "motor")
    farm.settle()
    assert mailbox.messages == []

    farm.see(State.ERROR, told)
    farm.settle()
    control.take_out(farm.owner, [told.pk], "motor")
    farm.settle()
    assert len(mailbox.messages) == 1, "Nobody is told that it is well again."

    control.take_in(farm.owner, [told.pk])
    farm.settle()
    assert len(mailbox.messages) == 1, "It is the same error that was told before."


def test_what_was_out_of_order_when_it_would_have_been_told_is_told_afterwards(farm: Farm, mailbox: Mailbox) -> None:
    early, late, alone = farm.printers(3)
    farm.rule(State.ERROR)
    farm.see(State.ERROR, early)
    control.take_out(farm.owner, [early.pk], "motor")
    farm.settle()
    for some in ([late], [alone]):
        farm.see(State.ERROR, *some)
        judging.judge(farm.clock.pass_(seconds=1))
        judging.judge(farm.clock.pass_(seconds=30))
        control.take_out(farm.owner, [some[0].pk], "motor")
        farm.settle()
    assert mailbox.messages == []

    control.take_in(farm.owner, [early.pk, late.pk, alone.pk])
    farm.settle()

    assert subjects(mailbox) == ["3 printers have an error"]


def test_a_message_that_waits_leaves_out_what_was_taken_out_of_order_since(farm: Farm, mailbox: Mailbox) -> None:
    first, second = farm.printers(2)
    farm.rule(State.ERROR)
    farm.see(State.ERROR, first, second)
    mailbox.refuses = True
    assert farm.settle() == 0
    control.take_out(farm.owner, [first.pk], "motor")
    mailbox.refuses = False
    farm.clock.pass_(minutes=10)
    farm.round()

    assert subjects(mailbox) == [f"{second.name} has an error"]


def test_how_long_it_has_to_be_so(farm: Farm, mailbox: Mailbox, clock: Clock) -> None:
    short, long = farm.printers(2)
    farm.rule(State.PAUSED, minutes=5)
    farm.see(State.PAUSED, short, long)
    clock.pass_(minutes=3)
    farm.round()
    farm.see(State.READY, short)
    assert farm.settle() == 0
    clock.pass_(minutes=3)

    farm.settle()

    assert subjects(mailbox) == [f"{long.name} is paused"]


def test_quiet_hours_are_its_makers(farm: Farm, mailbox: Mailbox, clock: Clock) -> None:
    """It is 15:00 in London, 18:30 in Tehran."""
    Person.objects.update_or_create(profile=farm.owner.profile, defaults={"time_zone": "Asia/Tehran"})
    over, still = farm.printers(2)
    farm.rule(State.ERROR, quiet_from=time(18), quiet_until=time(20))
    farm.see(State.ERROR, over, still)
    assert farm.settle() == 0
    farm.see(State.READY, over)
    assert farm.settle() == 0
    clock.pass_(hours=2)

    farm.settle()

    assert subjects(mailbox) == [f"{still.name} has an error"]
    assert "18:30" in mailbox.parts()[0], "Times are the reader's."


def test_an_end_in_quiet_hours_is_told_after_them(farm: Farm, mailbox: Mailbox, clock: Clock) -> None:
    printer = farm.printer()
    farm.rule(State.ERROR, quiet_from=time(16), quiet_until=time(17))
    farm.see(State.ERROR, printer)
    farm.settle()
    clock.pass_(hours=1)
    farm.see(State.READY, printer)
    assert farm.settle() == 0
    clock.pass_(hours=1)

    farm.settle()

    assert subjects(mailbox) == [f"{printer.name} has an error", f"{printer.name} is well again"]


def test_what_is_over_before_a_round_came_is_told_all_the_same(farm: Farm, mailbox: Mailbox) -> None:
    printer = farm.printer()
    farm.rule(State.ERROR)
    farm.see(State.ERROR, printer)
    farm.see(State.READY, printer)
    farm.settle()

    assert subjects(mailbox) == [f"{printer.name} has an error"]
    assert "It was over at 15:00" in mailbox.parts()[0]
    assert not Event.objects.filter(closed=False)


def test_a_print_that_waits_for_somebody(farm: Farm, mailbox: Mailbox) -> None:
    """It is told once, also when a fault comes in between; that somebody signed it off is no news."""
    printer = farm.printer()
    farm.rule(State.FINISHED)
    farm.see(State.PRINTING, printer, file="hinge.gcode", progress=99.0)
    farm.see(State.FINISHED, printer, file="hinge.gcode", progress=100.0)
    farm.settle()
    farm.see(State.ERROR, printer)
    farm.settle()
    farm.see(State.READY, printer)
    farm.settle()
    assert subjects(mailbox) == [f"{printer.name} has finished"]

    [waiting] = signing.waiting(farm.owner)
    signing.sign_off(farm.owner, [waiting.pk], "good")
    farm.settle()
    assert len(mailbox.messages) == 1
    assert not Event.objects.filter(closed=False)


def test_the_next_print_is_told_as_well(farm: Farm, mailbox: Mailbox) -> None:
    """Nobody has signed the first one off: the machine was started at its own screen, while nobody polled."""
    printer = farm.printer()
    farm.rule(State.FINISHED)
    farm.see(State.PRINTING, printer, file="first.gcode", progress=50.0)
    for file in ("first.gcode", "second.gcode"):
        farm.see(State.FINISHED, printer, file=file, progress=100.0)
        farm.settle()

    assert subjects(mailbox) == [f"{printer.name} has finished"] * 2


# ----- who may be told


@pytest.fixture
def viewer(farm: Farm) -> User:
    """Somebody who sees the printers of a group, and has a rule for all of them."""
    user = User.objects.create_user("sindre")
    profiles.ensure(user)
    return user


def test_nobody_is_told_of_printers_that_they_may_not_view(farm: Farm, viewer: User, hook: Service) -> None:
    printer = farm.printer()
    theirs = Farm(viewer, farm.clock)
    theirs.rule(State.ERROR, channels=[theirs.channel(hook.host)])
    farm.see(State.ERROR, printer)
    farm.settle()

    assert hook.requests == []
    assert not Notice.objects.exists()


def test_rights_that_are_lost_before_it_is_sent_keep_it_from_being_told(
    farm: Farm, viewer: User, hook: Service
) -> None:
    kept, lost = farm.printers(2)
    hall = PrinterGroup.objects.create(name="Hall")
    memberships = [Membership.objects.create(group=hall, printer=printer) for printer in (kept, lost)]
    role = Role.objects.create(user_group=viewer.groups.create(name="crew"), printer_group=hall, action="view")
    theirs = Farm(viewer, farm.clock)
    theirs.rule(State.ERROR, channels=[theirs.channel(hook.host)])
    farm.see(State.ERROR, kept, lost)
    judging.judge(farm.clock.pass_(seconds=1))
    judging.judge(farm.clock.pass_(seconds=30))
    assert Mention.objects.count() == 2

    memberships[1].delete()
    farm.round()
    assert [post["title"] for post in hook.posts] == [f"{kept.name} has an error"]
    assert lost.name not in str(hook.posts)

    role.delete()
    farm.see(State.READY, kept, lost)
    farm.settle()
    assert len(hook.posts) == 1
    assert set(Message.objects.values_list("status", flat=True)) == {"sent", "dropped"}


def test_an_account_that_is_closed_is_told_nothing(farm: Farm, mailbox: Mailbox) -> None:
    printer = farm.printer()
    farm.rule(State.ERROR)
    farm.see(State.ERROR, printer)
    judging.judge(farm.clock.pass_(seconds=1))
    User.objects.update(is_active=False)
    farm.settle()

    assert mailbox.messages == []


def test_a_rule_that_is_deleted_or_paused_tells_nothing_more(farm: Farm, mailbox: Mailbox) -> None:
    printer = farm.printer()
    deleted, paused = farm.rule(State.ERROR), farm.rule(State.ERROR)
    farm.see(State.ERROR, printer)
    farm.round()
    deleted.delete()
    paused.paused = True
    paused.save()

    assert farm.settle() == 0


# ----- what costs and what is missed


def test_what_the_receiver_missed_a_round_catches_up_with(farm: Farm, mailbox: Mailbox, monkeypatch: Any) -> None:
    printer = farm.printer()
    farm.rule(State.ERROR)
    monkeypatch.setattr(events, "is_news", lambda change: False)
    farm.see(State.ERROR, printer)
    assert not Event.objects.exists()

    farm.settle()

    assert subjects(mailbox) == [f"{printer.name} has an error"]


def test_a_printer_that_is_deleted_ends_what_was_told_of_it(farm: Farm, mailbox: Mailbox) -> None:
    """As the old side does it, which knows nothing of events."""
    printer = farm.printer()
    farm.rule(State.ERROR)
    farm.see(State.ERROR, printer)
    farm.settle()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM printers_printer WHERE id = %s", [printer.pk])
    farm.settle()

    assert len(mailbox.messages) == 1
    assert Event.objects.get().closed
    rule = farm.rule(State.ERROR, printer_id=printer.pk)
    assert rules.sentence(rule).startswith("Errors of a printer that is gone")
    sweeping.sweep()
    assert not Event.objects.exists()
    assert not Rule.objects.filter(pk=rule.pk).exists()


def test_a_clock_that_is_set_back_tells_nothing_twice(farm: Farm, mailbox: Mailbox, clock: Clock) -> None:
    printer = farm.printer()
    farm.rule(State.ERROR)
    farm.see(State.ERROR, printer)
    farm.settle()
    clock.pass_(hours=-1)
    farm.settle()
    farm.see(State.READY, printer)
    farm.settle()
    clock.pass_(hours=2)
    farm.settle()

    assert subjects(mailbox) == [f"{printer.name} has an error", f"{printer.name} is well again"]


def test_a_look_that_changes_no_state_asks_nothing(farm: Farm) -> None:
    printer = farm.printer()
    farm.rule(State.ERROR)
    farm.see(State.PRINTING, printer, progress=10.0)
    change = [query for query in queries(farm, printer) if "alerts_" in query]

    assert change == []


def queries(farm: Farm, printer: Any) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        farm.see(State.PRINTING, printer, progress=20.0)
    return [query["sql"] for query in captured]


def test_a_round_asks_as_much_for_many_printers_as_for_few(farm: Farm) -> None:
    few, many = farm.printers(2), farm.printers(30)
    farm.rule(State.ERROR)
    asked = []
    for printers in (few, many):
        farm.see(State.ERROR, *printers)
        for _ in range(2):
            with CaptureQueriesContext(connection) as captured:
                judging.judge(farm.clock.pass_(seconds=30))
            asked.append(len(captured))

    assert asked[:2] == asked[2:]
    with CaptureQueriesContext(connection) as captured:
        judging.judge(farm.clock.pass_(seconds=30))
    assert len(captured) <= 8, "A round in which nothing happens."
