"""What people have planned, recorded and asked to be told, for pages of alerts and of maintenance to show."""

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from monitoring.alerts.models import Channel, Message, Rule
from monitoring.maintenance.models import Entry, Task
from printers.models import Printer

OWN: dict[str, tuple[str, Any]] = {"alerts:edit": ("rule", Rule), "alerts:edit-channel": ("channel", Channel)}
"""Pages of one thing of the reader's own: what it is called in the address, and its model."""


def build(owner: User, printers: Sequence[Printer], long: str) -> None:
    _maintenance(owner, printers, long)
    mail = Channel.objects.create(user=owner, kind=Channel.Kind.MAIL)
    slack = Channel.objects.create(user=owner, name=long[:80], service="Slack", address="https://hooks.slack.com/x")
    rules = [
        Rule(user=owner, states=["error", "attention", "failed", "unreachable"], place=long[:200], minutes=90),
        Rule(user=owner, states=["finished"], quiet_from=time(22), quiet_until=time(6)),
        Rule(user=owner, states=["refused"], printer=printers[0] if printers else None, paused=True),
    ]
    for rule, channels in zip(Rule.objects.bulk_create(rules), ([mail, slack], [mail], []), strict=True):
        rule.channels.set(channels)
    _messages(mail, slack)


def _messages(mail: Channel, slack: Channel) -> None:
    now = timezone.now()
    said = [
        (mail, "sent", 1, ""),
        (slack, "failed", 50, "Slack answered 403."),
        (slack, "waiting", 3, "The portal's mail server did not take it: ConnectionRefusedError."),
        (mail, "dropped", 1, ""),
    ]
    Message.objects.bulk_create(
        Message(
            channel=channel, status=status, made_at=now, next_at=now + timedelta(minutes=9), tries=tries,
            problem=problem, sent_at=now if status == "sent" else None,
        )
        for channel, status, tries, problem in said
    )  # fmt: skip


def _maintenance(owner: User, printers: Sequence[Printer], long: str) -> None:
    """The first planned work has the key of its printer, as in tests/url_map/people.py."""
    now = timezone.now()
    Task.objects.bulk_create(
        Task(
            pk=printer.pk, printer=printer, what=long if n == 0 else "Change the nozzle", every_hours=400,
            seconds=3600 * (412 if n % 3 == 0 else 100), every_prints=1000, done_at=now - timedelta(days=40),
        )
        for n, printer in enumerate(printers)
    )  # fmt: skip
    for printer in printers[:3]:
        Task.objects.create(
            pk=printer.pk + 100_000,
            printer=printer,
            what="Oil the rods",
            every_days=50,
            done_at=now - timedelta(days=9),
        )
        Entry.objects.bulk_create(
            Entry(
                printer=printer, what=what, done_at=now - timedelta(days=days), by=owner, by_name="Maren Okafor",
                parts=parts, cost=cost,
            )
            for what, days, parts, cost in [
                ("New nozzle, first layer looked at", 40, "Nozzle 0.4 mm, hardened", "18.50"),
                (long, 90, long, "1240.00"),
                ("Cleaned", 400, "", None),
            ]
        )  # fmt: skip
