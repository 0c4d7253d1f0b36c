from django.conf import settings
from django.db import models
from django.db.models import Q

from printers.fleet.models import Kind


class Print(models.Model):
    """One print on one machine, from its start to what somebody said of it."""

    class Outcome(models.TextChoices):
        FINISHED = "finished", "Finished"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        LOST = "lost", "Lost"
        """Nobody saw its end: another file runs, its server was restarted, or it never began."""

    class FoundBy(models.TextChoices):
        CONTROL = "control", "The portal"
        POLLING = "polling", "Polling"
        AGENT = "agent", "An agent"

    class Verdict(models.TextChoices):
        GOOD = "good", "Good"
        BAD = "bad", "Bad"

    printer = models.ForeignKey(
        "printers.Printer", on_delete=models.CASCADE, related_name="prints", db_constraint=False
    )
    file = models.CharField(max_length=1000, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField()
    seen_running = models.BooleanField(default=True, help_text="Whether a look has found it running.")
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, blank=True)
    reason = models.CharField(max_length=1000, blank=True, help_text="What the machine said at its end.")
    seconds = models.FloatField(null=True, blank=True)
    filament_mm = models.FloatField(null=True, blank=True)
    found_by = models.CharField(max_length=10, choices=FoundBy, default=FoundBy.POLLING)
    signed_off_at = models.DateTimeField(null=True, blank=True)
    signed_off_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    verdict = models.CharField(max_length=4, choices=Verdict, blank=True)
    bad_count = models.PositiveIntegerField(null=True, blank=True, help_text="How many of its parts were bad.")
    bad_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["printer"], condition=Q(ended_at__isnull=True), name="monitoring_print_one_open"
            ),
        ]
        indexes = [
            models.Index(fields=["printer", "-started_at", "-id"], name="monitoring_print_latest"),
            models.Index(fields=["-started_at", "-id"], name="monitoring_print_newest"),
        ]

    def __str__(self) -> str:
        return f"Print {self.pk} of {self.file or 'an unknown file'}: {self.outcome or 'running'}"


class Lease(models.Model):
    """Which process polls the printers of a kind, until when; two never do at once. No connection is held for it."""

    kind = models.CharField(max_length=20, choices=Kind, primary_key=True)
    holder = models.CharField(max_length=100)
    until = models.DateTimeField()
    polled_at = models.DateTimeField(
        null=True, blank=True, help_text="When a round began that has asked every printer that answers."
    )

    def __str__(self) -> str:
        return f"{self.kind} by {self.holder} until {self.until:%Y-%m-%d %H:%M:%S}"


class Shard(models.Model):
    """When a part of the printers was last asked, where many workers share them."""

    number = models.PositiveSmallIntegerField(primary_key=True)
    polled_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Shard {self.number}, asked {self.polled_at:%Y-%m-%d %H:%M:%S}"


class FleetChange(models.Model):
    """One for each statement that changed what pages show of the farm; triggers write it. Their sum is its version.

    A row that is only added waits for nobody, and counts from the moment at which its transaction is committed.
    """

    number = models.BigIntegerField(default=1, help_text="How many changes it stands for.")

    def __str__(self) -> str:
        return f"{self.number} changes of the farm"
