"""What people do with printers. Each action checks right and state, calls the printers, and writes what it saw then.

Pages, bulk actions and whatever comes later call these; nothing else calls a printer's pause or cancel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from core.rights import Action
from printers import looking
from printers.clients import asking
from printers.clients.base import PrinterError
from printers.fleet.models import Machine
from printers.models import Printer
from printers.signals import started
from printers.states import ENDED, State

FRESH = timedelta(seconds=10)
ACT_S = 10.0
DONE = {
    "start": "{} has started its print.",
    "pause": "{} is paused.",
    "resume": "{} prints again.",
    "cancel": "The print on {} is cancelled.",
}
NEEDED = {
    "start": "Only one that is ready can start a print.",
    "pause": "Only one that prints can be paused.",
    "resume": "Only one that is paused can be resumed.",
    "cancel": "There is no print to cancel.",
}


@dataclass(frozen=True)
class Result:
    """What became of an action on one printer."""

    printer: Printer
    done: bool
    sentence: str


def operable(user: Any, keys: Iterable[int]) -> list[Printer]:
    """Those that `user` may operate; others are as if they were not there."""
    return list(Printer.objects.for_user(user, "operate").whole().filter(pk__in=list(keys)).order_by("pk"))


def act(user: Any, what: str, keys: Iterable[int]) -> list[Result]:
    """Pause, resume or cancel: all at once, one result for each that `user` may operate."""
    printers = refreshed(user, operable(user, keys))
    results = {printer.pk: refusal(printer, what) for printer in printers}
    able = [printer for printer in printers if results[printer.pk] is None]
    errors = asking.act_many([looking.endpoint_of(printer) for printer in able], what, deadline_s=ACT_S) if able else []
    looking.look_at(able, deadline_s=ACT_S)
    results |= {p.pk: outcome(p, what, error) for p, error in zip(able, errors, strict=True)}
    return [result for printer in printers if (result := results[printer.pk])]


def start(user: Any, key: int, path: str) -> Result | None:
    """Print a file that is on the machine; None for a printer that `user` may not operate.

    After a print has ended, nothing starts until somebody has said how it went.
    """
    for printer in refreshed(user, operable(user, [key])):
        if found := refusal(printer, "start"):
            return found
        error = attempt(printer, path)
        if error is None:
            started.send(sender=Printer, printer=printer.pk, file=path.rpartition("/")[2], user=user)
        looking.look(printer)
        return outcome(printer, "start", error)
    return None


def attempt(printer: Printer, path: str) -> PrinterError | None:
    try:
        asking.start(looking.endpoint_of(printer), path)
    except PrinterError as error:
        return error
    return None


def refreshed(user: Any, printers: list[Printer]) -> list[Printer]:
    """Somebody may have pressed a button on the machine: an older state is looked at again before it decides.

    That takes a while, in which a printer may be deleted, or taken from `user`: those that are left.
    """
    old = [printer for printer in printers if not (printer.seen and printer.seen.is_of(FRESH))]
    if not old:
        return printers
    looking.look_at(old, deadline_s=ACT_S)
    return operable(user, [printer.pk for printer in printers])


def refusal(printer: Printer, what: str) -> Result | None:
    """Where the state forbids it, in a sentence."""
    if printer.state.allows(what):
        return None
    if what == "start" and printer.state in ENDED:
        return Result(printer, False, f"{printer.name} has a print on its plate. Say first how it went.")
    why = f": {printer.known.out_of_order_why}" if printer.state == State.OUTOFORDER else ""
    return Result(printer, False, f"{printer.name} is {printer.state.word.lower()}{why.rstrip('.')}. {NEEDED[what]}")


def outcome(printer: Printer, what: str, error: PrinterError | None) -> Result:
    if error:
        return Result(printer, False, f"{printer.name}: {error.sentence} {error.hint}".strip())
    return Result(printer, True, DONE[what].format(printer.name))


def locked(user: Any, action: Action, keys: Iterable[int]) -> list[Printer]:
    """Those with which `user` may do this, as they are once nobody else writes to them, and until the transaction ends.

    In their order, as whoever keeps a look locks them: of two at once, neither waits for the other for ever.
    """
    mine = Printer.objects.for_user(user, action).filter(pk__in=list(keys)).order_by("pk")
    found = [printer.pk for printer in mine.select_for_update(of=("self",))]
    return list(Printer.objects.whole().filter(pk__in=found).order_by("pk"))


@transaction.atomic
def take_out(user: Any, keys: Iterable[int], why: str) -> list[Result]:
    """Out of order, since now and for a reason; no printer is called."""
    printers = locked(user, "operate", keys)
    now = timezone.now()
    for printer in printers:
        known = printer.known
        known.out_of_order_since, known.out_of_order_why = known.out_of_order_since or now, why
        printer.machine = known
    save_service(printers)
    return [Result(printer, True, f"{printer.name} is out of order.") for printer in printers]


@transaction.atomic
def take_in(user: Any, keys: Iterable[int]) -> list[Result]:
    """Back in service."""
    printers = [printer for printer in locked(user, "operate", keys) if printer.known.out_of_order_since]
    for printer in printers:
        printer.machine.out_of_order_since, printer.machine.out_of_order_why = None, ""
    save_service(printers)
    return [Result(printer, True, f"{printer.name} is back in service.") for printer in printers]


def save_service(printers: Sequence[Printer]) -> None:
    fields = ["out_of_order_since", "out_of_order_why"]
    machines = [printer.machine for printer in printers]
    Machine.objects.bulk_create(machines, update_conflicts=True, unique_fields=["printer"], update_fields=fields)


@transaction.atomic
def delete(user: Any, keys: Iterable[int]) -> list[Result]:
    """From the farm; the machines do what they did."""
    printers = locked(user, "manage", keys)
    results = [Result(printer, True, f"{printer.name} was deleted.") for printer in printers]
    Printer.objects.filter(pk__in=[printer.pk for printer in printers]).delete()
    return results
