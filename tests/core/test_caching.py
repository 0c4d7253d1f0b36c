"""What somebody who is logged in has seen stays in no cache."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.test_url_map import account_addresses

SEEN = ("account_email", "account_change_password", "mfa_index", "usersessions_list", "account_logout")


@pytest.mark.django_db
@pytest.mark.parametrize("name", SEEN)
def test_pages_of_installed_apps_as_well(name: str, client: Client) -> None:
    client.force_login(User.objects.create_user("maren", password="a heron stands in the reeds"))

    assert "no-store" in client.get(account_addresses()[name])["Cache-Control"]


@pytest.mark.django_db
def test_a_page_for_strangers_may_be_kept(client: Client) -> None:
    assert "no-store" not in client.get("/accounts/password/reset/").headers.get("Cache-Control", "")
