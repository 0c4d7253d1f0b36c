import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import Profile

LIST = "/admin/accounts/profile/"
PASSWORD = "a heron stands in the reeds"


@pytest.fixture
def profile(db: None) -> Profile:
    user = User.objects.create_user("ada")
    return Profile.objects.create(user=user, name="Ada Lovelace", username="ada", organization="Analytical")


@pytest.mark.parametrize("page", ["", "add/", "{pk}/change/", "{pk}/delete/", "{pk}/history/"])
def test_pages_render(page: str, profile: Profile, browser: Client) -> None:
    assert browser.get(LIST + page.format(pk=profile.pk)).status_code == 200


@pytest.mark.parametrize(("query", "found"), [("Ada", True), ("Analyt", True), ("Lovelace", False), ("zuse", False)])
def test_search_finds_beginnings(query: str, found: bool, profile: Profile, browser: Client) -> None:
    response = browser.get(LIST, {"q": query})

    assert (profile in response.context["cl"].result_list) is found


def test_the_list_takes_as_many_queries_for_many_rows_as_for_one(
    profile: Profile, browser: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4) as one:  # session, user, count, rows
        browser.get(LIST)
    for number in range(20):
        Profile.objects.create(user=User.objects.create_user(f"user{number}"))

    with django_assert_num_queries(len(one)):
        browser.get(LIST)


def test_a_second_factor_is_asked_for_on_the_way_to_the_admin_too(db: None) -> None:
    user = User.objects.create_superuser("root", "root@example.org", PASSWORD)
    TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    client = Client(REMOTE_ADDR="192.0.2.77")  # Tries are counted by address, whichever test they are of.

    login = client.post("/admin/login/?next=/admin/", {"username": "root", "password": PASSWORD})
    assert login["Location"] == f"{reverse('account_login')}?next=%2Fadmin%2F"
    asked = client.post(login["Location"], {"login": "root", "password": PASSWORD})

    assert asked["Location"].startswith(reverse("mfa_authenticate"))
    assert "_auth_user_id" not in client.session
