"""Every error is a problem: whoever raises it, in whichever layer."""

import json
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client

from api.models import Token
from core.faults.models import Fault
from printers.fleet.models import Machine
from printers.models import Printer
from tests.api.conftest import program, send
from tests.test_url_map import failing_rights
from tests.url_map import people
from tests.url_map.people import Farm

WHOLE = "/api/v1/printers/"


def problem(response: HttpResponse, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = json.loads(response.content)
    assert (found["type"], found["status"]) == ("about:blank", status)
    assert found["title"]
    assert found["detail"].strip()
    return found


@pytest.fixture
def owner(farm: Farm) -> Client:
    return program(farm.owner)


def test_401_says_how_to_sign_in(farm: Farm) -> None:
    response = Client().get(WHOLE)

    assert "Authorization: Bearer" in problem(response, 401)["detail"]
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/api/", "/api/v1/", "/api/v1/nothing/", "/api/v1/printers/99999999999999999999/"])
def test_404(path: str, owner: Client) -> None:
    problem(owner.get(path), 404)


def test_404_of_an_address_without_its_slash(owner: Client) -> None:
    found = problem(send(owner, "POST", "/api/v1/printers"), 404)

    assert found["detail"] == "Addresses of the API end with a slash: /api/v1/printers/"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "X"])
def test_405_names_the_methods_that_there_are(method: str, owner: Client) -> None:
    response = send(owner, method, WHOLE)

    problem(response, 405)
    assert response["Allow"] == "GET, POST, HEAD"


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/*"])
def test_406(accept: str, owner: Client) -> None:
    problem(owner.get(WHOLE, headers={"Accept": accept}), 406)


def test_411_for_chunks_which_django_takes_for_nothing(farm: Farm, owner: Client) -> None:
    chunked: Any = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    for method in ("PATCH", "POST", "DELETE"):
        problem(owner.generic(method, f"{WHOLE}{farm.printer.pk}/", "", "application/json", **chunked), 411)
    assert Printer.objects.exists()


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_415(kind: str, owner: Client) -> None:
    problem(owner.generic("POST", WHOLE, "address=x", kind), 415)


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[",
        "nul",
        '{"address": NaN}',
        "\xff",
        "[" * 200_000,
        '{"a":' * 50_000,
        "1" * 5000,
        '{"address": "\\ud800"}',
        '{"address": "http://10.0.0.9", "tags": [{"\\udfff": 1}]}',
    ],
)
def test_400_for_what_is_no_json(body: str, owner: Client) -> None:
    problem(owner.generic("POST", WHOLE, body.encode("latin-1"), "application/json"), 400)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (f"{WHOLE}act/", {"do": "\ud800", "printers": [1]}),
        ("/api/v1/alerts/rules/", {"states": ["\ud800"]}),
        ("/api/v1/profiles/me/", {"theme": "\ud800"}),
        (f"{WHOLE}1/status/", {"state": "ready", "temperatures": {"\ud800": {"actual": "hot"}}}),
    ],
)
def test_400_for_half_of_a_character_wherever_it_is(path: str, data: Any, owner: Client) -> None:
    """A sentence that repeats it can't be written."""
    problem(send(owner, "PATCH" if "profiles" in path else "POST", path, data), 400)


class Broken:
    """What a program sends that goes away meanwhile."""

    def read(self, *_: Any) -> bytes:
        raise OSError("connection reset")

    readline = read


def test_400_for_what_broke_off_and_no_fault_is_told(owner: Client) -> None:
    given: Any = {"wsgi.input": Broken(), "CONTENT_LENGTH": "100"}
    problem(owner.generic("POST", WHOLE, "", "application/json", **given), 400)

    assert not Fault.objects.exists()


def test_400_for_more_than_django_takes(owner: Client) -> None:
    problem(owner.generic("POST", WHOLE, b" " * 3_000_000, "application/json"), 400)


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({}, "#/address"),
        ({"address": 5}, "#/address"),
        ({"address": "x" * 256}, "#/address"),
        ({"address": "http://10.0.0.9", "tags": ["a", 7]}, "#/tags/1"),
        ({"address": "http://10.0.0.9", "name": "a\0b"}, "#/name"),
        ([], "#/"),
        (None, "#/address"),
    ],
)
def test_400_points_at_the_field(data: Any, pointer: str, owner: Client) -> None:
    found = problem(send(owner, "POST", WHOLE, data), 400)

    assert pointer in [error["pointer"] for error in found["errors"]]
    assert not Printer.objects.filter(ip_address__contains="10.0.0.9").exists()


def test_a_pointer_says_where_a_name_with_a_slash_ends(farm: Farm, owner: Client) -> None:
    sent = {"state": "ready", "temperatures": {"a/b~c d": {"actual": "hot"}}}
    found = problem(send(owner, "POST", f"{WHOLE}{farm.printer.pk}/status/", sent), 400)

    assert [error["pointer"] for error in found["errors"]] == ["#/temperatures/a~1b~0c%20d/actual"]


def test_one_wrong_thing_is_one_sentence(farm: Farm, owner: Client) -> None:
    found = problem(owner.get(f"{WHOLE}?ordering=colour"), 400)
    assert [error["detail"] for error in found["errors"]] == [
        "“colour” is no order; use one of id, name, place, kind, state."
    ]
    found = problem(send(owner, "POST", f"{WHOLE}{farm.printer.pk}/status/", {"state": "ready"}), 400)
    assert found["detail"].startswith("Idempotency-Key: Send the header Idempotency-Key: a new text")


def test_412_of_a_list_says_what_helps(owner: Client) -> None:
    found = problem(owner.get(WHOLE, headers={"If-Match": '"another"'}), 412)
    assert found["detail"] == "It has changed since you read it. Read it again, and then decide."


def test_409_points_at_what_the_farm_refuses(owner: Client) -> None:
    found = problem(send(owner, "POST", WHOLE, {"address": "two words"}), 409)

    [error] = found["errors"]
    assert error["pointer"] == "#/address"
    assert found["detail"] == f"address: {error['detail']}"
    assert "is not a printer's address" in error["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "ordering=colour",
        "kind=other",
        "state=odd",
        "group=-1",
        "state=",
        "ordering=",
        "group=",
        "q=" + "x" * 201,
    ],
)
def test_400_for_a_wrong_query(query: str, owner: Client) -> None:
    assert problem(owner.get(f"{WHOLE}?{query}"), 400)["errors"][0]["pointer"] == f"#/{query.partition('=')[0]}"


@pytest.mark.parametrize("path", [f"{WHOLE}?q=a%00b", "/api/v1/%00/"])
def test_400_before_any_view(path: str, owner: Client) -> None:
    problem(owner.get(path), 400)


def test_400_for_a_wrong_host(owner: Client) -> None:
    problem(owner.get(WHOLE, headers={"Host": "evil.example.com"}), 400)


def test_403_of_the_token_of_forms(farm: Farm) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(farm.owner)

    problem(send(client, "POST", WHOLE, {}), 403)


def test_409_says_what_the_state_forbids(farm: Farm, owner: Client) -> None:
    with mock.patch("printers.looking.look_at"):
        response = send(owner, "POST", f"{WHOLE}{farm.printer.pk}/pause/")

    found = problem(response, 409)
    assert found["detail"] == f"{people.NAME} is not asked yet. Only one that prints can be paused."
    assert (found["printer"], found["state"]) == (farm.printer.pk, None)


def test_410_of_the_former_address(farm: Farm) -> None:
    before = people.rows()
    for method in ("POST", "GET", "PUT"):
        response = send(
            Client(enforce_csrf_checks=True), method, f"/api/printer/{farm.printer.pk}/status/", {"ping": True}
        )
        new = f"/api/v1/printers/{farm.printer.pk}/status/"
        assert problem(response, 410)["new"] == new
        assert response["Link"] == f'<{new}>; rel="successor-version"'
    assert people.rows() == before


def test_429_says_when_to_go_on(farm: Farm, owner: Client, settings: Any) -> None:
    settings.API_PER_MINUTE = 3
    answers = [owner.get(WHOLE) for _ in range(7)]  # In one minute or in two.

    late = [answer for answer in answers if answer.status_code != 200]
    assert late
    for answer in late:
        problem(answer, 429)
        assert 1 <= int(answer["Retry-After"]) <= 61


def test_without_a_cache_nobody_waits(farm: Farm, owner: Client) -> None:
    from redis.exceptions import ConnectionError as NoRedis

    with mock.patch("api.throttling.cache.add", side_effect=NoRedis("away")):
        assert owner.get(WHOLE).status_code == 200


def test_500_has_the_number_of_the_fault_and_nothing_of_it(farm: Farm, owner: Client, settings: Any) -> None:
    settings.DEBUG = True  # Even where Django would show a traceback.
    error = ValueError(f"{people.KEY} is wrong: {people.PASSWORD}")
    with mock.patch("api.views.printers.described", side_effect=error):
        response = send(owner, "PATCH", f"{WHOLE}{farm.printer.pk}/", {"key": people.KEY, "password": people.PASSWORD})

    found = problem(response, 500)
    fault = Fault.objects.get()
    assert found["fault"] == fault.number
    assert not any(secret in response.content.decode() + fault.message for secret in people.SECRET)


def test_500_of_a_middleware_is_a_problem_too(owner: Client) -> None:
    with mock.patch("core.sides.addresses.side_of_page", side_effect=SuspiciousOperation):
        problem(owner.get(WHOLE), 400)
    with mock.patch("core.sides.addresses.side_of_page", side_effect=KeyError("x")):
        problem(owner.get(WHOLE), 500)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_database_error_denies(method: str, farm: Farm) -> None:
    client = program(farm.manager)
    before = people.rows()
    with failing_rights():
        response = send(client, method, f"{WHOLE}{farm.printer.pk}/", {"place": "Elsewhere"})

    problem(response, 500)
    after = people.rows()
    assert {name for name in before if before[name] != after[name]} <= {"api.Token"}
    assert Machine.objects.get().place == ""


def test_a_database_error_while_the_token_is_looked_up_denies(farm: Farm, owner: Client) -> None:
    with mock.patch("api.authentication.find", side_effect=OperationalError("the connection is lost")):
        problem(owner.get(WHOLE), 500)
    assert Token.objects.get().last_used_at is None


def test_503_while_printers_are_in_the_former_tables(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.moves import standing
    from rehome.models import Phase

    monkeypatch.setattr(standing, "_remembered", {standing.PRINTERS: (float("inf"), Phase.BACK)})

    problem(send(owner, "POST", WHOLE, {"address": "http://10.0.0.9"}), 503)
