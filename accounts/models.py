from django.conf import settings
from django.db import models


class Profile(models.Model):
    """Somebody who owns printers; older profiles have no account to log in with."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="profile"
    )
    name = models.CharField(max_length=200, null=True, blank=True)
    username = models.CharField(max_length=200, null=True, blank=True)
    organization = models.CharField(max_length=200, null=True, blank=True)
    email = models.EmailField(max_length=500, null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["organization"], name="accounts_profile_org_idx")]

    def __str__(self) -> str:
        return self.name or self.username or f"Profile {self.pk}"
