"""Somebody with printers, and sample printers that answer on loopback."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import Profile
from core.moves import standing
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import Machine
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.states import State
from tests.printers.served import served

KEY = "K" * 43
Make = Callable[..., Printer]
Serve = Callable[..., list[str]]


@pytest.fixture
def maren(db: None) -> User:
    user = User.objects.create_user("maren", first_name="Maren", last_name="Okafor")
    Profile.objects.get_or_create(user=user)
    return user


@pytest.fixture
def page(maren: User, settings: Any) -> Client:
    """Logged in as maren, on the new side."""
    settings.CUTOVER_PERCENT = 100
    standing.phase_of(standing.PRINTERS)  # Remembered for some seconds, so that no page pays for it.
    client = Client()
    client.force_login(maren)
    return client


@pytest.fixture
def make(maren: User) -> Make:
    """A printer of maren's; with a state, as if it had been looked at."""

    def make(
        address: str = "http://192.0.2.7", key: str = KEY, state: str = "", seen: Any = None, **known: Any
    ) -> Printer:
        printer = Printer.objects.create(profile=maren.profile, ip_address=address, api_key=key)
        if known:
            known |= {"password_for": address} if "password" in known else {}
            Machine.objects.create(printer=printer, **known)
        if state:
            looking.keep([(printer.pk, Seen(State(state), **(seen or {})))], looking.timezone.now())
        return Printer.objects.whole().get(pk=printer.pk)

    return make


@pytest.fixture
def serve() -> Iterator[Serve]:
    """The addresses of samples, which are served until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda *samples: stack.enter_context(served(*samples))


def octoprint(state: str = "ready", **more: Any) -> Sample:
    return Sample("Heron", "octoprint", state, **{"key": KEY, **more})
