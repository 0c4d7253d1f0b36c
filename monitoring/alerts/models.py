"""What people want to hear (channels, rules), what happened (events), and what was told (messages, mentions).

An event is one spell of one printer in one state. That it is told once is a constraint: a channel mentions it once.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from printers.states import ENDED, State

TOLD = [
    State.FINISHED,
    State.FAILED,
    State.CANCELLED,
    State.ERROR,
    State.ATTENTION,
    State.REFUSED,
    State.PAUSED,
    State.DISCONNECTED,
    State.UNREACHABLE,
]
"""States that rules may name. Out of order is not among them: nobody is told of those machines."""
CHOICES = [(state.value, state.label) for state in TOLD]
ENDED_BY_PEOPLE = frozenset(state.value for state in ENDED)
"""They end when somebody says how the print went, which is no recovery."""


class Channel(models.Model):
    """Where somebody is told: their own mail, or a service by its address."""

    class Kind(models.TextChoices):
        MAIL = "mail", "Mail"
        SERVICE = "service", "Service"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_channels")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.SERVICE)
    name = models.CharField(max_length=80, blank=True, help_text="What you call it, such as #farm.")
    service = models.CharField(max_length=80, blank=True, help_text="Found out from the address, such as Slack.")
    # Whoever knows it can write to the channel: it is written and never shown.
    address = models.CharField(max_length=1000, blank=True)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(kind="mail"), name="alerts_channel_one_mail"),
        ]

    def __str__(self) -> str:
        return self.name or self.service or self.get_kind_display()


class Rule(models.Model):
    """What somebody wants to be told. Conditions that are empty are fulfilled by every printer that they may view."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alert_rules")
    states = ArrayField(models.CharField(max_length=20, choices=CHOICES))
    minutes = models.PositiveSmallIntegerField(default=0, help_text="How long it has been so before it is told.")
    place = models.CharField(max_length=200, blank=True)
    tag = models.CharField(max_length=50, blank=True)
    # With the group or the printer goes the rule: without them it would be about the whole farm.
    group = models.ForeignKey("fleet.PrinterGroup", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    printer = models.ForeignKey(
        "printers.Printer",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_rules",
        db_constraint=False,
    )
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    channels = models.ManyToManyField(Channel, related_name="rules")
    paused = models.BooleanField(default=False)
    since = models.DateTimeField(default=timezone.now, help_text="What began earlier is not told.")

    sees_printer = sees_group = True
    """Whether its owner may view them; `reading.rules_of` says where they may not any more."""

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"Rule {self.pk} of user {self.user_id}"


class Event(models.Model):
    """One spell of a printer in a state that rules may name."""

    printer = models.ForeignKey(
        "printers.Printer",
        on_delete=models.CASCADE,
        related_name="alert_events",
        db_constraint=False,
        db_index=False,
    )
    state = models.CharField(max_length=20, choices=CHOICES)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    became = models.CharField(max_length=20, blank=True, help_text="The state after it, or empty for none.")
    file = models.CharField(max_length=1000, blank=True)
    progress = models.FloatField(null=True, blank=True)
    message = models.CharField(max_length=1000, blank=True)
    matched = models.BooleanField(default=False, help_text="Whether rules have been asked.")
    closed = models.BooleanField(default=False, help_text="Whether its end has been told, or is nobody's business.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["printer", "state", "began_at"], name="alerts_event_once"),
            models.UniqueConstraint(fields=["printer"], condition=Q(ended_at=None), name="alerts_event_one_open"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(matched=False), name="alerts_event_unmatched"),
            models.Index(
                fields=["id"], condition=Q(closed=False, ended_at__isnull=False), name="alerts_event_unclosed"
            ),
            models.Index(fields=["ended_at"], name="alerts_event_ended"),
        ]

    def __str__(self) -> str:
        return f"Printer {self.printer_id} {self.state} at {self.began_at:%Y-%m-%d %H:%M}"


class Notice(models.Model):
    """A rule wants an event to be told at `due_at`. It goes once that is done, or is no longer wanted."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE, related_name="notices")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="notices")
    due_at = models.DateTimeField(db_index=True)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "event"], name="alerts_notice_once")]

    def __str__(self) -> str:
        return f"Notice {self.pk} of rule {self.rule_id}"


class Message(models.Model):
    """One message to one channel, and how its delivery goes. Its words are made when it is sent."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        SENT = "sent", "Sent"
        DROPPED = "dropped", "Nothing left to tell"
        FAILED = "failed", "Not delivered"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="messages")
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    made_at = models.DateTimeField()
    next_at = models.DateTimeField(help_text="When it may be sent, or tried again.")
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="Until then one process has it.")
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, help_text="Why the last try failed.")

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["next_at"], condition=Q(status="waiting"), name="alerts_message_waiting")]

    def __str__(self) -> str:
        return f"Message {self.pk} to channel {self.channel_id}: {self.status}"


class Mention(models.Model):
    """What a message says of an event: that it began, or that it ended."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="mentions")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="mentions")
    rule = models.ForeignKey(Rule, on_delete=models.SET_NULL, null=True, related_name="+")
    end = models.BooleanField(help_text="That it ended; else that it began.")
    told_both = models.BooleanField(default=False, help_text="It had ended when the message was sent, which says so.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "event", "end"], name="alerts_mention_once")]

    def __str__(self) -> str:
        return f"Message {self.message_id} mentions event {self.event_id}"
