"""The profile that belongs to an account."""

from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import Profile
from core.moves import standing

SOURCE = "portal.Profile"


def are_here() -> bool:
    """Whether the rows of profiles are in this app's table: not before the move has run, nor after it was undone."""
    return standing.uses_of(SOURCE) != "source"


def of(user: Any) -> Profile:
    """The profile of `user`; one is made for whoever came in without (`bulk_create`, SQL)."""
    return Profile.objects.filter(user=user).first() or ensure(user)


def ensure(user: Any) -> Profile:
    """The profile of `user`, made where there is none; two requests at once make one."""
    try:
        with transaction.atomic():
            profile, _ = Profile.objects.get_or_create(
                user=user,
                defaults={
                    "username": user.get_username()[:200],
                    "name": user.get_full_name() or None,
                    "email": user.email or None,
                },
            )
    except IntegrityError:
        profile = Profile.objects.get(user=user)
    return profile


def ensure_later(sender: Any, instance: Any, created: bool, raw: bool = False, **given: Any) -> None:
    """Once an account is committed it gets a profile, unless whoever made it has made one."""
    if created and not raw and are_here():
        transaction.on_commit(lambda: ensure(instance), using=given.get("using"), robust=True)


def keep_confirmed(sender: Any, email_address: Any, **given: Any) -> None:
    """The address that was confirmed last is the profile's."""
    if email_address.primary:
        keep(email_address.user, email_address.email)


def keep_changed(sender: Any, user: Any, to_email_address: Any, **given: Any) -> None:
    keep(user, to_email_address.email)


def keep(user: Any, address: str) -> None:
    if are_here():
        Profile.objects.filter(user=user).update(email=address)
