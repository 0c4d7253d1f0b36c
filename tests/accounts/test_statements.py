"""How many statements the pages of accounts take: the same for ten printers and for a thousand."""

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import profiles
from tests.browser.people import sign_in
from tests.printers.pages.test_listing import fill

pytestmark = pytest.mark.django_db

PINNED = {
    "/profile/": 10,
    "/profile/tokens/": 3,
    "/accounts/email/": 6,
    "/accounts/password/change/": 2,
    "/accounts/sessions/": 3,
    "/accounts/2fa/": 4,
    "/accounts/2fa/totp/activate/": 11,
    "/accounts/2fa/webauthn/": 3,
    "/accounts/2fa/webauthn/add/": 12,
    "/accounts/logout/": 2,
}
"""Session and user are the first two; who makes a second factor must have typed the password a short while ago."""
FOR_ANYBODY = {"/accounts/login/": 0, "/accounts/signup/": 0, "/accounts/password/reset/": 0}


@pytest.fixture
def maren(db: None) -> User:
    cache.clear()
    user = User.objects.create_user("maren", "maren@example.org", "a heron stands in the reeds")
    profiles.ensure(user)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    for name in ("Crew", "Hall A"):
        user.groups.add(Group.objects.create(name=name))
    return user


@pytest.mark.parametrize("count", [10, 1000])
def test_a_page_takes_as_many_however_many_printers_there_are(
    count: int, maren: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(maren, count)
    client, anybody = Client(), Client()
    sign_in(client, maren)
    client.get("/profile/")
    for who, pages in ((client, PINNED), (anybody, FOR_ANYBODY)):
        for path, number in pages.items():
            with django_assert_num_queries(number, info=path):
                assert who.get(path).status_code == 200, path


@pytest.mark.long
def test_many_devices_take_no_more(maren: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client = Client()
    sign_in(client, maren)
    client.get("/profile/")
    for number in range(30):
        other = Client(headers={"User-Agent": f"Browser {number}"})
        sign_in(other, maren)
        other.get("/profile/")
    Authenticator.objects.bulk_create(
        Authenticator(user=maren, type=Authenticator.Type.WEBAUTHN, data={"name": f"Key {n}"}) for n in range(30)
    )

    for path in ("/profile/", "/accounts/sessions/"):
        with django_assert_num_queries(PINNED[path], info=path):
            assert client.get(path).status_code == 200
