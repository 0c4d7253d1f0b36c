"""From machines that go away to mail and a webhook, through pollers of which one is killed meanwhile."""

import contextlib
from email.header import decode_header, make_header

import pytest
from django.contrib.auth.models import User

from monitoring.alerts.models import Channel, Event, Message, Rule
from printers.fleet.models import Machine
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.states import State
from tests.manage import command
from tests.monitoring.alerts.sinks import Mailbox, Service, SmtpServer
from tests.monitoring.processes import running, until_seen
from tests.printers.served import served
from tests.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
KEY = "K" * 32


def test_printers_that_go_away_while_a_poller_is_killed_are_told_once(maren: User, hook: Service) -> None:
    box = Mailbox()
    server = SmtpServer(box, hostname="127.0.0.1", port=0)
    server.start()
    channels = [
        Channel.objects.create(user=maren, kind=Channel.Kind.MAIL),
        Channel.objects.create(user=maren, service="Webhook", address=f"json://{hook.host}/hook"),
    ]
    Rule.objects.create(user=maren, states=[State.UNREACHABLE.value]).channels.set(channels)
    with contextlib.ExitStack() as pollers:
        with served(*[Sample(f"Heron {n}", "octoprint", "ready", key=KEY) for n in range(6)]) as addresses:
            keys = make(maren, addresses)
            mail = {"EMAIL_URL": f"smtp://127.0.0.1:{server.port}"}
            first, _ = (pollers.enter_context(running(*command("poll_printers", "--every", "1"), **mail)) for _ in "12")
            until_seen(keys)
        until(Event.objects.filter(state="unreachable").exists, "Nobody has noticed that they went.")
        first.kill()
        until(lambda: box.messages and hook.posts, "Nobody was told.")

    assert [str(make_header(decode_header(each["Subject"]))) for each in box.messages] == [
        "[Print farm] 6 printers are out of reach"
    ]
    assert [post["title"] for post in hook.posts] == ["6 printers are out of reach"]
    assert Message.objects.count() == 2
    server.stop()


def make(owner: User, addresses: list[str]) -> list[int]:
    printers = [Printer.objects.create(profile=owner.profile, ip_address=each, api_key=KEY) for each in addresses]
    Machine.objects.bulk_create(Machine(printer=printer, name=f"Heron {printer.pk}") for printer in printers)
    return [printer.pk for printer in printers]
