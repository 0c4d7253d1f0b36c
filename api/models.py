from django.conf import settings
from django.db import models
from django.utils import timezone
from knox.models import AbstractAuthToken


class Token(AbstractAuthToken):
    """What a program signs in with. Its text is shown once; a hash of it is kept."""

    name = models.CharField(max_length=80, help_text="What it is for.")
    writes = models.BooleanField(default=False, help_text="Whether it may change things, or only read.")
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="api_token_once")]

    def __str__(self) -> str:
        return f"{self.name} of user {self.user_id}"  # Not what knox writes: the hash is nobody's business.

    @property
    def has_ended(self) -> bool:
        return self.expiry is not None and self.expiry <= timezone.now()


class Report(models.Model):
    """A status that an agent has sent under a key: when it comes again, it was kept already."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    printer = models.ForeignKey("printers.Printer", on_delete=models.CASCADE, related_name="+", db_constraint=False)
    key = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, help_text="Of what was sent.")
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "printer", "key"], name="api_report_once")]

    def __str__(self) -> str:
        return f"Report on printer {self.printer_id} at {self.at:%Y-%m-%d %H:%M:%S}"
