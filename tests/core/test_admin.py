import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from core.models import Choice, Province
from core.sides.models import Side
from core.sides.sending import send_user


@pytest.mark.parametrize("page", ["", "add/", "{pk}/change/", "?q=IR-2", "autocomplete"])
def test_provinces_in_the_admin(page: str, browser: Client) -> None:
    province = Province.objects.create(name="تهران", name_en="Tehran", code="IR-23", border={"type": "Point"})
    path = f"/admin/core/province/{page.format(pk=province.pk)}"
    if page == "autocomplete":
        path = "/admin/autocomplete/?app_label=accounts&model_name=profile&field_name=province&term=teh"

    response = browser.get(path)

    assert response.status_code == 200
    assert page == "add/" or b"Tehran" in response.content


def test_the_first_page_leads_to_the_pages_for_staff(browser: Client) -> None:
    page = browser.get("/admin/").content.decode()

    assert all(f'href="/staff/{name}/"' in page for name in ("moves", "cutover", "faults"))


class TestChoices:
    """Who is sent to which side, in the admin."""

    PAGE = "/admin/core/choice/"

    def test_a_percentage_a_group_and_a_user_are_chosen(self, browser: Client, superuser: User) -> None:
        crew = Group.objects.create(name="crew")
        for who in ({"percent": 20}, {"group": crew.pk}, {"user": superuser.pk, "reason": "asked"}):
            assert browser.post(self.PAGE + "add/", {"side": "new", **who}).status_code == 302

        assert Choice.objects.filter(by="root").count() == 3
        assert browser.get(self.PAGE).status_code == 200

    @pytest.mark.parametrize(
        ("sent", "sentence"),
        [
            ({}, "Choose a user, a group or a percentage: one of them."),
            ({"percent": 101}, "A percentage is a number from 0 to 100."),
            ({"percent": 10, "side": "old"}, "Choose a user, a group or a percentage: one of them."),
        ],
    )
    def test_what_means_nothing_is_refused_in_words(
        self, sent: dict[str, object], sentence: str, browser: Client
    ) -> None:
        response = browser.post(self.PAGE + "add/", {"side": "new", **sent})

        assert sentence in response.content.decode()
        assert not Choice.objects.exists()

    def test_a_choice_is_turned_round_and_its_time_with_it(self, browser: Client, superuser: User) -> None:
        choice = send_user(superuser, Side.NEW, by="somebody")

        browser.post(f"{self.PAGE}{choice.pk}/change/", {"side": "old", "reason": "the fair"})

        turned = Choice.objects.get()
        assert (turned.side, turned.user, turned.by, turned.reason) == ("old", superuser, "root", "the fair")
        assert turned.since > choice.since
