"""The old pages on farms before the move, after going back, and after retirement: the real phases, asked of rehome."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from core.moves import standing
from core.sides.sending import send_percentage
from portal.models import Printer as OldPrinter
from portal.models import Profile as OldProfile
from tests.farm import farm

LIST = "/portal/printers/"
OWN_TABLES = ["core", "sessions", "fleet", "people"]
"""The apps whose tables the pages need, and that no move is about."""


@pytest.fixture(autouse=True)
def _nobody_remembers() -> None:
    """The phase is asked for, of whatever database the default connection leads to."""
    standing.forget()


def enter() -> tuple[Client, User]:
    for app in OWN_TABLES:
        call_command("migrate", app, verbosity=0)
    standing.forget()
    ada = User.objects.create_user("ada")
    client = Client()
    client.force_login(ada)
    send_percentage(100)
    return client, ada


def own(user: User, address: str) -> OldPrinter:
    profile, _ = OldProfile.objects.get_or_create(user=user)
    return OldPrinter.objects.create(profile=profile, ip_address=address, api_key="k" * 32)


def addresses(client: Client) -> list[str]:
    response = client.get(LIST)
    assert response.status_code == 200
    return [printer.ip_address for printer in response.context["page"]]


def test_before_the_move_people_have_their_printers_and_nobody_is_sent_over(planned: str) -> None:
    client, ada = enter()
    printer = own(ada, "192.0.2.77")

    assert addresses(client) == ["192.0.2.77"]
    client.post(f"{LIST}{printer.pk}/edit/", {"ip_address": "192.0.2.78", "api_key": "n" * 32})
    assert addresses(client) == ["192.0.2.78"]
    assert client.get("/printers/")["Location"] == LIST


@pytest.mark.long
def test_after_going_back_people_have_what_they_did_on_either_side(live: str) -> None:
    client, ada = enter()
    own(ada, "192.0.2.77")
    assert client.get(LIST)["Location"] == "/printers/"

    farm.migrate_back()
    standing.forget()

    assert addresses(client) == ["192.0.2.77"]
    assert client.get("/printers/")["Location"] == LIST


@pytest.mark.long
def test_after_retirement_the_pages_have_moved_for_good_and_an_open_form_is_still_saved(live: str) -> None:
    client, ada = enter()
    printer = own(ada, "192.0.2.77")

    call_command("retiremoves", interactive=False, verbosity=0)
    standing.forget()

    response = client.get(f"{LIST}{printer.pk}/")
    assert (response.status_code, response["Location"]) == (301, f"/printers/{printer.pk}/")
    client.post(f"{LIST}{printer.pk}/edit/", {"ip_address": "192.0.2.78", "api_key": "n" * 32})
    assert OldPrinter.objects.get(pk=printer.pk).ip_address == "192.0.2.78"
    client.post(f"{LIST}add/", {"ip_address": "192.0.2.79", "api_key": "a" * 32})
    assert OldPrinter.objects.filter(profile__user=ada).count() == 2
