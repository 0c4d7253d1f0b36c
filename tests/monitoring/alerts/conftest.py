"""A farm whose printers change state as a test says, somebody with rules, and servers that messages arrive at."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from accounts import profiles
from core.outside import mail_settings
from monitoring.alerts import judging, sending
from monitoring.alerts.models import Channel, Message, Rule
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import Machine
from printers.models import Printer
from printers.states import State
from tests.monitoring.alerts.sinks import Mailbox, Service, SmtpServer, service

START = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


class Clock:
    """What time it is, for everything that asks Django."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock


class Farm:
    """Maren's printers and rules. `see` is what a poller does, `round` what follows it."""

    def __init__(self, owner: User, clock: Clock) -> None:
        self.owner, self.clock = owner, clock

    def printers(self, number: int = 1, **known: Any) -> list[Printer]:
        made = Printer.objects.bulk_create(
            Printer(profile=self.owner.profile, ip_address=f"10.20.0.{n + 1}", api_key=f"k{n}{known}"[:40])
            for n in range(Printer.objects.count(), Printer.objects.count() + number)
        )
        Machine.objects.bulk_create(
            Machine(printer=printer, **{"name": f"Heron {printer.pk}", **known}) for printer in made
        )
        self.see(State.READY, *made)
        return made

    def printer(self, **known: Any) -> Printer:
        return self.printers(1, **known)[0]

    def see(self, state: State, *printers: Printer, **seen: Any) -> None:
        """As often as it takes for a miss to count."""
        for _ in range(3 if state == State.UNREACHABLE else 1):
            self.clock.pass_(seconds=1)
            answered = state != State.UNREACHABLE
            found = Seen(state, **({"answered": answered} | seen))
            looking.keep([(printer.pk, found) for printer in printers], self.clock.now)

    def channel(self, host: str = "", **values: Any) -> Channel:
        """Mail without a host, else a webhook there."""
        if not host:
            return Channel.objects.get_or_create(user=self.owner, kind=Channel.Kind.MAIL)[0]
        return Channel.objects.create(user=self.owner, service="JSON", address=f"json://{host}/hook", **values)

    def rule(self, *states: State, channels: list[Channel] | None = None, **values: Any) -> Rule:
        rule = Rule.objects.create(user=self.owner, states=[state.value for state in states], since=START, **values)
        rule.channels.set([self.channel()] if channels is None else channels)
        return rule

    def round(self) -> int:
        """How many messages were sent."""
        judging.judge(self.clock.now)
        before = set(Message.objects.filter(status="sent").values_list("pk", flat=True))
        sending.deliver()
        return Message.objects.filter(status="sent").exclude(pk__in=before).count()

    def settle(self) -> int:
        """Rounds until whatever happens is told."""
        return sum(self.round() for _ in range(3) if self.clock.pass_(seconds=25))


@pytest.fixture
def maren(db: None) -> User:
    user = User.objects.create_user("maren", first_name="Maren")
    profiles.ensure(user)
    EmailAddress.objects.create(user=user, email="maren@example.org", verified=True, primary=True)
    return user


@pytest.fixture
def farm(maren: User, clock: Clock) -> Farm:
    return Farm(maren, clock)


Hook = Callable[[], Service]


@pytest.fixture
def hook() -> Iterator[Service]:
    with service() as server:
        yield server


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    box = Mailbox()
    server = SmtpServer(box, hostname="127.0.0.1", port=0)
    server.start()
    config = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": server.port}
    for name, value in mail_settings(
        {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", **config}
    ).items():
        setattr(settings, name, value)
    yield box
    server.stop()
