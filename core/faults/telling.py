"""Telling people of a fault: by mail to ADMINS and by a Slack webhook, each with a time limit, none raising."""

import http.client
import json
import logging
import smtplib
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from core.faults.seeing import Seen, as_lines, number_of

logger = logging.getLogger(__name__)

SLACK_TIMEOUT_S = 5
PAGE = "/staff/faults/"


def tell(seen: Seen) -> tuple[str, bool]:
    """How it went, as a sentence for staff, and whether anybody was reached. Nobody to tell counts as reached."""
    results = [*tell_by_mail(seen), *tell_slack(seen)]
    if not results:
        return "Nobody is told: neither ADMINS nor SLACK_WEBHOOK_URL is set.", True
    for sentence, reached in results:
        if not reached:
            logger.warning("Fault %s: %s", number_of(seen.fingerprint), sentence)
    return " ".join(sentence for sentence, _ in results), any(reached for _, reached in results)


def title_of(seen: Seen) -> str:
    return f"{seen.kind} at {seen.place}"


def address_of(seen: Seen) -> str:
    """Of the page that shows it; whole where the portal's own address is set."""
    return f"{settings.PORTAL_URL.rstrip('/')}{PAGE}?q={number_of(seen.fingerprint)}"


def tell_by_mail(seen: Seen) -> Iterator[tuple[str, bool]]:
    to = [entry if isinstance(entry, str) else entry[1] for entry in settings.ADMINS]
    if not to:
        return
    facts = {"seen": seen, "lines": as_lines(seen), "number": number_of(seen.fingerprint), "address": address_of(seen)}
    subject = " ".join(f"{settings.EMAIL_SUBJECT_PREFIX}{title_of(seen)}".split())
    try:
        mail = EmailMultiAlternatives(subject, render_to_string("core/fault_mail.txt", facts), to=to)
        mail.attach_alternative(render_to_string("core/fault_mail.html", facts), "text/html")
        mail.send()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        yield f"Mail was not sent: {type(error).__name__}.", False
    else:
        yield "Mail was sent.", True


def tell_slack(seen: Seen) -> Iterator[tuple[str, bool]]:
    """The webhook's address is a secret, and what a wrong server answers may be anything: neither is repeated."""
    if not settings.SLACK_WEBHOOK_URL:
        return
    try:
        status = post(settings.SLACK_WEBHOOK_URL, {"text": slack_text(seen)})
    except (OSError, http.client.HTTPException) as error:
        yield f"Slack was not reached: {type(error).__name__}.", False
    else:
        yield ("Slack was told.", True) if status == http.client.OK else (f"Slack answered {status}.", False)


def slack_text(seen: Seen) -> str:
    """With the three characters escaped that mean something to Slack."""
    text = "\n".join([
        f"*{title_of(seen)}*", seen.message, *(f"{name}: {value}" for name, value in as_lines(seen)),
        f"No. {number_of(seen.fingerprint)}: {address_of(seen)}",
    ])  # fmt: skip
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def post(url: str, message: dict[str, str]) -> int:
    """Without following redirects, which would send the message elsewhere."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SLACK_TIMEOUT_S)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path or "/", json.dumps(message), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()
