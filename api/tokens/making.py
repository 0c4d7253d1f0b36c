from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from api.models import Token


class NameTaken(Exception):
    """Somebody has a token of this name already."""


def make(user: Any, name: str, *, writes: bool, lasts: timedelta) -> tuple[Token, str]:
    """A token and its text, which is kept nowhere. Raises NameTaken, also where two are made at once."""
    try:
        with transaction.atomic():
            token, text = Token.objects.create(user, expiry=lasts, name=name, writes=writes)
    except IntegrityError:
        raise NameTaken from None
    return token, text


def of(user: Any) -> "QuerySet[Token]":
    """Newest first; those that have ended too."""
    return Token.objects.filter(user=user).order_by("-created")


def revoke(user: Any, name: str) -> bool:
    """At once and for good; False where `user` has none of this name."""
    deleted, _ = Token.objects.filter(user=user, name=name).delete()
    return bool(deleted)
