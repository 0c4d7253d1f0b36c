from django.conf import settings
from django.db import models

from core.validators import validate_printer_address


class Profile(models.Model):
    """Somebody who owns printers; older profiles have no account to log in with."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="portal_profile",
    )
    name = models.CharField(max_length=200, null=True, blank=True)
    username = models.CharField(max_length=200, null=True, blank=True)
    organization = models.CharField(max_length=200, null=True, blank=True)
    email = models.EmailField(max_length=500, null=True, blank=True)

    def __str__(self) -> str:
        return self.name or self.username or f"Profile {self.pk}"


class Printer(models.Model):
    """An OctoPrint machine."""

    id = models.AutoField(primary_key=True)
    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, null=True, blank=True, related_name="printers")
    ip_address = models.CharField(
        max_length=255,
        validators=[validate_printer_address],
        help_text="An IP address, or a URL with http:// or https:// and a host.",
    )
    api_key = models.CharField("API key", max_length=128, help_text="The key OctoPrint made for this portal.")
    ping = models.BooleanField(default=False, help_text="Whether the last reachability check found it.")
    printing = models.BooleanField(default=False, help_text="Whether it is printing now.")

    class Meta:
        unique_together = [("ip_address", "api_key")]

    def __str__(self) -> str:
        return self.ip_address
