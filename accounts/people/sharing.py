"""Who sees whose printers because both belong to one organization."""

from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import Profile
from accounts.people.models import Person


def members() -> "QuerySet[Profile]":
    """Profiles whose organization is the one that staff have confirmed; another text ends it."""
    return Profile.objects.filter(organization=F("person__confirmed_organization")).exclude(organization="")


def sharing_with(user: Any) -> "QuerySet[Profile]":
    """The profiles whose owners let the members of their organization see their printers, `user` among them."""
    mine = members().filter(user=user).values("organization")
    return members().filter(person__shares_printers=True, organization__in=mine)


def confirm(profile: Profile, by: Any) -> bool:
    """Let its organization count as it reads now; False where it has none."""
    if not profile.organization:
        return False
    Person.objects.update_or_create(
        profile=profile,
        defaults={
            "confirmed_organization": profile.organization,
            "confirmed_at": timezone.now(),
            "confirmed_by": by.get_username(),
        },
    )
    return True
