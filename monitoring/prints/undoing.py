"""Undoing a sign-off, for some minutes: it was the wrong button, or the wrong machine."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from monitoring.models import Print
from monitoring.prints.recording import WAITS, latest_of, set_waits
from monitoring.prints.signing import SAID, Result, lock
from printers.models import Printer

FOR = timedelta(minutes=10)


def undo(user: Any, prints: Iterable[int]) -> list[Result]:
    """Their machines wait again, as if nobody had said anything; one result for each whose printer `user` may operate.

    All in one transaction. Who says so twice is told the same twice.
    """
    with transaction.atomic():
        keys = list(prints)
        printers = lock(user, keys)
        found = list(Print.objects.filter(pk__in=keys, printer__in=printers).order_by("pk"))
        latest = latest_of(printers)
        results = [unsay(one, printers[one.printer_id], user, latest[one.printer_id]) for one in found]
        Print.objects.bulk_update(found, SAID)
        again = [result.print for result in results if result.done and result.print == latest[result.printer.pk]]
        set_waits({one.printer_id: WAITS[Print.Outcome(one.outcome)] for one in again})
    return results


def unsay(one: Print, printer: Printer, user: Any, latest: Print) -> Result:
    if why := refusal(one, printer, user, latest):
        return Result(one, printer, False, why)
    one.signed_off_at, one.signed_off_by, one.verdict, one.bad_count, one.bad_reason = None, None, "", None, ""
    return Result(one, printer, True, f"The print on {printer.name} waits again for somebody to say how it went.")


def refusal(one: Print, printer: Printer, user: Any, latest: Print) -> str:
    if one.ended_at is None:
        return f"The print on {printer.name} has not ended yet."
    if one.signed_off_at is None:
        return ""
    if one.signed_off_by_id != user.pk:
        return f"Somebody else has said how the print on {printer.name} went, and may undo it."
    if timezone.now() - one.signed_off_at > FOR:
        return f"The sign-off on {printer.name} is older than {FOR.seconds // 60} minutes, and stays."
    if latest.ended_at is None or latest.started_at > one.signed_off_at:
        return f"{printer.name} has begun another print since; the sign-off stays."
    return ""


def may_undo(user: Any, one: Print, printer: Printer) -> bool:
    """For who may operate the printer; two queries at most."""
    return one.signed_off_at is not None and not refusal(one, printer, user, latest_of([printer.pk])[printer.pk])


def address(user: Any, results: Iterable[Result]) -> str:
    """What to post to undo those that `user` has signed off just now; empty for none."""
    mine = [result.print.pk for result in results if result.done and result.print.signed_off_by_id == user.pk]
    return reverse("prints:undo") + "?" + "&".join(f"print={key}" for key in mine) if mine else ""
