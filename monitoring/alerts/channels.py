"""Carries words to a channel: mail by the portal's own server, the rest by Apprise in a process of its own.

An address of somebody's own decides what Apprise does. So it gets a process with nothing in it, and a time limit.
"""

import json
import os
import smtplib
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from core.scrubbing import scrub
from monitoring.alerts.models import Channel
from monitoring.alerts.wording import Letter

COURIER = "monitoring.alerts.courier"
COURIER_S = 25
"""Until it is ended, whatever the server at the other end does."""
TRIAL_S = 12
"""The same while somebody waits for the page."""
PASSED_ON = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
LONGEST_TEXT = 3000


@dataclass(frozen=True)
class Outcome:
    """How one try went; `problem` is a sentence without a secret, `final` says that another try would end the same."""

    sent: bool
    problem: str = ""
    final: bool = False


def address_of(channel: Channel) -> str:
    return mail_address(channel.user) if channel.kind == Channel.Kind.MAIL else channel.address


def mail_address(user: Any) -> str:
    """The one that counts: confirmed, and first among those that are. Empty for nobody's."""
    confirmed = EmailAddress.objects.filter(user=user, verified=True).order_by("-primary", "pk")
    return str(confirmed.values_list("email", flat=True).first() or "")


def carry(kind: str, to: str, letter: Letter, number: str, seconds: float | None = None) -> Outcome:
    """`number` is the same each time that a message is tried, so that whoever gets it twice can tell."""
    return by_mail(to, letter, number) if kind == Channel.Kind.MAIL else by_service(to, letter, number, seconds)


def by_mail(to: str, letter: Letter, number: str) -> Outcome:
    if not to:
        return Outcome(False, "You have no confirmed address.", final=True)
    host = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip("> ") or "localhost"
    headers = {"Message-ID": f"<alert-{number}@{host}>", "Auto-Submitted": "auto-generated"}
    subject = f"{settings.EMAIL_SUBJECT_PREFIX}{letter.title}"
    mail = EmailMultiAlternatives(subject, f"{letter.title}\n\n{letter.text}", to=[to], headers=headers)
    mail.attach_alternative(letter.html, "text/html")
    try:
        mail.send()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return Outcome(False, f"The portal's mail server did not take it: {type(error).__name__}.")
    return Outcome(True)


def by_service(address: str, letter: Letter, number: str, seconds: float | None = None) -> Outcome:
    words = {"title": letter.title, "text": letter.text[:LONGEST_TEXT], "id": number}
    answer = ask_courier({"address": address, **words}, seconds or COURIER_S)
    return Outcome(answer["sent"], answer["problem"], final=answer["refused"])


def service_at(address: str) -> tuple[str, str]:
    """(name, "") of the service that the address leads to, or ("", why not). Calls nobody."""
    answer = ask_courier({"address": address}, COURIER_S)
    return answer.get("service", "")[: Channel._meta.get_field("service").max_length], answer["problem"]


def ask_courier(order: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What the courier answers; what it does not answer in time, or at all, is a try that failed."""
    order = order | {"networks": [str(network) for network in settings.ALERT_NETWORKS]}
    command = [sys.executable, "-B", "-s", "-m", COURIER]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603  A command of our own; what people typed goes to its stdin.
            command, input=json.dumps(order).encode(), capture_output=True, timeout=seconds, check=False,
            cwd=settings.BASE_DIR, env=environment,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return failed(f"Nothing answered within {seconds:g} s.")
    except (OSError, ValueError) as error:
        return failed(f"What delivers messages did not answer: {type(error).__name__}.")
    return answer | {"problem": scrub(str(answer["problem"]))[:300]}


def failed(problem: str) -> dict[str, Any]:
    return {"sent": False, "refused": False, "problem": problem}
