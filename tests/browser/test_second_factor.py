"""A second factor as somebody uses it: codes of an app, recovery codes, and passkeys, kept by Chromium."""

import base64
import hmac
import struct
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from pytest_django import Settings

from accounts import profiles
from tests.browser.conftest import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "a heron stands in the reeds"
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@pytest.fixture
def maren(transactional_db: None, settings: Settings) -> User:
    settings.CUTOVER_PERCENT = 100
    # On a busy machine a code is older than half a minute when it arrives.
    settings.MFA_TOTP_TOLERANCE = 20
    user = User.objects.create_user("maren", "maren@example.org", PASSWORD)
    profiles.ensure(user)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user


def code(secret: str, later: int = 0) -> str:
    """RFC 6238, as an app on a phone does it; `later` is in steps of half a minute."""
    counter = struct.pack(">Q", int(time.time()) // 30 + later)
    digest = hmac.digest(base64.b32decode(secret), counter, "sha1")
    start = digest[-1] & 15
    number = struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**6:06}"


def sign_in(page: "Page") -> None:
    page.goto("/accounts/login/?next=/profile/")
    page.get_by_label("Login").fill("maren")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def is_in(page: "Page") -> None:
    page.wait_for_url(lambda url: urlsplit(url).path == "/profile/")


def sign_out(page: "Page") -> None:
    page.goto("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign Out").click()
    page.wait_for_url(lambda url: urlsplit(url).path == "/accounts/login/")


def test_codes_of_an_app_and_recovery_codes(maren: User, visit: Visit) -> None:
    page = visit("/accounts/2fa/totp/activate/", maren)
    secret = page.get_by_label("Authenticator secret").input_value()
    page.get_by_label("Authenticator code").fill("000000")
    page.get_by_role("button", name="Activate").click()
    page.get_by_text("Incorrect code").wait_for()
    assert page.get_by_label("Authenticator secret").input_value() == secret

    page.get_by_label("Authenticator code").fill(code(secret))
    page.get_by_role("button", name="Activate").click()
    recovery = page.locator("textarea").input_value().split()
    assert len(recovery) == 10

    sign_out(page)
    sign_in(page)
    page.get_by_label("Code").fill(code(secret, later=1))
    page.get_by_role("button", name="Sign In", exact=True).click()
    is_in(page)

    sign_out(page)
    sign_in(page)
    page.get_by_label("Code").fill(code(secret, later=1))
    page.get_by_role("button", name="Sign In", exact=True).click()
    page.get_by_text("Incorrect code").wait_for()  # A code works once.
    page.get_by_label("Code").fill(recovery[0])
    page.get_by_role("button", name="Sign In", exact=True).click()
    is_in(page)
    assert page.get_by_text("9 recovery codes").is_visible()


def test_a_passkey_signs_in_without_a_password(maren: User, visit: Visit) -> None:
    page = visit("/accounts/2fa/webauthn/add/", maren)
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    device = devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})["authenticatorId"]
    page.get_by_label("Name").fill("Phone")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/webauthn/add/"))

    [kept] = devices.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
    assert (kept["rpId"], kept["isResidentCredential"]) == ("localhost", True)
    assert Authenticator.objects.filter(user=maren, type=Authenticator.Type.WEBAUTHN).count() == 1
    page.goto("/profile/")
    assert page.get_by_text("Phone").is_visible()

    sign_out(page)
    page.goto("/accounts/login/?next=/profile/")
    page.get_by_role("button", name="Use a passkey").click()
    is_in(page)
    assert page.get_by_text("Phone").is_visible()

    sign_out(page)
    sign_in(page)
    page.get_by_role("button", name="Use a security key").click()  # After the password it is the second factor.
    is_in(page)


def test_a_passkey_that_is_not_known_signs_nobody_in(maren: User, visit: Visit) -> None:
    page = visit("/accounts/2fa/webauthn/add/", maren)
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    page.get_by_label("Name").fill("Lost phone")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url(lambda url: not url.endswith("/webauthn/add/"))
    sign_out(page)
    Authenticator.objects.all().delete()

    page.get_by_role("button", name="Use a passkey").click()

    page.get_by_text("Incorrect code").or_(page.get_by_role("alert")).first.wait_for()
    page.goto("/profile/")
    assert "/accounts/login/" in page.url
