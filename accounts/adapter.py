import logging
import smtplib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.invitations import SESSION_KEY

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    """As allauth does it, but for people who had an account before it came, and for those who are invited."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return settings.SIGN_UP_OPEN or SESSION_KEY in request.session

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """To the invitation that somebody came with, also where they had to make an account and open a mail first."""
        token = request.session.pop(SESSION_KEY, None)
        return reverse("claim", args=[token]) if token else str(super().get_login_redirect_url(request))

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Of something that is done already, and stays done where no mail goes out."""
        try:
            super().send_notification_mail(*args, **kwargs)
        except (OSError, smtplib.SMTPException):
            logger.exception("Somebody was not told of a change of their account.")

    def get_login_stages(self) -> list[str]:
        own = f"{KnownBefore.__module__}.{KnownBefore.__qualname__}"
        theirs = f"{EmailVerificationStage.__module__}.{EmailVerificationStage.__qualname__}"
        return [own if stage == theirs else stage for stage in super().get_login_stages()]


class KnownBefore(EmailVerificationStage):
    """Whoever has no address in allauth's table signed up with the monolith, maybe without any, and is let in."""

    def handle(self):  # type: ignore[no-untyped-def]
        # Without a user, somebody signs up with another's address, and must not learn that.
        if self.login.user and not EmailAddress.objects.filter(user=self.login.user).exists():
            return None, True
        return super().handle()
