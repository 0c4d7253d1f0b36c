from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Task(models.Model):
    """Work that comes back: after hours printed, after days or after a number of prints, whichever is first."""

    printer = models.ForeignKey(
        "printers.Printer", on_delete=models.CASCADE, related_name="maintenance_tasks", db_constraint=False
    )
    what = models.CharField("What is done", max_length=200, help_text="Such as: change the nozzle.")
    every_hours = models.PositiveIntegerField("Every … hours printed", null=True, blank=True)
    every_days = models.PositiveIntegerField("Every … days", null=True, blank=True)
    every_prints = models.PositiveIntegerField("Every … prints", null=True, blank=True)
    done_at = models.DateTimeField(default=timezone.now, help_text="When it was last done; else when it was planned.")
    # Counted from the prints that have ended since; once a minute, and where somebody says that it is done.
    seconds = models.FloatField(default=0, help_text="Printed since then.")
    prints = models.PositiveIntegerField(default=0, help_text="Ended since then.")
    counted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["what", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(every_hours__isnull=False, every_hours__gt=0)
                | Q(every_days__isnull=False, every_days__gt=0)
                | Q(every_prints__isnull=False, every_prints__gt=0),
                name="maintenance_task_some_interval",
            )
        ]

    def __str__(self) -> str:
        return self.what


class Entry(models.Model):
    """What somebody has done to a machine. What was planned may be forgotten later; this stays."""

    printer = models.ForeignKey(
        "printers.Printer", on_delete=models.CASCADE, related_name="maintenance_log", db_constraint=False
    )
    task = models.ForeignKey(Task, on_delete=models.SET_NULL, null=True, blank=True, related_name="entries")
    what = models.CharField(max_length=500)
    done_at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    # Also when the account is gone.
    by_name = models.CharField(max_length=150)
    parts = models.CharField(max_length=500, blank=True, help_text="Such as: nozzle 0.4 mm, hardened.")
    cost = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)

    class Meta:
        verbose_name_plural = "entries"
        ordering = ["-done_at", "-pk"]
        indexes = [models.Index(fields=["printer", "-done_at", "-id"], name="maintenance_entry_newest")]

    def __str__(self) -> str:
        return f"{self.what} on {self.done_at:%Y-%m-%d}"
