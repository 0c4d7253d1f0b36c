"""Each request leads to the side of its user; a form is taken on either side."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from core.moves import standing
from core.sides import sending
from core.sides.models import Side
from portal.models import Printer as OldPrinter
from portal.models import Profile as OldProfile
from printers.models import Printer
from rehome.models import Phase

pytestmark = pytest.mark.django_db
OLD, NEW = "/portal/printers/", "/printers/"


@pytest.fixture(autouse=True)
def _nobody_is_over(settings: Settings) -> None:
    settings.CUTOVER_PERCENT = 0


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def printer(ada: User) -> OldPrinter:
    profile, _ = OldProfile.objects.get_or_create(user=ada)
    return OldPrinter.objects.create(profile=profile, ip_address="192.0.2.7", api_key="k" * 32)


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def phase(found: Phase) -> None:
    standing._remembered[standing.PRINTERS] = float("inf"), found


def send_over(ada: User) -> None:
    sending.send_user(ada, Side.NEW)


@pytest.mark.parametrize("method", ["get", "head"])
def test_reading_leads_to_the_users_side_and_no_cache_keeps_it(method: str, client: Client, ada: User) -> None:
    response = getattr(client, method)(f"{NEW}7/edit/?from=list")
    assert (response.status_code, response["Location"]) == (302, f"{OLD}7/edit/?from=list")
    assert "no-store" in response["Cache-Control"]

    send_over(ada)
    response = getattr(client, method)(f"{OLD}7/edit/?from=list")
    assert (response.status_code, response["Location"]) == (302, f"{NEW}7/edit/?from=list")
    assert "no-store" in response["Cache-Control"]


def test_a_page_of_ones_own_side_is_answered_and_no_cache_keeps_it(client: Client) -> None:
    response = client.get(OLD)

    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]


def test_a_form_that_was_opened_on_the_old_side_is_saved_after_its_user_was_sent_over(
    client: Client, ada: User, printer: OldPrinter
) -> None:
    opened = client.get(f"{OLD}{printer.pk}/edit/")
    assert opened.status_code == 200
    send_over(ada)

    response = client.post(f"{OLD}{printer.pk}/edit/", {"ip_address": "192.0.2.8", "api_key": "n" * 32})

    assert response.status_code == 302
    assert Printer.objects.get(pk=printer.pk).ip_address == "192.0.2.8"
    assert client.get(response["Location"])["Location"] == f"{NEW}{printer.pk}/"


def test_people_are_sent_over_and_back_and_find_what_they_did(client: Client, ada: User, printer: OldPrinter) -> None:
    client.post(f"{OLD}add/", {"ip_address": "192.0.2.9", "api_key": "a" * 32})
    send_over(ada)
    Printer.objects.filter(pk=printer.pk).update(ip_address="192.0.2.10")
    sending.send_user(ada, Side.OLD)

    page = client.get(OLD).content.decode()

    assert "192.0.2.9" in page
    assert "192.0.2.10" in page


def test_who_is_not_logged_in_stays_until_everybody_is_over(settings: Settings) -> None:
    assert Client().get(OLD)["Location"].startswith(f"/accounts/login/?next={OLD}")

    settings.CUTOVER_PERCENT = 100
    response = Client().get(OLD)
    assert (response.status_code, response["Location"]) == (302, NEW)
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("moved", [Phase.RETIRED, Phase.ENDED])
def test_old_addresses_have_moved_for_good_after_retirement_alone(moved: Phase, client: Client) -> None:
    phase(moved)

    for reader in (client, Client()):
        response = reader.get(f"{OLD}7/?a=b")
        assert (response.status_code, response["Location"]) == (301, f"{NEW}7/?a=b")
        assert response["Cache-Control"] == "private, max-age=3600"


@pytest.mark.parametrize("phase_before", [Phase.BACK, Phase.COPYING, Phase.PREPARED])
def test_everybody_is_on_the_old_side_while_the_old_table_alone_is_in_use(
    phase_before: Phase, client: Client, ada: User
) -> None:
    send_over(ada)
    phase(phase_before)

    assert client.get(NEW)["Location"] == OLD
    assert client.get(OLD).status_code == 200


def test_a_form_is_saved_through_the_view_of_a_retired_table(client: Client, printer: OldPrinter) -> None:
    phase(Phase.RETIRED)

    client.post(f"{OLD}{printer.pk}/edit/", {"ip_address": "192.0.2.8", "api_key": "n" * 32})

    assert Printer.objects.get(pk=printer.pk).ip_address == "192.0.2.8"


def test_a_form_that_can_be_saved_nowhere_says_so(client: Client, printer: OldPrinter) -> None:
    phase(Phase.ENDED)

    response = client.post(f"{OLD}{printer.pk}/edit/", {"ip_address": "192.0.2.8", "api_key": "n" * 32})

    assert (response.status_code, response["Location"]) == (302, f"{NEW}{printer.pk}/edit/")
    assert "is not saved" in client.get("/staff/cutover/").content.decode()


def test_a_part_of_a_page_that_is_asked_for_loads_the_whole_page_anew(client: Client) -> None:
    response = client.get(f"{NEW}7/", headers={"HX-Request": "true"})

    assert (response.status_code, response["HX-Refresh"], response.content) == (200, "true", b"")


@pytest.mark.parametrize("step", ["add/0/", "add/0/name/", "import/0/"])
def test_what_was_begun_in_several_steps_is_ended_on_the_side_where_it_was_begun(step: str, client: Client) -> None:
    """The draft is nobody's, so that its pages begin again; they are not sent to the other side's list."""
    assert not client.get(NEW + step).get("Location", "").startswith(OLD)

    phase(Phase.BACK)
    assert client.get(NEW + step)["Location"] == OLD


def test_common_pages_are_answered_on_either_side(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
