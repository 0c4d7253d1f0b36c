"""Who is signed in."""

from allauth.account.internal.flows.login import record_authentication
from django.contrib.auth.models import User
from django.test import Client, RequestFactory


def sign_in(client: Client, user: User) -> None:
    """As somebody who has just typed the password, and isn't asked for it again."""
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    request = RequestFactory().get("/")
    request.session = client.session
    record_authentication(request, user, method="password", reauthenticated=True)
    request.session.save()
