"""What every app may point at."""

from django.db import models

from core.faults.models import Fault, FaultCount
from core.moves.models import Check
from core.sides.models import Choice

__all__ = ["Check", "Choice", "Fault", "FaultCount", "Province"]


class Province(models.Model):
    """One of a country's first divisions, by its ISO 3166-2 code."""

    name = models.CharField(max_length=100, help_text="As its people write it.")
    name_en = models.CharField("English name", max_length=100, blank=True)
    code = models.CharField("ISO 3166-2 code", max_length=6, unique=True, help_text="Such as IR-23.")
    border = models.JSONField(null=True, blank=True, help_text="A GeoJSON geometry, in degrees.")
    legacy_id = models.IntegerField("key in the older database", null=True, blank=True, unique=True)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.name_en or self.name} ({self.code})"
