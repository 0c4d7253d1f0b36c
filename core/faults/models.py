from django.db import models

from core.faults.seeing import number_of
from core.sides.models import Side


class Fault(models.Model):
    """Exceptions that are the same: raised as the same type, by the same lines."""

    fingerprint = models.CharField(max_length=32, primary_key=True)
    kind = models.CharField(max_length=200, help_text="The exception's type.")
    message = models.TextField(blank=True)
    place = models.CharField(max_length=300, help_text="The line of this project that raised it.")
    route = models.CharField(max_length=300, blank=True, help_text="The address of the last time, as in the URL map.")
    trace = models.JSONField(default=list, help_text="Files, lines and functions; no values.")
    request_id = models.CharField(max_length=64, blank=True, help_text="Of the last time; logs have it too.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)
    told_at = models.DateTimeField(null=True, help_text="When mail and Slack were last told.")
    told = models.CharField(max_length=300, blank=True, help_text="How that went.")

    def __str__(self) -> str:
        return f"{self.kind} at {self.place}"

    @property
    def number(self) -> str:
        return number_of(self.fingerprint)


class FaultCount(models.Model):
    """How often a fault happened in one hour, to one user, on one side."""

    fault = models.ForeignKey(Fault, on_delete=models.CASCADE, related_name="counts")
    hour = models.DateTimeField()
    side = models.CharField(max_length=3, choices=Side, blank=True)
    # No foreign key: what has happened stays so when a user is deleted. 0 is nobody.
    user_id = models.BigIntegerField(default=0)
    count = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fault", "hour", "side", "user_id"], name="core_faultcount_once")
        ]
        indexes = [models.Index(fields=["hour"], name="core_faultcount_hour")]

    def __str__(self) -> str:
        return f"{self.fault_id} {self.hour:%Y-%m-%d %H}: {self.count}"
