"""Who asks: somebody who is signed in with a browser, or a program with a token."""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from knox.settings import CONSTANTS
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from api.models import Token

NOTED_EVERY = timedelta(minutes=1)
"""So that reading is not writing."""
REFUSED = "The token is not known, has ended, or was revoked. Make another on the page of your tokens."


class TokenAuthentication(KnoxAuthentication):
    """`Authorization: Bearer pf_…`. One query; ended tokens stay, so that their owner sees when they ended."""

    def authenticate(self, request: Request) -> Any:
        found = super().authenticate(request)
        if found:
            # Where logs and faults look for who asks: they ask nobody themselves.
            request._request._cached_user = found[0]
        return found

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Token]:
        found = find(token)
        if found is None:
            raise exceptions.AuthenticationFailed(REFUSED, "sentence")
        note_use(found)
        return found.user, found


class SessionAuthentication(authentication.SessionAuthentication):
    """As pages do it: what writes needs the token of a form, here in the header X-CSRFToken."""


def find(text: bytes) -> Token | None:
    """A token that is in force, of somebody who may sign in."""
    try:
        digest = hash_token(text.decode("ascii"))
    except ValueError:
        return None
    beginning = text.decode("ascii")[: CONSTANTS.TOKEN_KEY_LENGTH]
    known = Token.objects.select_related("user").filter(digest=digest, token_key=beginning, user__is_active=True)
    found = known.first()
    return None if found is None or found.has_ended else found


def note_use(token: Token) -> None:
    now = timezone.now()
    if token.last_used_at and token.last_used_at > now - NOTED_EVERY:
        return
    old = Q(last_used_at=None) | Q(last_used_at__lte=now - NOTED_EVERY)
    Token.objects.filter(old, pk=token.pk).update(last_used_at=now)
