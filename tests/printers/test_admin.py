import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Profile
from printers.fleet.models import Membership, PrinterGroup
from printers.models import Printer

LIST = "/admin/printers/printer/"
NO_MACHINE = {"machine-TOTAL_FORMS": "0", "machine-INITIAL_FORMS": "0"}


@pytest.fixture
def printer(db: None) -> Printer:
    profile = Profile.objects.create(name="Ada")
    return Printer.objects.create(profile=profile, ip_address="192.0.2.7", api_key="k" * 32, printing=True)


@pytest.mark.parametrize("page", ["", "add/", "{pk}/change/", "{pk}/delete/", "{pk}/history/"])
def test_pages_render(page: str, printer: Printer, browser: Client) -> None:
    assert browser.get(LIST + page.format(pk=printer.pk)).status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "192.0.2.7"}, True),
        ({"q": "192.0.2"}, False),
        ({"printing__exact": "1"}, True),
        ({"printing__exact": "0"}, False),
    ],
)
def test_search_and_filters(query: dict[str, str], found: bool, printer: Printer, browser: Client) -> None:
    response = browser.get(LIST, query)

    assert (printer in response.context["cl"].result_list) is found


def test_an_owner_is_found_by_typing(printer: Printer, browser: Client) -> None:
    field = {"app_label": "printers", "model_name": "printer", "field_name": "profile", "term": "Ad"}

    response = browser.get("/admin/autocomplete/", field)

    assert response.json()["results"] == [{"id": str(printer.profile_id), "text": "Ada"}]


def test_a_printer_is_added(browser: Client, db: None) -> None:
    browser.post(LIST + "add/", NO_MACHINE | {"ip_address": "https://printer.example.com/", "api_key": "secret"})

    added = Printer.objects.get()
    assert (added.ip_address, added.profile, added.ping) == ("https://printer.example.com/", None, False)


def test_a_wrong_address_is_explained(browser: Client, db: None) -> None:
    response = browser.post(LIST + "add/", {"ip_address": "printer.local", "api_key": "secret"})

    assert "is not a printer&#x27;s address" in response.content.decode()
    assert not Printer.objects.exists()


def test_the_list_takes_as_many_queries_for_many_rows_as_for_one(
    printer: Printer, browser: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4) as one:  # session, user, count, rows
        browser.get(LIST)
    for number in range(20):
        profile = Profile.objects.create(name=f"Owner {number}")
        Printer.objects.create(profile=profile, ip_address=f"192.0.2.{number + 10}", api_key="k")

    with django_assert_num_queries(len(one)):
        browser.get(LIST)


def test_names_and_passwords_are_edited_along_and_passwords_are_not_shown(printer: Printer, browser: Client) -> None:
    machine = {"machine-TOTAL_FORMS": "1", "machine-INITIAL_FORMS": "0", "machine-0-printer": str(printer.pk)}
    words = {"machine-0-name": "Heron", "machine-0-kind": "prusalink", "machine-0-password": "a secret of PrusaLink"}
    browser.post(f"{LIST}{printer.pk}/change/", {"ip_address": "192.0.2.7", "api_key": ""} | machine | words)

    page = browser.get(f"{LIST}{printer.pk}/change/").content.decode()
    kept = Printer.objects.whole().get()
    assert (kept.name, kept.machine.password, kept.api_key) == ("Heron", "a secret of PrusaLink", "k" * 32)
    assert "Heron" in page
    assert "a secret of PrusaLink" not in page
    assert "k" * 32 not in page


def test_export_is_without_keys_and_import_leads_to_the_one_that_asks(printer: Printer, browser: Client) -> None:
    assert browser.get(LIST + "export/").status_code == 200
    response = browser.post(LIST + "export/", {"format": "0", "resource": "0"})

    assert response["Content-Type"].startswith("text/csv")
    assert "192.0.2.7" in response.content.decode()
    assert "k" * 32 not in response.content.decode()
    assert browser.get(LIST + "import/")["Location"] == "/printers/import/"


def test_groups_of_printers_and_roles(printer: Printer, browser: Client) -> None:
    assert browser.get("/admin/fleet/printergroup/add/").status_code == 200


GROUP, MEMBERS = "/admin/fleet/printergroup/{}/change/", "/admin/fleet/membership/"


@pytest.fixture
def hall(db: None) -> PrinterGroup:
    """With as many printers as a large farm has in one."""
    hall = PrinterGroup.objects.create(name="Hall A")
    printers = Printer.objects.bulk_create(Printer(ip_address=f"192.0.2.7:{n}", api_key="k") for n in range(1, 501))
    Membership.objects.bulk_create(Membership(group=hall, printer=printer) for printer in printers)
    return hall


def test_a_group_of_many_printers_is_renamed_and_takes_one_more(
    hall: PrinterGroup, printer: Printer, browser: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(10):
        page = browser.get(GROUP.format(hall.pk))
    assert "500 in it" in page.content.decode()
    # As a browser sends the form of the page.
    sent = {"name": "Hall B", "memberships-0-printer": str(printer.pk), "memberships-0-group": str(hall.pk)}
    for formset in page.context["inline_admin_formsets"]:
        management = formset.formset.management_form
        sent |= {management.add_prefix(name): str(value) for name, value in management.initial.items()}

    assert browser.post(GROUP.format(hall.pk), sent).status_code == 302

    hall.refresh_from_db()
    assert (hall.name, hall.memberships.count()) == ("Hall B", 501)


def test_the_printers_of_a_group_are_listed_and_taken_out(
    hall: PrinterGroup, browser: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(6):
        page = browser.get(MEMBERS, {"group__id__exact": hall.pk})
    first = page.context["cl"].result_list[0]
    assert len(page.context["cl"].result_list) == 100

    browser.post(MEMBERS, {"action": "delete_selected", "_selected_action": [first.pk], "post": "yes"})

    assert hall.memberships.count() == 499
    assert Printer.objects.filter(pk=first.printer_id).exists()
