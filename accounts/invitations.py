"""Older profiles have no account: staff send a link, and whoever opens it and signs in takes the profile over.

The link is signed and says which profile it is for. It works once, also where staff take the account away again: with
the first use of any link to a profile, all links that were sent until then have ended.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Profile
from accounts.people.models import Person

SALT = "accounts.invitation"
SESSION_KEY = "invitation"
"""Of the link that somebody has opened who is not signed in yet."""
VALID = timedelta(days=14)
LOOK = ("theme", "density", "time_zone")


class NotClaimed(Exception):  # noqa: N818  A sentence for whoever opened the link.
    pass


@dataclass(frozen=True)
class Merged:
    """Which fields of the older profile were empty, and are filled from the account's own."""

    profile: Profile
    filled: tuple[str, ...]


def token_for(profile: Profile) -> str:
    return signing.dumps([profile.pk, profile.email, claims_of(profile)], salt=SALT)


def claims_of(profile: Profile) -> int:
    """How often it was claimed, which is in a table that nothing is moved from."""
    return Person.objects.filter(profile=profile).values_list("claims", flat=True).first() or 0


def send(profile: Profile) -> None:
    """Raises NotClaimed where there is nobody to send it to, or nothing to claim; OSError where mail can't be sent."""
    if profile.user_id:
        raise NotClaimed(f"{profile} has an account already.")
    if not profile.email:
        raise NotClaimed(f"{profile} has no e-mail address; give it one first.")
    url = settings.PORTAL_URL.rstrip("/") + reverse("claim", args=[token_for(profile)])
    text = render_to_string("accounts/invitation.txt", {"profile": profile, "url": url, "days": VALID.days})
    send_mail("Your printers have an account for you", text, None, [profile.email])


def find(token: str) -> Profile:
    """The profile that a link is for. Raises NotClaimed for one that is wrong, too old, used or for another address."""
    try:
        pk, email, claims = signing.loads(token, salt=SALT, max_age=VALID)
    except signing.SignatureExpired:
        raise NotClaimed("This invitation is too old. Ask staff for another one.") from None
    except (signing.BadSignature, ValueError, TypeError):
        raise NotClaimed("This is no invitation. Open the whole link of the mail.") from None
    profile = Profile.objects.filter(pk=pk, email=email).first()
    if profile is None:
        raise NotClaimed("This invitation is for another address than the profile has now. Ask staff for another one.")
    if profile.user_id:
        raise NotClaimed("This profile has an account already. Sign in with that account.")
    if claims != claims_of(profile):
        raise NotClaimed("This invitation was used already. Ask staff for another one.")
    return profile


def claim(token: str, user: Any) -> Merged:
    """Give the profile to `user`, with the printers of the profile that the account had until now.

    All or nothing. Raises NotClaimed as `find` does, also for whoever comes second.
    """
    with transaction.atomic():
        Profile.objects.select_for_update(of=["self"]).filter(pk=find(token).pk).first()
        profile = find(token)  # Again, for whoever was first has had the lock.
        own = Profile.objects.select_for_update(of=["self"]).filter(user=user).first()
        kept = look_of(own) if own else {}
        filled = take_over(own, profile) if own else ()
        profile.user = user
        profile.save(update_fields=["user", *filled])
        Person.objects.update_or_create(profile=profile, defaults=kept | {"claims": claims_of(profile) + 1})
    return Merged(profile, filled)


def look_of(own: Profile) -> dict[str, Any]:
    """How pages look for the account, and its time zone, by which alerts are quiet. What others may see is the older
    profile's.
    """
    return Person.objects.filter(profile=own).values(*LOOK).first() or {}


def take_over(own: Profile, profile: Profile) -> tuple[str, ...]:
    """Move what the account has to the older profile, whose own words stay."""
    filled = []
    for name in ("name", "username", "organization", "province"):
        if not getattr(profile, name) and getattr(own, name):
            setattr(profile, name, getattr(own, name))
            filled.append(name)
    own.printers.update(profile=profile)  # type: ignore[attr-defined]  Another app's, by its related name.
    own.delete()
    return tuple(filled)
