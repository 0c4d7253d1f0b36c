from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone


class Side(models.TextChoices):
    OLD = "old", "old"
    NEW = "new", "new"

    @property
    def other(self) -> "Side":
        return Side.NEW if self is Side.OLD else Side.OLD


class Choice(models.Model):
    """Who was sent to which side: one user, one group, or a percentage of everybody.

    A user has one choice at most, and so has a group. Percentages are kept, so that it can be told since when a
    person is on the new side; the last one is in force.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    group = models.OneToOneField(Group, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    percent = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Of everybody, on the new side. Nobody who is over goes back when it grows."
    )
    side = models.CharField(max_length=3, choices=Side, default=Side.NEW)
    reason = models.CharField(max_length=200, blank=True, help_text="Shown to staff.")
    since = models.DateTimeField(default=timezone.now, editable=False)
    by = models.CharField(max_length=150, blank=True, editable=False, help_text="Who has chosen.")

    class Meta:
        verbose_name = "choice of a side"
        verbose_name_plural = "choices of a side"
        constraints = [
            models.CheckConstraint(
                name="core_choice_of_one",
                condition=models.Q(user__isnull=False, group__isnull=True, percent__isnull=True)
                | models.Q(user__isnull=True, group__isnull=False, percent__isnull=True)
                | models.Q(user__isnull=True, group__isnull=True, percent__isnull=False, side=Side.NEW),
                violation_error_message="Choose a user, a group or a percentage: one of them.",
            ),
            models.CheckConstraint(
                name="core_choice_percent",
                condition=models.Q(percent__isnull=True) | models.Q(percent__lte=100),
                violation_error_message="A percentage is a number from 0 to 100.",
            ),
        ]
        indexes = [
            models.Index(fields=["-since"], condition=models.Q(percent__isnull=False), name="core_choice_percents")
        ]

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{self.percent} % of everybody: new side"
        return f"{self.user or self.group}: {self.side} side"
