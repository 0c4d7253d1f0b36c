import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from core.faults.models import Fault, FaultCount
from core.sides import sending
from core.sides.deciding import side_of
from core.sides.models import Choice, Side
from tests.core.faults.test_page import happen

pytestmark = pytest.mark.django_db
PAGE = "/staff/cutover/"


@pytest.fixture(autouse=True)
def _nobody_is_over(settings: Settings) -> None:
    settings.CUTOVER_PERCENT = 0


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", first_name="Ada", last_name="Bergström", email="ada@example.com")


def text(client: Client, query: str = "") -> str:
    return client.get(PAGE + query).content.decode()


def test_it_tells_who_is_where_why_and_since_when(browser: Client, ada: User) -> None:
    crew = Group.objects.create(name="Hall A operators")
    bob = User.objects.create_user("bob")
    bob.groups.add(crew)
    sending.send_group(crew, Side.NEW, by="Ines Duarte")
    sending.send_user(ada, Side.OLD, by="Ines Duarte", reason="until the fair is over")
    sending.send_percentage(20, by="Ines Duarte")
    sending.send_percentage(100, by="Ines Duarte")

    page = text(browser)

    assert "2 of 3 people are on the new side" in page  # The superuser by percentage, bob by group.
    assert "name, by Ines Duarte: “until the fair is over”" in page
    assert "group Hall A operators" in page
    assert "20\N{NO-BREAK SPACE}% → 100\N{NO-BREAK SPACE}%" in page


def test_people_are_sent_over_and_back_by_their_buttons(browser: Client, ada: User) -> None:
    for side in (Side.NEW, Side.OLD):
        response = browser.post(PAGE, {"what": "user", "user": ada.pk, "side": side}, follow=True)
        assert f"Ada Bergström is on the {side} side." in response.content.decode()
        assert side_of(ada) is side
    assert Choice.objects.get().by == "root"

    browser.post(PAGE, {"what": "unchoose", "user": ada.pk})
    assert not Choice.objects.exists()


def test_the_effect_of_a_percentage_is_shown_before_it_is_chosen(browser: Client, ada: User) -> None:
    assert "would send 2 over and 0 back" in text(browser, "?percent=100").replace("\N{NO-BREAK SPACE}", " ")
    assert side_of(ada) is Side.OLD

    browser.post(PAGE, {"what": "percent", "percent": 100})
    assert side_of(ada) is Side.NEW


def test_a_group_and_everybody_are_sent(browser: Client, ada: User) -> None:
    crew = Group.objects.create(name="crew")
    ada.groups.add(crew)
    browser.post(PAGE, {"what": "group", "group": crew.pk, "side": "new"})
    assert side_of(ada) is Side.NEW

    assert "Send everybody back?" in text(browser, "?ask=back")
    browser.post(PAGE, {"what": "back"})
    assert side_of(ada) is Side.OLD


@pytest.mark.parametrize(
    "sent",
    [
        {}, {"what": "percent"}, {"what": "percent", "percent": "101"}, {"what": "percent", "percent": "x"},
        {"what": "user"}, {"what": "user", "user": "0"}, {"what": "group", "group": "x"},
        {"what": "user", "user": "1", "side": "left"}, {"what": "everything"},
    ],
)  # fmt: skip
def test_what_means_nothing_is_answered_with_a_sentence_and_sends_nobody(sent: dict[str, str], browser: Client) -> None:
    response = browser.post(PAGE, sent)

    assert response.status_code == 400
    assert 'role="alert"' in response.content.decode()
    assert not Choice.objects.exists()


def test_errors_of_each_side_and_of_each_person_are_there(browser: Client, ada: User) -> None:
    for _ in range(3):
        happen(1, side="new", user=ada.pk)
    happen(2, side="old", user=0)

    page = browser.get(PAGE)

    assert [(one.side, one.total) for one in page.context["errors"]] == [(Side.OLD, 1), (Side.NEW, 3)]
    assert (page.context["people"][0].name, page.context["people"][0].errors) == ("Ada Bergström", 3)
    assert "The new side errs more." in page.content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [("?q=bergst", ["ada"]), ("?q=ada@example", ["ada"]), ("?q=crew", ["ada"]), ("?q=zz", []), ("?side=old", ["root"])],
)
def test_people_are_found(query: str, found: list[str], browser: Client, ada: User) -> None:
    ada.groups.add(Group.objects.create(name="crew"), Group.objects.create(name="crew 2"))
    sending.send_user(ada, Side.NEW)

    assert [person.user.username for person in browser.get(PAGE + query).context["people"]] == found


def test_staff_without_the_right_may_look_and_not_send(ada: User) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    client = Client()
    client.force_login(clerk)

    page = text(client)
    assert "Send over" not in page
    assert client.post(PAGE, {"what": "user", "user": ada.pk, "side": "new"}).status_code == 403
    assert side_of(ada) is Side.OLD

    clerk.user_permissions.add(Permission.objects.get(codename="change_choice"))
    assert client.post(PAGE, {"what": "user", "user": ada.pk, "side": "new"}).status_code == 302


def test_it_takes_as_many_queries_for_a_thousand_people_as_for_ten(
    browser: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def people(numbers: range) -> None:
        made = User.objects.bulk_create([User(username=f"user{number}", is_active=True) for number in numbers])
        Choice.objects.bulk_create([Choice(user=user, side="old", by="x") for user in made[:5]])
        FaultCount.objects.bulk_create(
            [FaultCount(fault=happen(1), hour=happen(1).last_at, user_id=user.pk, side="new") for user in made[:2]]
        )

    people(range(10))
    with django_assert_num_queries(14) as one:
        browser.get(PAGE)
    people(range(10, 1010))
    with django_assert_num_queries(len(one)):
        browser.get(PAGE)
    assert Fault.objects.count() == 1


def test_what_people_are_called_is_text(browser: Client) -> None:
    User.objects.create_user("x", first_name="<script>alert(1)</script>")

    assert "<script>alert(1)" not in text(browser)
