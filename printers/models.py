from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models import Q

from core.validators import validate_printer_address
from printers.addresses import without_password
from printers.fleet.models import Kind, LastSeen, Machine
from printers.managers import PrinterQuerySet
from printers.states import NOT_ASKED, NotAsked, State


class Printer(models.Model):
    """A machine at an address; what people call it and what was last seen of it is in `printers.fleet`."""

    id = models.AutoField(primary_key=True)
    profile = models.ForeignKey(
        "accounts.Profile", on_delete=models.CASCADE, null=True, blank=True, related_name="printers"
    )
    ip_address = models.CharField(
        max_length=255,
        validators=[validate_printer_address],
        help_text="An IP address, or a URL with http:// or https:// and a host.",
    )
    # Empty where the server wants a user and a password, or nothing at all.
    api_key = models.CharField(
        "API key", max_length=128, blank=True, help_text="The key that the printer's server made for this portal."
    )
    ping = models.BooleanField(default=False, help_text="Whether the last reachability check found it.")
    printing = models.BooleanField(default=False, help_text="Whether it is printing now.")

    objects = PrinterQuerySet.as_manager()

    class Meta:
        unique_together = [("ip_address", "api_key")]
        # Few of all printers print at the same time, and they are asked for all day.
        indexes = [models.Index(fields=["profile"], condition=Q(printing=True), name="printers_printer_printing_idx")]

    def __str__(self) -> str:
        return self.address  # `name` may take a query.

    @property
    def known(self) -> Machine:
        """What people know of it; an unsaved, empty one where nobody has said anything."""
        return related(self, "machine") or Machine(printer=self)

    @property
    def seen(self) -> LastSeen | None:
        return related(self, "last_seen")

    @property
    def name(self) -> str:
        return self.known.name or self.address

    @property
    def address(self) -> str:
        """As it is shown."""
        return without_password(self.ip_address)

    @property
    def kind(self) -> Kind:
        return Kind(self.known.kind)

    @property
    def state(self) -> State | NotAsked:
        """What people see; out of order is what a person said, whatever the machine says."""
        if self.known.out_of_order_since:
            return State.OUTOFORDER
        return self.seen.shown if self.seen else NOT_ASKED


def related(printer: Printer, name: str) -> Any:
    """The other end of a OneToOneField, or None."""
    try:
        return getattr(printer, name)
    except ObjectDoesNotExist:
        return None
