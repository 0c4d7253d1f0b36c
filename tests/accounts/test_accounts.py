"""People: sign up, profile, the look of pages, invitations to older profiles, and who shares printers with whom."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.core import mail, signing
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts import invitations, profiles
from accounts.invitations import NotClaimed
from accounts.models import Profile
from accounts.people import sharing
from accounts.people.models import Person
from printers.models import Printer

pytestmark = pytest.mark.django_db
PASSWORD = "a heron stands in the reeds"


@pytest.fixture(autouse=True)
def _limits() -> None:
    """Rates are counted in the cache, for an address and a host, whichever test they are of."""
    cache.clear()


def signed_in(name: str, **values: Any) -> tuple[Client, User]:
    user = User.objects.create_user(name, password=PASSWORD, **values)
    profiles.ensure(user)
    client = Client()
    client.force_login(user)
    return client, user


def link_in(message: str) -> str:
    found = re.search(r"https?://[^/\s]+(/\S+)", message)
    assert found, message
    return found[1]


def test_from_sign_up_to_the_own_profile(django_capture_on_commit_callbacks: Any) -> None:
    client = Client()
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(reverse("account_signup"), {"email": "maren@example.org", "password1": PASSWORD})
    assert answer.url == reverse("account_email_verification_sent")
    assert Profile.objects.get(user__email="maren@example.org").email == "maren@example.org"
    assert client.get(reverse("profile")).status_code == 302, "nobody is in before the address is confirmed"

    client.post(link_in(mail.outbox[0].body))
    client.post(reverse("account_login"), {"login": "maren@example.org", "password": PASSWORD})

    assert client.get(reverse("profile")).status_code == 200


def test_a_second_sign_up_with_an_address_says_nothing_of_the_first() -> None:
    user = User.objects.create_user("maren", "maren@example.org")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)

    answer = Client().post(reverse("account_signup"), {"email": user.email, "password1": PASSWORD})

    assert answer.url == reverse("account_email_verification_sent")
    assert User.objects.count() == 1


@pytest.mark.parametrize("email", ["", "old@example.org"])
def test_accounts_of_the_monolith_sign_in_as_before(email: str) -> None:
    User.objects.create_user("old hand", email, PASSWORD)
    client = Client()

    client.post(reverse("account_login"), {"login": "old hand", "password": PASSWORD})

    assert client.get(reverse("profile")).status_code == 200


def test_too_many_wrong_passwords_have_to_wait() -> None:
    User.objects.create_user("maren", password=PASSWORD)
    client = Client()
    for _ in range(6):
        client.post(reverse("account_login"), {"login": "maren", "password": "wrong"})

    client.post(reverse("account_login"), {"login": "maren", "password": PASSWORD})

    assert "_auth_user_id" not in client.session


def test_a_forgotten_password_is_set_anew_by_a_link() -> None:
    user = User.objects.create_user("maren", "maren@example.org", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    client = Client()
    client.post(reverse("account_reset_password"), {"email": user.email})

    form = client.get(link_in(mail.outbox[0].body), follow=True).redirect_chain[-1][0]
    client.post(form, {"password1": "another heron in the reeds", "password2": "another heron in the reeds"})

    user.refresh_from_db()
    assert user.check_password("another heron in the reeds")


def test_every_account_gets_a_profile_once_it_is_committed(django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        maren = User.objects.create_user("maren", first_name="Maren", last_name="Okafor")
        old = User.objects.create_user("old hand")
        Profile.objects.create(user=old, name="Who made one himself")

    assert Profile.objects.get(user=maren).name == "Maren Okafor"
    assert Profile.objects.get(user=old).name == "Who made one himself"


def test_a_profile_is_saved_and_a_new_address_waits_for_its_link() -> None:
    client, user = signed_in("maren", email="maren@example.org")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    data = {"name": "Maren", "organization": "Coast Works", "email": "new@example.org", "shares_printers": "on"}

    client.post(reverse("profile"), data)

    profile = Profile.objects.get(user=user)
    assert (profile.name, profile.organization) == ("Maren", "Coast Works")
    assert profile.email == "maren@example.org"
    assert Person.objects.get(profile=profile).shares_printers
    client.post(link_in(mail.outbox[0].body))
    profile.refresh_from_db()
    user.refresh_from_db()
    assert profile.email == user.email == "new@example.org"
    assert mail.outbox[-1].to == ["maren@example.org"], "whose address it was is told"


def test_a_password_is_changed_also_where_no_mail_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    client, user = signed_in("maren", email="maren@example.org")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    new = "a kestrel stands in the wind"
    change = {"oldpassword": PASSWORD, "password1": new, "password2": new}

    def away(*given: Any, **options: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("allauth.account.adapter.DefaultAccountAdapter.send_mail", away)

    assert client.post(reverse("account_change_password"), change).status_code == 302
    user.refresh_from_db()
    assert user.check_password(new)


def test_nobody_has_the_portal_write_to_many_strangers() -> None:
    client, user = signed_in("maren", email="maren@example.org")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)

    answers = [client.post(reverse("profile"), {"email": f"{n}@example.org"}) for n in range(12)]

    assert len(mail.outbox) == 10
    assert "You have given many addresses" in answers[-1].content.decode()
    assert client.post(reverse("profile"), {"name": "Maren", "email": user.email}).status_code == 302


def test_what_was_typed_stays_where_a_field_is_wrong() -> None:
    client, user = signed_in("maren")

    page = client.post(reverse("profile"), {"name": "Maren", "email": "no address"}).content.decode()

    assert 'value="Maren"' in page
    assert 'value="no address"' in page
    assert Profile.objects.get(user=user).name is None


def test_the_look_of_pages_is_kept_and_comes_back_with_the_next_login() -> None:
    client, user = signed_in("maren")
    client.post(reverse("profile-look"), {"theme": "dark", "density": "compact", "time_zone": "Asia/Tehran"})
    again = Client()
    again.force_login(user)

    for browser in (client, again):
        page = browser.get(reverse("profile")).content.decode()
        assert 'data-theme="dark"' in page
        assert 'data-density="compact"' in page
        assert "Times are yours: Asia/Tehran" in page


# ----- older profiles are claimed


@pytest.fixture
def older() -> Profile:
    profile = Profile.objects.create(name="Old Coast", email="coast@example.org")
    Printer.objects.create(profile=profile, ip_address="192.0.2.1", api_key="k")
    return profile


def test_an_invitation_gives_a_profile_and_its_printers_to_whoever_opens_it(older: Profile) -> None:
    invitations.send(older)
    client, user = signed_in("maren", first_name="Maren")
    own = Profile.objects.get(user=user)
    Printer.objects.create(profile=own, ip_address="192.0.2.2", api_key="k")
    link = link_in(mail.outbox[0].body)
    assert mail.outbox[0].to == ["coast@example.org"]

    assert "Old Coast" in client.get(link).content.decode()
    older.refresh_from_db()
    assert older.user is None, "opening a link changes nothing"
    client.post(link)

    older.refresh_from_db()
    assert (older.user, older.name) == (user, "Old Coast")
    assert older.printers.count() == 2
    assert not Profile.objects.filter(pk=own.pk).exists()


def test_an_account_that_claims_a_profile_keeps_its_look_and_its_clock(older: Profile) -> None:
    """Quiet hours of alerts are by that clock."""
    client, user = signed_in("maren")
    client.post(reverse("profile-look"), {"theme": "dark", "time_zone": "Asia/Tehran"})
    Person.objects.update(shares_printers=True, confirmed_organization="Another")

    invitations.claim(invitations.token_for(older), user)

    person = Person.objects.get(profile__user=user)
    assert (person.theme, person.time_zone) == ("dark", "Asia/Tehran")
    assert (person.shares_printers, person.confirmed_organization) == (False, "")


def test_whoever_has_no_account_yet_comes_back_to_the_invitation(older: Profile) -> None:
    claim = reverse("claim", args=[invitations.token_for(older)])
    client = Client()
    client.get(claim)
    client.post(reverse("account_signup"), {"email": "coast@example.org", "password1": PASSWORD, "next": claim})

    confirmed = client.post(link_in(mail.outbox[0].body))
    signed_in = client.post(confirmed["Location"], {"login": "coast@example.org", "password": PASSWORD})

    assert signed_in["Location"] == claim
    client.post(claim)
    assert Profile.objects.get(pk=older.pk).user == User.objects.get(email="coast@example.org")


def test_where_accounts_are_made_by_invitation_an_invitation_is_enough(older: Profile, settings: Any) -> None:
    settings.SIGN_UP_OPEN = False
    stranger, invited = Client(), Client()
    sign_up = {"email": "coast@example.org", "password1": PASSWORD}

    assert "Accounts are made by invitation" in stranger.post(reverse("account_signup"), sign_up).content.decode()
    assert not User.objects.exists()
    stranger.get(reverse("claim", args=["no-invitation"]))
    assert "Accounts are made by invitation" in stranger.get(reverse("account_signup")).content.decode()

    invited.get(reverse("claim", args=[invitations.token_for(older)]))
    invited.post(reverse("account_signup"), sign_up)
    assert User.objects.filter(email="coast@example.org").exists()


def test_an_invitation_works_once(older: Profile) -> None:
    token = invitations.token_for(older)
    (_, first), (second, other) = signed_in("first"), signed_in("second")
    invitations.claim(token, first)

    assert "has an account already" in second.post(reverse("claim", args=[token])).content.decode()
    assert Profile.objects.get(user=other).printers.count() == 0
    with pytest.raises(NotClaimed, match="has an account already"):
        invitations.send(Profile.objects.get(pk=older.pk))


def test_a_used_invitation_stays_used_when_staff_take_the_account_away(older: Profile) -> None:
    tokens = invitations.token_for(older), invitations.token_for(older)
    invitations.claim(tokens[0], signed_in("first")[1])
    Profile.objects.update(user=None)

    client, user = signed_in("second")
    for token in tokens:
        assert "was used already" in client.post(reverse("claim", args=[token])).content.decode()
    assert Profile.objects.get(pk=older.pk).user is None

    older.refresh_from_db()
    client.post(reverse("claim", args=[invitations.token_for(older)]))
    assert Profile.objects.get(pk=older.pk).user == user


@pytest.mark.parametrize("change", ["another address", "cut", "too old"])
def test_an_invitation_that_is_not_good_any_more_says_why(
    older: Profile, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = invitations.token_for(older)
    if change == "another address":
        Profile.objects.update(email="other@example.org")
    elif change == "cut":
        token = token[:-3]
    else:
        monkeypatch.setattr(signing.time, "time", lambda: 2**33)
    client, _ = signed_in("maren")

    page = client.post(reverse("claim", args=[token])).content.decode()

    assert "This invitation does not work" in page
    assert Profile.objects.get(pk=older.pk).user is None


# ----- an organization shares its printers


def member(name: str, organization: str, *, shares: bool = False, confirmed: bool = True) -> User:
    user = User.objects.create_user(name)
    profile = Profile.objects.create(user=user, organization=organization)
    Person.objects.create(profile=profile, shares_printers=shares)
    if confirmed:
        sharing.confirm(profile, user)
    Printer.objects.create(profile=profile, ip_address=f"192.0.2.{profile.pk % 250}", api_key=name)
    return user


def seen(user: User, action: str = "view") -> set[str]:
    return set(Printer.objects.for_user(user, action).values_list("api_key", flat=True))


def test_confirmed_members_see_what_owners_share_and_change_nothing() -> None:
    member("owner", "Coast Works", shares=True)
    member("keeps his own", "Coast Works")
    member("elsewhere", "Fjord Works", shares=True)
    colleague = member("colleague", "Coast Works")

    assert seen(colleague) == {"colleague", "owner"}
    assert seen(colleague, "operate") == seen(colleague, "manage") == {"colleague"}


@pytest.mark.parametrize("typed", ["by who looks", "by who shares"])
def test_an_organization_that_was_only_typed_counts_for_nothing(typed: str) -> None:
    member("owner", "Coast Works", shares=True, confirmed=typed != "by who shares")
    stranger = member("stranger", "Coast Works", confirmed=typed != "by who looks")

    assert seen(stranger) == {"stranger"}


def test_another_text_ends_the_confirmation_also_when_it_comes_from_the_old_side() -> None:
    member("owner", "Coast Works", shares=True)
    colleague = member("colleague", "Fjord Works")
    Profile.objects.filter(user=colleague).update(organization="Coast Works")

    assert seen(colleague) == {"colleague"}


def test_without_an_organization_nobody_is_a_colleague() -> None:
    member("owner", "", shares=True)

    assert seen(member("other", "")) == {"other"}
