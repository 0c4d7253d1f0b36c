"""What people say of a print that has ended: good, the plate is clear; or bad, and why. The next one may start then."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from monitoring.models import Print
from printers.models import Printer

CLEAR = """
UPDATE fleet_lastseen AS old SET waits = '' WHERE old.printer_id = ANY(%s) AND old.waits <> '' AND NOT EXISTS (
    SELECT FROM monitoring_print AS later
    WHERE later.printer_id = old.printer_id AND later.ended_at IS NOT NULL AND later.signed_off_at IS NULL
        AND later.ended_at >= (
            SELECT max(signed.ended_at) FROM monitoring_print AS signed
            WHERE signed.printer_id = old.printer_id AND signed.signed_off_at IS NOT NULL
        )
)
"""
"""What lies on a plate is its last print: an older one that nobody signed off keeps nothing waiting."""
SAID = ["signed_off_at", "signed_off_by", "verdict", "bad_count", "bad_reason"]


@dataclass(frozen=True)
class Result:
    """What became of one print, in a sentence; `done` also where somebody had said so before."""

    print: Print
    printer: Printer
    done: bool
    sentence: str


def waiting(user: Any) -> Any:
    """Prints that `user` may sign off and nobody has, the one that has waited longest first."""
    mine = Printer.objects.for_user(user, "operate").values("pk")
    found = Print.objects.filter(printer__in=mine, ended_at__isnull=False, signed_off_at=None)
    return found.exclude(printer__last_seen__waits="").order_by("ended_at", "pk")


def sign_off(
    user: Any, prints: Iterable[int], verdict: str, *, count: int | None = None, reason: str = ""
) -> list[Result]:
    """One result for each print whose printer `user` may operate; others are as if they were not there.

    All in one transaction, which lets the machines start again. Whoever comes second changes nothing and is told so.
    Raises ValueError for a verdict that is none.
    """
    verdict, keys = Print.Verdict(verdict), list(prints)
    with transaction.atomic():
        printers = lock(user, keys)
        found = list(
            Print.objects.filter(pk__in=keys, printer__in=printers).select_related("signed_off_by").order_by("pk")
        )
        results = [say(one, printers[one.printer_id], user, verdict, count, reason) for one in found]
        Print.objects.bulk_update(found, SAID)
        with connection.cursor() as cursor:
            cursor.execute(CLEAR, [list(printers)])
    return results


def lock(user: Any, keys: list[int]) -> dict[int, Printer]:
    """Their printers, as whoever keeps a look locks them: what was read of a print stays so until the end."""
    of_prints = Print.objects.filter(pk__in=keys).values("printer")
    mine = Printer.objects.for_user(user, "operate").whole().filter(pk__in=of_prints)
    return {one.pk: one for one in mine.order_by("pk").select_for_update(no_key=True, of=("self",))}


def say(one: Print, printer: Printer, user: Any, verdict: Print.Verdict, count: int | None, reason: str) -> Result:
    if one.ended_at is None:
        return Result(one, printer, False, f"The print on {printer.name} has not ended yet.")
    if one.signed_off_at:
        who = one.signed_off_by.get_full_name() or one.signed_off_by.get_username() if one.signed_off_by else "Somebody"
        said = f"{who} has signed the print on {printer.name} off as {one.verdict} already."
        return Result(one, printer, one.verdict == verdict, said)
    one.signed_off_at, one.signed_off_by, one.verdict = timezone.now(), user, verdict
    if verdict == Print.Verdict.BAD:
        one.bad_count, one.bad_reason = count, reason
    return Result(one, printer, True, f"The print on {printer.name} is signed off as {verdict}.")
