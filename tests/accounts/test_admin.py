import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Profile

LIST = "/admin/accounts/profile/"


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
