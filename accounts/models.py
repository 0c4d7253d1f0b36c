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
    # The database keeps a province that people live in; PROTECT says so before it has to.
    province = models.ForeignKey(
        "core.Province", on_delete=models.PROTECT, null=True, blank=True, related_name="profiles"
    )

    class Meta:
        indexes = [models.Index(fields=["organization"], name="accounts_profile_org_idx")]

    def __str__(self) -> str:
        return self.name or self.username or f"Profile {self.pk}"
