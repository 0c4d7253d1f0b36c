"""The old names in the admin: there while the old tables are in use, and gone once their moves are retired."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from core.moves import standing
from portal.models import Printer, Profile
from rehome.models import Phase

pytestmark = pytest.mark.django_db
PAGES = ["printer/", "printer/add/", "profile/", "printer/{pk}/change/", "printer/{pk}/delete/"]


@pytest.fixture
def printer() -> Printer:
    profile = Profile.objects.create(name="Ada")
    return Printer.objects.create(profile=profile, ip_address="192.0.2.7", api_key="rosebud-rosebud")


def retire(*models: str) -> None:
    for model in models:
        standing._remembered[f"portal.{model}"] = float("inf"), Phase.RETIRED


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_there_without_keys_while_both_tables_are_in_use(
    page: str, browser: Client, printer: Printer
) -> None:
    response = browser.get(f"/admin/portal/{page.format(pk=printer.pk)}")

    assert response.status_code == 200
    assert "rosebud" not in response.content.decode()


def test_a_key_is_kept_where_none_is_typed(browser: Client, printer: Printer) -> None:
    sent = {"profile": printer.profile_id, "ip_address": "192.0.2.7", "api_key": "", "printing": "on"}

    assert browser.post(f"/admin/portal/printer/{printer.pk}/change/", sent).status_code == 302

    printer.refresh_from_db()
    assert (printer.printing, printer.api_key) == (True, "rosebud-rosebud")


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_gone_after_retirement(page: str, browser: Client, printer: Printer) -> None:
    retire("Printer", "Profile")

    assert browser.get(f"/admin/portal/{page.format(pk=printer.pk)}").status_code == 403


def test_the_name_is_gone_from_the_list_of_apps(browser: Client) -> None:
    name = "Portal (before the move)"
    assert name in browser.get("/admin/").content.decode()

    retire("Printer")
    assert name in browser.get("/admin/").content.decode()  # The other model is in use still.
    retire("Profile")
    assert name not in browser.get("/admin/").content.decode()
    assert browser.get("/admin/portal/").status_code == 404


@pytest.mark.parametrize("page", ["/admin/auth/group/add/", "/admin/auth/user/{pk}/change/"])
def test_no_permission_on_it_is_offered_any_more(page: str, browser: Client, superuser: object) -> None:
    path = page.format(pk=superuser.pk)  # type: ignore[attr-defined]
    old = Permission.objects.filter(content_type__app_label="portal", codename="change_printer")
    assert old.exists()
    assert "(before the move) | printer" in browser.get(path).content.decode().lower()

    retire("Printer", "Profile")

    assert "(before the move) | printer" not in browser.get(path).content.decode().lower()
