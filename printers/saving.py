"""Saves a printer with what people know of it: two tables, one transaction, and no key in whatever goes wrong."""

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Profile
from printers.addresses import normal
from printers.clients.base import Seen
from printers.fleet.models import Machine, Membership, PrinterGroup
from printers.looking import keep
from printers.models import Printer


class Taken(Exception):
    """Another printer has this address and this key."""

    sentence = "A printer with this address and this key is in the farm already."


def save(printer: Printer, machine: Machine, groups: "GroupChoice | None" = None, seen: Seen | None = None) -> None:
    """Both rows, or none. Raises Taken."""
    taken = False
    try:
        with transaction.atomic():
            printer.save()
            machine.printer = printer
            machine.password_for = printer.ip_address if machine.password else ""
            machine.save()
            if groups:
                groups.apply(printer)
    except IntegrityError as error:
        taken = is_taken(error)
        if not taken:
            raise
    if taken:  # Here, since PostgreSQL's error names the key: it is not a cause or a context of ours either.
        raise Taken
    printer.machine = machine
    if seen:
        keep([(printer.pk, seen)], timezone.now())


def is_taken(error: IntegrityError) -> bool:
    diagnosis = getattr(error.__cause__, "diag", None)
    return str(getattr(diagnosis, "constraint_name", "")).startswith(("printers_printer", "portal_printer", "rehome_"))


class GroupChoice:
    """The groups that a form has offered, and those of them that were chosen; a printer stays in the others."""

    def __init__(self, offered: Iterable[PrinterGroup], chosen: Iterable[PrinterGroup]) -> None:
        self.offered, self.chosen = list(offered), list(chosen)

    def apply(self, printer: Printer) -> None:
        left = [group for group in self.offered if group not in self.chosen]
        Membership.objects.filter(printer=printer, group__in=left).delete()
        memberships = (Membership(group=group, printer=printer) for group in self.chosen)
        Membership.objects.bulk_create(memberships, ignore_conflicts=True)


def profile_of(user: Any) -> Profile:
    """Whoever adds a printer owns it."""
    names = {"name": user.get_full_name(), "username": user.get_username(), "email": user.email}
    return Profile.objects.get_or_create(user=user, defaults=names)[0]


def find_same(user: Any, address: str) -> Printer | None:
    """A printer that `user` may view, at the same address."""
    wanted = normal(address)
    host = wanted.partition("://")[2].partition("/")[0].rpartition(":")[0].strip("[]")
    candidates = Printer.objects.for_user(user, "view").whole().filter(ip_address__icontains=host).order_by("pk")
    return next((printer for printer in candidates if normal(printer.ip_address) == wanted), None)
