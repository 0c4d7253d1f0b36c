from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from core.validators import validate_name, validate_printer_address
from printers.states import State, shown

SECRETS = ("password",)
"""Fields that are written and never shown; the printer itself has `api_key`."""


class Kind(models.TextChoices):
    """Which server answers at a printer's address."""

    OCTOPRINT = "octoprint", "OctoPrint"
    MOONRAKER = "moonraker", "Moonraker"
    PRUSALINK = "prusalink", "PrusaLink"


class Machine(models.Model):
    """What people call a printer, and what its server needs besides a key. One for each printer that has any of it."""

    printer = models.OneToOneField(
        "printers.Printer", on_delete=models.CASCADE, primary_key=True, related_name="machine", db_constraint=False
    )
    name = models.CharField(max_length=200, blank=True, validators=[validate_name], help_text="What people call it.")
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.OCTOPRINT, db_default=Kind.OCTOPRINT)
    place = models.CharField(max_length=200, blank=True, help_text="Where it stands, such as Hall A, rack 1.")
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True, help_text="Separated by commas.")
    notes = models.TextField(blank=True)
    model = models.CharField(max_length=200, blank=True, help_text="Such as Prusa MK4S.")
    user = models.CharField(max_length=100, blank=True, help_text="For PrusaLink: who logs in there, often maker.")
    password = models.CharField(max_length=200, blank=True, help_text="For PrusaLink.")
    # Whoever leads the printer elsewhere, on either side, does not learn it there.
    password_for = models.CharField(
        max_length=255, blank=True, default="", db_default="", editable=False, help_text="The address it is sent to."
    )
    camera = models.CharField(
        "camera snapshot",
        max_length=500,
        blank=True,
        validators=[validate_printer_address],
        help_text="An address that sends a picture.",
    )
    out_of_order_since = models.DateTimeField(null=True, blank=True)
    out_of_order_why = models.CharField("why it is out of order", max_length=500, blank=True)

    def __str__(self) -> str:
        return self.name or f"Printer {self.pk}"


class LastSeen(models.Model):
    """What was last seen of a printer: written on adding, on its page, by an action, and by whoever polls.

    Who polls writes what has changed alone: the moments are those of the last change, or of the last look by a person.
    """

    printer = models.OneToOneField(
        "printers.Printer", on_delete=models.CASCADE, primary_key=True, related_name="last_seen", db_constraint=False
    )
    state = models.CharField(max_length=20, choices=State)
    since = models.DateTimeField(help_text="When this state began.")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When the server last answered; empty for never.")
    asked_at = models.DateTimeField(help_text="When it was last asked.")
    file = models.CharField(max_length=1000, blank=True)
    progress = models.FloatField(null=True, blank=True, help_text="In per cent.")
    ends_at = models.DateTimeField(null=True, blank=True)
    temperatures = models.JSONField(default=dict, blank=True, help_text="By part, such as tool0: actual and target.")
    message = models.CharField(max_length=1000, blank=True, help_text="What the machine or its server says.")
    misses = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Looks in a row that nobody answered; three are enough."
    )
    waits = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="How the print ended that nobody signed off."
    )

    class Meta:
        verbose_name_plural = "last seen"

    @property
    def shown(self) -> State:
        return shown(State(self.state), self.progress, self.waits)

    def is_of(self, last: timedelta) -> bool:
        """Whether it was asked in this last time. A moment that is to come was written by a clock that was wrong."""
        return timedelta() <= timezone.now() - self.asked_at < last

    def __str__(self) -> str:
        return f"{State(self.state).word} since {self.since:%Y-%m-%d %H:%M}"


class Draft(models.Model):
    """What somebody has typed or uploaded and not saved yet, on its way through several pages.

    Here and not in a page or a cookie, because keys are in it. It goes when it is saved, and after a day.
    """

    class What(models.TextChoices):
        ADD = "add"
        IMPORT = "import"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    what = models.CharField(max_length=10, choices=What)
    made_at = models.DateTimeField(auto_now_add=True)
    data = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    def __str__(self) -> str:
        return f"Draft {self.pk} of user {self.user_id}: {self.what}"


class PrinterGroup(models.Model):
    """Printers that user groups have a role in."""

    name = models.CharField(max_length=200, unique=True)
    printers = models.ManyToManyField("printers.Printer", through="Membership", related_name="printer_groups")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A printer in a group."""

    group = models.ForeignKey(PrinterGroup, on_delete=models.CASCADE, related_name="memberships")
    printer = models.ForeignKey(
        "printers.Printer", on_delete=models.CASCADE, related_name="memberships", db_constraint=False
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "printer"], name="fleet_membership_once")]

    def __str__(self) -> str:
        return f"Printer {self.printer_id} in group {self.group_id}"


class Role(models.Model):
    """What the users of a group may do with the printers of another group; each action includes those before it."""

    class Action(models.TextChoices):
        VIEW = "view", "View"
        OPERATE = "operate", "Operate: start, pause, resume, cancel, out of order"
        MANAGE = "manage", "Manage: edit, delete"

    user_group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="printer_roles")
    printer_group = models.ForeignKey(PrinterGroup, on_delete=models.CASCADE, related_name="roles")
    action = models.CharField(max_length=10, choices=Action)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user_group", "printer_group"], name="fleet_role_once")]

    def __str__(self) -> str:
        return f"{self.user_group} may {self.action} {self.printer_group}"
