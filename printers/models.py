from django.db import models
from django.db.models import Q

from core.validators import validate_printer_address


class Printer(models.Model):
    """An OctoPrint machine."""

    id = models.AutoField(primary_key=True)
    profile = models.ForeignKey(
        "accounts.Profile", on_delete=models.CASCADE, null=True, blank=True, related_name="printers"
    )
    ip_address = models.CharField(
        max_length=255,
        validators=[validate_printer_address],
        help_text="An IP address, or a URL with http:// or https:// and a host.",
    )
    api_key = models.CharField("API key", max_length=32, help_text="The key OctoPrint made for this portal.")
    ping = models.BooleanField(default=False, help_text="Whether the last reachability check found it.")
    printing = models.BooleanField(default=False, help_text="Whether it is printing now.")

    class Meta:
        unique_together = [("ip_address", "api_key")]
        # Few of all printers print at the same time, and they are asked for all day.
        indexes = [models.Index(fields=["profile"], condition=Q(printing=True), name="printers_printer_printing_idx")]

    def __str__(self) -> str:
        return self.ip_address
