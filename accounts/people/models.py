import zoneinfo

from django.core.exceptions import ValidationError
from django.db import models


class Theme(models.TextChoices):
    DEVICE = "", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class Density(models.TextChoices):
    COMFORTABLE = "", "Comfortable"
    COMPACT = "compact", "Compact"


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"{name} is no time zone; write one such as Europe/Oslo.")


class Person(models.Model):
    """What a profile has in a table of its own, so that it stays where it is when profiles move between tables."""

    profile = models.OneToOneField(
        "accounts.Profile", on_delete=models.CASCADE, primary_key=True, related_name="person", db_constraint=False
    )
    theme = models.CharField(max_length=10, choices=Theme, blank=True)
    density = models.CharField(max_length=10, choices=Density, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    shares_printers = models.BooleanField(
        "Members of my organization may see my printers", default=False, help_text="They see them, and change nothing."
    )
    # An organization is what somebody has typed. It counts once staff have confirmed it, and only as they read it.
    confirmed_organization = models.CharField(max_length=200, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.CharField(max_length=150, blank=True)
    # Rows made by SQL have one as well.
    claims = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="How often an invitation to the profile was used."
    )

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return f"Person {self.pk}"
