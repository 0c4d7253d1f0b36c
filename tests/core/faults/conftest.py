from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from pytest_django import Settings

from core.faults import keeping
from core.outside import mail_settings
from tests.core.faults import failing
from tests.core.faults.slack import Slack, slack


class Mailbox(Message):
    """Keeps what a real SMTP server was sent."""

    def __init__(self) -> None:
        super().__init__(EmailMessage)
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)


class Server(Controller):
    """On a port that the system chooses."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def slack_server(settings: Settings) -> Iterator[Slack]:
    with slack() as server:
        settings.SLACK_WEBHOOK_URL = server.url
        yield server


def send_mail_to(port: int, settings: Settings) -> None:
    server = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port}
    for name, value in mail_settings(
        {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", **server}
    ).items():
        setattr(settings, name, value)


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    box = Mailbox()
    server = Server(box, hostname="127.0.0.1", port=0)
    server.start()
    send_mail_to(server.port, settings)
    settings.ADMINS = [("Ines", "ines@example.com")]
    yield box
    server.stop()


@pytest.fixture(autouse=True)
def _own_urls(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that fail in known ways; nobody has been told of anything."""
    settings.ROOT_URLCONF = failing.__name__
    settings.CUTOVER_PERCENT = 100
    monkeypatch.setattr(keeping, "_told_here", {})
