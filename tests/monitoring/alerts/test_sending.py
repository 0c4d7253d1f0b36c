"""Delivery is recorded and retried; whoever is killed in between loses nothing; two processes share the work."""

import threading
from datetime import time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from monitoring.alerts import channels, judging, sending
from monitoring.alerts.channels import Outcome
from monitoring.alerts.models import Channel, Mention, Message, Rule
from printers.states import State
from tests.monitoring.alerts.conftest import Clock, Farm
from tests.monitoring.alerts.sinks import Mailbox, Service
from tests.waiting import until

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(farm: Farm) -> Message:
    """A message that is due, of an error."""
    farm.rule(State.ERROR)
    farm.see(State.ERROR, farm.printer(name="Kestrel"))
    judging.judge(farm.clock.pass_(seconds=1))
    judging.judge(farm.clock.pass_(seconds=30))
    return Message.objects.get()


def test_what_a_server_refuses_is_tried_again_less_and_less_often(
    farm: Farm, waiting: Message, mailbox: Mailbox, clock: Clock
) -> None:
    mailbox.refuses = True
    pauses = []
    for _ in range(4):
        sending.deliver()
        waiting.refresh_from_db()
        pauses.append((waiting.next_at - clock.now).total_seconds())
        sending.deliver()  # Too early: nothing is tried.
        clock.now = waiting.next_at
    assert waiting.tries == 4
    assert waiting.problem == "The portal's mail server did not take it: SMTPDataError."
    assert all(22 <= pause / 2**n <= 38 for n, pause in enumerate(pauses))
    assert sending.failures() == 1

    mailbox.refuses = False
    sending.deliver()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.problem, waiting.sent_at) == ("sent", "", clock.now)
    assert len(mailbox.messages) == 1
    assert sending.failures() == 0


def test_after_a_day_it_is_called_not_delivered(farm: Farm, waiting: Message, mailbox: Mailbox, clock: Clock) -> None:
    mailbox.refuses = True
    begun = clock.now
    while waiting.status == "waiting":
        clock.now = max(waiting.next_at, clock.now)
        sending.deliver()
        waiting.refresh_from_db()

    assert waiting.status == "failed"
    assert timedelta(hours=15) < clock.now - begun < timedelta(hours=30)
    farm.see(State.READY, *farm.owner.profile.printers.all())
    mailbox.refuses = False
    farm.settle()
    assert mailbox.messages == [], "Nobody is told of an end alone."


def test_what_happens_while_a_channel_is_away_joins_what_waits(farm: Farm, waiting: Message, mailbox: Mailbox) -> None:
    """And what is over by then is told with its beginning."""
    mailbox.refuses = True
    sending.deliver()
    farm.see(State.READY, *farm.owner.profile.printers.all())
    farm.see(State.ERROR, farm.printer(name="Heron"))
    farm.settle()
    assert Message.objects.count() == 1

    mailbox.refuses = False
    farm.clock.pass_(minutes=30)
    farm.settle()
    farm.settle()

    text, _ = mailbox.parts()
    assert "Kestrel has an error" in text
    assert "Heron has an error" in text
    assert "It was over at" in text
    assert len(mailbox.messages) == 1


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_between_sending_and_recording(
    moment: str, waiting: Message, mailbox: Mailbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is sent again once the claim has run out, and with the same number, by which both are one."""

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sending, "tried" if moment == "before" else "record", killed)
        with pytest.raises(Killed):
            sending.deliver()
    clock.pass_(seconds=60)
    sending.deliver()
    assert len(mailbox.messages) == (0 if moment == "before" else 1), "It is claimed still."

    clock.pass_(seconds=60)
    sending.deliver()

    assert len({message["Message-ID"] for message in mailbox.messages}) == 1
    assert len(mailbox.messages) == (1 if moment == "before" else 2)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.tries) == ("sent", 2)


def test_a_decision_that_is_killed_is_made_anew(farm: Farm, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.rule(State.ERROR)
    farm.see(State.ERROR, farm.printer())
    farm.round()

    def killed(*_: Any) -> None:
        raise Killed

    farm.clock.pass_(seconds=30)
    with monkeypatch.context() as patch:
        patch.setattr(judging, "close_notices", killed)
        with pytest.raises(Killed):
            judging.judge(farm.clock.now)
    assert not Message.objects.exists()
    farm.settle()

    assert len(mailbox.messages) == 1


def test_many_channels_of_one_person_keep_nobody_elses_alerts_back(
    farm: Farm, waiting: Message, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them leads to a server that says nothing, and takes the whole time of a try."""
    eager = User.objects.create_user("eager")
    mine = Channel.objects.bulk_create(
        Channel(user=eager, service="JSON", address="json://192.0.2.1") for _ in range(9)
    )
    began = waiting.made_at - timedelta(minutes=1)
    Message.objects.bulk_create(Message(channel=one, made_at=began, next_at=began) for one in mine)

    assert waiting in sending.claim(clock.now)
    assert waiting not in sending.claim(clock.now), "It is claimed already."

    moments = iter(range(0, 1000, 25))
    monkeypatch.setattr(sending, "monotonic", lambda: next(moments))
    monkeypatch.setattr(sending, "send", lambda work: Outcome(False, "Nothing answered."))
    clock.pass_(minutes=5)
    assert sending.deliver() == sending.AT_ONCE, "What happened meanwhile is decided on before the rest is tried."


def test_whoever_comes_back_too_late_records_nothing(farm: Farm, waiting: Message, clock: Clock) -> None:
    """Meanwhile something was added to the message, which it did not say."""
    [claimed] = sending.claim(clock.now)
    work = sending.work_of(claimed)
    clock.pass_(minutes=5)
    farm.see(State.ERROR, farm.printer(name="Heron"))
    judging.judge(clock.pass_(seconds=1))
    judging.judge(clock.pass_(seconds=30))
    assert Message.objects.count() == 1

    sending.record(work, Outcome(True), clock.now)

    waiting.refresh_from_db()
    assert waiting.status == "waiting"


def test_what_is_being_sent_takes_nothing_more(farm: Farm, waiting: Message, clock: Clock, mailbox: Mailbox) -> None:
    [claimed] = sending.claim(clock.now)
    work = sending.work_of(claimed)
    farm.see(State.ERROR, farm.printer(name="Heron"))
    judging.judge(clock.pass_(seconds=1))
    judging.judge(clock.pass_(seconds=30))
    sending.record(work, sending.send(work), clock.now)
    sending.deliver()

    assert len(mailbox.messages) == Message.objects.filter(status="sent").count() == 2


def test_an_end_while_its_beginning_is_being_sent_is_told_afterwards(
    farm: Farm, waiting: Message, clock: Clock, mailbox: Mailbox
) -> None:
    [claimed] = sending.claim(clock.now)
    work = sending.work_of(claimed)
    farm.see(State.READY, *farm.owner.profile.printers.all())
    farm.settle()
    sending.record(work, sending.send(work), clock.now)

    farm.settle()

    assert [message["Subject"] for message in mailbox.messages] == [
        "[Print farm] Kestrel has an error", "[Print farm] Kestrel is well again",
    ]  # fmt: skip


def test_what_could_not_be_sent_before_the_quiet_hours_waits_for_their_end(
    waiting: Message, clock: Clock, mailbox: Mailbox
) -> None:
    mailbox.refuses = True
    sending.deliver()
    mailbox.refuses = False
    Rule.objects.update(quiet_from=time(15, 30), quiet_until=time(17))
    for _ in range(5):
        clock.pass_(minutes=31)
        sending.deliver()
    waiting.refresh_from_db()

    assert (waiting.status, waiting.tries, len(mailbox.messages)) == ("sent", 2, 1)
    assert waiting.sent_at is not None
    assert waiting.sent_at.hour == 17


def test_a_rule_that_is_paused_meanwhile_tells_nothing(waiting: Message, mailbox: Mailbox) -> None:
    Rule.objects.update(paused=True)
    sending.deliver()

    waiting.refresh_from_db()
    assert (waiting.status, mailbox.messages) == ("dropped", [])


def test_a_channel_that_is_deleted_takes_what_waits_along(waiting: Message, clock: Clock, mailbox: Mailbox) -> None:
    [claimed] = sending.claim(clock.now)
    work = sending.work_of(claimed)
    Channel.objects.all().delete()

    sending.record(work, Outcome(True), clock.now)

    assert not Message.objects.exists()


def test_one_that_raises_keeps_no_other_from_being_recorded(
    farm: Farm, hook: Service, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.rule(State.ERROR, channels=[farm.channel(), farm.channel(hook.host)])
    farm.see(State.ERROR, farm.printer())

    def broken(*_: Any) -> None:
        raise RuntimeError("with a secret")

    monkeypatch.setattr(channels, "by_mail", broken)
    farm.settle()

    assert len(hook.posts) == 1
    assert dict(Message.objects.values_list("status", "problem")) == {
        "sent": "", "waiting": "It could not be sent: RuntimeError.",
    }  # fmt: skip


def test_without_a_confirmed_address_there_is_no_mail(farm: Farm, waiting: Message, mailbox: Mailbox) -> None:
    farm.owner.emailaddress_set.update(verified=False)
    sending.deliver()

    waiting.refresh_from_db()
    assert (waiting.status, waiting.problem) == ("failed", "You have no confirmed address.")


def test_what_is_over_for_a_month_is_forgotten(farm: Farm, waiting: Message, mailbox: Mailbox, clock: Clock) -> None:
    from monitoring.alerts.models import Event

    sending.deliver()
    farm.see(State.READY, *farm.owner.profile.printers.all())
    farm.settle()
    clock.pass_(days=31)
    sending.forget(clock.now)

    assert not Message.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_processes_at_once_decide_and_send_once(farm: Farm, mailbox: Mailbox) -> None:
    farm.rule(State.ERROR)
    farm.see(State.ERROR, *farm.printers(5))
    judging.judge(farm.clock.pass_(seconds=1))
    farm.clock.pass_(seconds=30)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                judging.judge(timezone.now())
                sending.deliver()
        except BaseException as error:  # noqa: BLE001  It is told below.
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: mailbox.messages, "Nothing was sent.")

    assert errors == []
    assert len(mailbox.messages) == 1
    assert Mention.objects.count() == 5
