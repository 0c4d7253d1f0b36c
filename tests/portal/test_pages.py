"""The monolith's pages on the old models: as simple as they were, but for those alone who have a right."""

import csv
import io
from collections.abc import Iterable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from portal.models import Printer, Profile
from printers.fleet.models import Membership, PrinterGroup, Role
from printers.models import Printer as NewPrinter

pytestmark = pytest.mark.django_db
LIST = "/portal/printers/"
KEY = "rosebud-rosebud"


@pytest.fixture(autouse=True)
def _everybody_is_on_the_old_side(settings: Settings) -> None:
    settings.CUTOVER_PERCENT = 0


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", first_name="Ada", email="ada@example.com")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def own(user: User, *addresses: str) -> list[Printer]:
    profile = Profile.objects.get_or_create(user=user, defaults={"name": user.first_name})[0]
    return [Printer.objects.create(profile=profile, ip_address=address, api_key=KEY) for address in addresses]


def lend(user: User, action: str, printers: Iterable[Printer]) -> None:
    crew, hall = Group.objects.create(name=action), PrinterGroup.objects.create(name=action)
    user.groups.add(crew)
    Role.objects.create(user_group=crew, printer_group=hall, action=action)
    Membership.objects.bulk_create(Membership(group=hall, printer_id=printer.pk) for printer in printers)


def addresses(response: Any) -> list[str]:
    return [printer.ip_address for printer in response.context["page"]]


def rows(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.content.decode())))


def test_an_address_that_was_changed_meanwhile_is_not_undone(client: Client, ada: User) -> None:
    [printer] = own(ada, "192.0.2.1")
    page = f"{LIST}{printer.pk}/edit/"
    was = {"was": client.get(page).context["form"].was}
    Printer.objects.update(ip_address="192.0.2.2")

    assert client.post(page, {"ip_address": "192.0.2.1", "api_key": "", **was}).status_code == 302
    assert Printer.objects.get().ip_address == "192.0.2.2"
    third = client.post(page, {"ip_address": "192.0.2.3", "api_key": "k", **was})
    assert "Somebody has changed this meanwhile, to “192.0.2.2”." in third.content.decode()
    assert Printer.objects.get().ip_address == "192.0.2.2"


@pytest.mark.parametrize("page", ["add/", "{}/edit/"])
def test_the_same_saved_a_moment_before_is_said_without_the_key(
    page: str, client: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    [printer, _] = own(ada, "192.0.2.1", "192.0.2.2")
    monkeypatch.setattr("portal.forms.PrinterForm.validate_unique", lambda form: None)

    response = client.post(LIST + page.format(printer.pk), {"ip_address": "192.0.2.2", "api_key": KEY})

    assert response.status_code == 400
    assert "is in the farm already" in response.content.decode()
    assert KEY not in response.content.decode()
    assert Printer.objects.count() == 2


def test_one_sees_ones_own_and_those_that_a_role_shows(client: Client, ada: User) -> None:
    bob = User.objects.create_user("bob")
    own(ada, "192.0.2.1")
    seen, _hidden = own(bob, "192.0.2.2", "192.0.2.3")
    lend(ada, "view", [seen])

    assert addresses(client.get(LIST)) == ["192.0.2.1", "192.0.2.2"]
    assert [row[1] for row in rows(client.get(f"{LIST}export/"))] == ["ip_address", "192.0.2.1", "192.0.2.2"]


def test_a_printer_is_added_to_ones_own_and_is_on_the_new_side_too(client: Client, ada: User) -> None:
    response = client.post(f"{LIST}add/", {"ip_address": "https://printer.example.com/", "api_key": KEY}, follow=True)

    added = Printer.objects.get()
    assert response.redirect_chain == [(f"{LIST}{added.pk}/", 302)]
    assert (added.profile.user, added.api_key) == (ada, KEY)
    new = NewPrinter.objects.get(pk=added.pk)
    assert (new.ip_address, new.api_key, new.profile.user) == ("https://printer.example.com/", KEY, ada)


def test_a_printer_is_edited_and_keeps_its_key_where_none_is_typed(client: Client, ada: User) -> None:
    [printer] = own(ada, "192.0.2.1")

    assert client.post(f"{LIST}{printer.pk}/edit/", {"ip_address": "192.0.2.1", "api_key": ""}).status_code == 302
    assert NewPrinter.objects.get(pk=printer.pk).api_key == KEY

    client.post(f"{LIST}{printer.pk}/edit/", {"ip_address": "192.0.2.9", "api_key": "another"})
    new = NewPrinter.objects.get(pk=printer.pk)
    assert (new.ip_address, new.api_key) == ("192.0.2.9", "another")


def test_a_key_is_not_sent_to_another_address_unless_it_is_typed_again(client: Client, ada: User) -> None:
    [printer] = own(ada, "192.0.2.1")

    response = client.post(f"{LIST}{printer.pk}/edit/", {"ip_address": "198.51.100.66", "api_key": ""})

    assert response.status_code == 400
    assert "was for 192.0.2.1. Type the one of the new address." in response.content.decode()
    assert NewPrinter.objects.get(pk=printer.pk).ip_address == "192.0.2.1"


def test_a_printer_is_deleted_once_it_was_asked_about(client: Client, ada: User) -> None:
    [printer] = own(ada, "192.0.2.1")

    assert "Delete <bdi>192.0.2.1</bdi>?" in client.get(f"{LIST}{printer.pk}/delete/").content.decode()
    assert NewPrinter.objects.filter(pk=printer.pk).exists()

    client.post(f"{LIST}{printer.pk}/delete/")
    assert not NewPrinter.objects.filter(pk=printer.pk).exists()


@pytest.mark.parametrize("page", ["", "{pk}/", "{pk}/edit/", "{pk}/delete/", "export/"])
def test_the_key_is_on_no_page(page: str, client: Client, ada: User) -> None:
    [printer] = own(ada, "192.0.2.1")

    response = client.get(LIST + page.format(pk=printer.pk))

    assert response.status_code == 200
    assert KEY not in response.content.decode()


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"ip_address": "printer.local", "api_key": "typed-key"}, "is not a printer’s address"),
        ({"ip_address": "192.0.2.7", "api_key": ""}, "This field is required"),
        ({"ip_address": "", "api_key": "typed-key"}, "This field is required"),
        ({"ip_address": "192.0.2.1", "api_key": KEY}, "already exists"),
        ({"ip_address": "192.0.2.7", "api_key": "a\0b"}, "Null characters are not allowed"),
    ],
)
def test_a_wrong_form_says_why_and_keeps_what_was_typed_but_the_key(
    sent: dict[str, str], sentence: str, client: Client, ada: User
) -> None:
    own(ada, "192.0.2.1")

    response = client.post(f"{LIST}add/", sent)

    page = response.content.decode().replace("&#x27;", "’")
    assert response.status_code == 400
    assert sentence in page
    assert f'value="{sent["ip_address"]}"' in page or not sent["ip_address"]
    assert "typed-key" not in page
    assert KEY not in page
    assert Printer.objects.count() == 1


def test_two_printers_with_one_address_and_key_are_refused(client: Client, ada: User) -> None:
    first, _second = own(ada, "192.0.2.1", "192.0.2.2")

    response = client.post(f"{LIST}{first.pk}/edit/", {"ip_address": "192.0.2.2", "api_key": KEY})

    assert response.status_code == 400
    assert "already exists" in response.content.decode()


def test_who_may_look_alone_sees_no_button_and_is_refused(client: Client, ada: User) -> None:
    [printer] = own(User.objects.create_user("bob"), "192.0.2.2")
    lend(ada, "operate", [printer])

    page = client.get(f"{LIST}{printer.pk}/").content.decode()

    assert "Edit" not in page
    assert [client.get(f"{LIST}{printer.pk}/{what}/").status_code for what in ("edit", "delete")] == [403, 403]


def test_an_export_has_no_key_and_no_formula(client: Client, ada: User) -> None:
    own(ada, "192.0.2.1")
    Profile.objects.update(name='=HYPERLINK("http://evil.example.com")')

    [head, row] = rows(client.get(f"{LIST}export/"))

    assert head == ["id", "ip_address", "profile", "ping", "printing"]
    assert row[1:] == ["192.0.2.1", '\'=HYPERLINK("http://evil.example.com")', "False", "False"]


@pytest.mark.parametrize("page", ["", "export/", "{pk}/", "{pk}/edit/", "{pk}/delete/", "add/"])
def test_pages_take_as_many_queries_for_a_thousand_printers_as_for_ten(
    page: str, client: Client, ada: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    printers = own(ada, *(f"192.0.2.{number}" for number in range(10)))
    path = LIST + page.format(pk=printers[0].pk)
    # Session, user, side; then count and rows of a list, or the printer and what may be done with it.
    expected = {"": 5, "export/": 4, "{pk}/": 5, "{pk}/edit/": 4, "{pk}/delete/": 4, "add/": 3}[page]

    with django_assert_num_queries(expected):
        assert client.get(path).status_code == 200
    Printer.objects.bulk_create(
        Printer(profile=printers[0].profile, ip_address=f"198.51.{number // 250}.{number % 250}", api_key=KEY)
        for number in range(990)
    )
    with django_assert_num_queries(expected):
        client.get(path)


def test_long_lists_have_pages(client: Client, ada: User) -> None:
    own(ada, *(f"192.0.2.{number}" for number in range(103)))

    assert addresses(client.get(f"{LIST}?page=2")) == ["192.0.2.100", "192.0.2.101", "192.0.2.102"]
    assert len(addresses(client.get(f"{LIST}?page=x"))) == 100


def test_a_list_without_printers_says_how_to_begin(client: Client) -> None:
    assert "No printer yet" in client.get(LIST).content.decode()
