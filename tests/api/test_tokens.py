"""Tokens: which are taken, what they may, and the page that makes them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api.models import Token
from api.tokens import making
from tests.api.conftest import WEEK, program, send, text_of_token
from tests.test_url_map import ask, nothing_changes
from tests.url_map import people
from tests.url_map.api import CASES
from tests.url_map.cases import Case
from tests.url_map.people import Farm

OF_TOKENS = [case for case in CASES if case.api and case.who != "everybody"]
WRITING = [case for case in OF_TOKENS if set(case.methods) - {"GET"}]
WHOLE = "/api/v1/printers/"


def asked(case: Case, farm: Farm, text: str, method: str) -> Any:
    bearer = {"Authorization": f"Bearer {text}"}
    return ask(case, farm, None, method, headers=bearer)


@pytest.mark.parametrize("case", WRITING, ids=str)
def test_a_token_for_reading_changes_nothing(case: Case, farm: Farm) -> None:
    text = text_of_token(farm.staff, writes=False)
    Token.objects.update(last_used_at=timezone.now())
    for method in set(case.methods) - {"GET"}:
        with nothing_changes():
            response = asked(case, farm, text, method)
        assert response.status_code == 403, method
        assert response.json()["detail"] == "This token may only read. Make one that may write."


@pytest.mark.parametrize("why", ["ended", "revoked", "made up", "of somebody who left"])
def test_a_token_that_is_not_in_force_is_nobodys(why: str, farm: Farm) -> None:
    text = text_of_token(farm.staff)
    if why == "ended":
        Token.objects.update(expiry=timezone.now())
    elif why == "revoked":
        assert making.revoke(farm.staff, "program")
    elif why == "made up":
        text = text[:-1] + ("a" if text[-1] != "a" else "b")
    else:
        User.objects.filter(pk=farm.staff.pk).update(is_active=False)
    with nothing_changes():
        for case in OF_TOKENS:
            for method in case.methods:
                response = asked(case, farm, text, method)
                assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer"), f"{method} {case}"


@pytest.mark.parametrize("case", [case for case in OF_TOKENS if case.needs], ids=str)
def test_anothers_token_does_not_see_the_printer(case: Case, farm: Farm) -> None:
    text = text_of_token(farm.stranger)
    Token.objects.update(last_used_at=timezone.now())
    for method in case.methods:
        with nothing_changes():
            response = asked(case, farm, text, method)
        assert response.status_code == 404, method
        assert not any(shown in response.content.decode() for shown in people.SHOWN)


@pytest.mark.parametrize(
    "given", ["Bearer", "Bearer a b", "Bearer \xff\xfe", "Basic bWFyZW46c2VjcmV0", "Token x", "pf_1"]
)
def test_whatever_else_is_sent_is_no_token(given: str, farm: Farm) -> None:
    response = Client().get(WHOLE, headers={"Authorization": given})

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"


def test_a_hash_is_kept_and_the_text_is_not(farm: Farm) -> None:
    text = text_of_token(farm.owner)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(t)::text FROM api_token t")
        [(row,)] = cursor.fetchall()

    assert text.startswith("pf_")
    assert text not in row
    assert len(text) > 60
    assert text[15:] not in f"{Token.objects.get()} {Token.objects.get()!r}"


def test_reading_with_a_token_notes_its_use_once_a_minute(farm: Farm) -> None:
    client = program(farm.owner, writes=False)
    client.get("/api/v1/profiles/")
    first = Token.objects.get().last_used_at
    client.get("/api/v1/profiles/")
    assert first is not None
    assert Token.objects.get().last_used_at == first

    Token.objects.update(last_used_at=first - timedelta(minutes=2))
    client.get("/api/v1/profiles/")
    assert Token.objects.get().last_used_at >= first


def test_an_ended_token_stays_until_it_is_revoked(farm: Farm) -> None:
    client = program(farm.owner)
    Token.objects.update(expiry=timezone.now())
    other = program(farm.owner, name="other")

    assert client.get(WHOLE).status_code == 401
    assert other.get(WHOLE).status_code == 200
    assert Token.objects.count() == 2


def test_who_asks_is_looked_up_in_one_query(farm: Farm) -> None:
    client = program(farm.staff)
    client.get("/api/v1/cutover/")
    with CaptureQueriesContext(connection) as captured:
        client.get("/api/v1/states/")

    of_people = [query["sql"] for query in captured if "api_token" in query["sql"] or "auth_user" in query["sql"]]
    assert len(of_people) == 1, of_people


def test_the_log_knows_whose_token_it_was(farm: Farm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "core.logs")
    text = text_of_token(farm.viewer)
    Client().get(WHOLE, headers={"Authorization": f"Bearer {text}"})

    line = next(record.getMessage() for record in caplog.records if record.name == "core.logs")
    assert f"'user': {farm.viewer.pk}" in line
    assert text[3:] not in caplog.text


# ----- the page


@pytest.fixture
def page(farm: Farm) -> Client:
    client = Client()
    client.force_login(farm.owner)
    return client


MADE = {"name": "Grafana", "may": "read", "days": "90"}


def test_the_page_shows_a_new_token_once(page: Client) -> None:
    made = page.post("/profile/tokens/", MADE)
    [text] = re.findall(r'value="(pf_\w+)"', made.content.decode())

    assert made["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    assert Client().get(WHOLE, headers={"Authorization": f"Bearer {text}"}).status_code == 200
    after = page.get("/profile/tokens/").content.decode()
    assert "Grafana" in after
    assert text not in after
    assert Token.objects.get().writes is False
    assert timedelta(days=89) < Token.objects.get().expiry - timezone.now() < timedelta(days=91)


def test_the_same_form_sent_again_makes_no_second_token(page: Client) -> None:
    page.post("/profile/tokens/", MADE)
    again = page.post("/profile/tokens/", MADE)

    assert again.status_code == 400
    assert "You have a token of this name." in again.content.decode()
    assert Token.objects.count() == 1


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "x" * 81}, {"may": "all"}, {"days": "9999"}, {"name": " "}])
def test_what_is_wrong_in_the_form_makes_none(wrong: dict[str, str], page: Client) -> None:
    assert page.post("/profile/tokens/", MADE | wrong).status_code == 400
    assert not Token.objects.exists()


def test_nobody_has_more_than_fifty(page: Client, farm: Farm) -> None:
    for number in range(50):
        making.make(farm.owner, str(number), writes=False, lasts=WEEK)

    assert "Revoke one that is not used any more." in page.post("/profile/tokens/", MADE).content.decode()
    assert Token.objects.count() == 50


def test_a_token_is_revoked_after_a_question(page: Client, farm: Farm) -> None:
    client = program(farm.owner, name="label & printer")
    asked = page.get("/profile/tokens/revoke/?name=label+%26+printer")
    assert "Revoke <bdi" in asked.content.decode()
    assert client.get(WHOLE).status_code == 200

    page.post("/profile/tokens/revoke/", {"name": "label & printer"})
    assert client.get(WHOLE).status_code == 401


def test_anothers_token_can_be_neither_seen_nor_revoked(page: Client, farm: Farm) -> None:
    making.make(farm.viewer, "theirs", writes=False, lasts=WEEK)

    assert "theirs" not in page.get("/profile/tokens/").content.decode()
    assert page.post("/profile/tokens/revoke/", {"name": "theirs"}).status_code == 404
    assert Token.objects.count() == 1


def test_a_token_opens_no_page(farm: Farm) -> None:
    client = program(farm.owner)
    assert client.get("/printers/").status_code == 302
    assert client.get("/profile/tokens/").status_code == 302
    assert send(client, "POST", "/profile/tokens/", MADE).status_code in (302, 403)
