"""Pages of lists, in any order, while rows come and go."""

import itertools
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import Machine
from printers.models import Printer
from printers.states import State
from tests.api.conftest import pages, program
from tests.url_map.people import Farm

WHOLE = "/api/v1/printers/"
STATES = (State.READY, State.PRINTING, State.ERROR)


@pytest.fixture
def staff(farm: Farm) -> Client:
    """A farm of 25 printers, most of which are equal in every order but that of their keys."""
    Printer.objects.all().delete()
    made = Printer.objects.bulk_create(Printer(ip_address=f"http://10.0.0.{n}", api_key=f"key {n}") for n in range(25))
    Machine.objects.bulk_create(
        Machine(printer=one, name=f"Machine {n % 3}", place="Hall A" if n % 2 else "")
        for n, one in enumerate(made[:20])
    )
    seen = [(one.pk, Seen(STATES[n % 3])) for n, one in enumerate(made[:18])]
    looking.keep(seen, timezone.now())
    return program(farm.staff)


def keys(rows: list[dict[str, int]]) -> list[int]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("order", ["id", "name", "place", "kind", "state"])
def test_every_row_comes_once_in_every_order(order: str, sign: str, staff: Client) -> None:
    small = keys(pages(staff, f"{WHOLE}?limit=4&ordering={sign}{order}"))
    whole = keys(pages(staff, f"{WHOLE}?limit=200&ordering={sign}{order}"))

    assert small == whole
    assert sorted(small) == sorted(Printer.objects.values_list("pk", flat=True))


def test_pages_lead_there_and_back(staff: Client) -> None:
    there, path = [], f"{WHOLE}?limit=6&ordering=name&kind=octoprint"
    while path:
        answer = staff.get(path).json()
        there.append(keys(answer["results"]))
        last, path = answer, answer["next"]
    back = [keys(last["results"])]
    while last["previous"]:
        last = staff.get(last["previous"]).json()
        back.append(keys(last["results"]))

    assert [len(page) for page in there] == [6, 6, 6, 6, 1]
    assert back == there[::-1]
    assert last["next"]


def test_rows_that_come_and_go_move_no_other(staff: Client) -> None:
    first = staff.get(f"{WHOLE}?limit=10").json()
    Printer.objects.filter(pk__in=keys(first["results"])[:5]).delete()
    Printer.objects.create(ip_address="http://10.0.1.1", api_key="new")
    rest = pages(staff, first["next"].removeprefix("http://testserver"))

    assert not set(keys(first["results"])) & set(keys(rest))
    assert len(rest) == 16


def cursor(answer: dict[str, str]) -> str:
    return parse_qs(urlsplit(answer["next"]).query)["cursor"][0]


def test_a_cursor_is_good_for_its_own_list_and_order(staff: Client) -> None:
    given = cursor(staff.get(f"{WHOLE}?limit=2&ordering=name").json())

    assert staff.get(f"{WHOLE}?limit=2&ordering=name&cursor={given}").status_code == 200
    for path in (f"{WHOLE}?ordering=-name", WHOLE, "/api/v1/states/?ordering=name"):
        other = path + ("&" if "?" in path else "?") + f"cursor={given}"
        assert staff.get(other).status_code == 404, other
    for broken in (given[:-1], "x", "%F0%9F%A6%86", given + "x", "a:b:c"):
        assert staff.get(f"{WHOLE}?ordering=name&cursor={broken}").status_code == 404, broken


@pytest.mark.parametrize("letter", ["ж", "\U0001f600", '"', "İ"])
@pytest.mark.parametrize("order", ["name", "place"])
def test_long_names_in_any_script_have_a_next_page(order: str, letter: str, staff: Client) -> None:
    Machine.objects.update(**{order: letter * 200})

    assert len(pages(staff, f"{WHOLE}?limit=10&ordering={order}")) == 25


def test_a_page_of_somebody_elses_shows_only_ones_own(farm: Farm, staff: Client) -> None:
    given = staff.get(f"{WHOLE}?limit=2").json()["next"]
    assert program(farm.stranger).get(given).json()["results"] == []


def test_every_list_has_pages(farm: Farm, staff: Client) -> None:
    for path, ordering in itertools.product(["states", "groups", "profiles", "cutover/people"], ["id", "-id"]):
        found = pages(staff, f"/api/v1/{path}/?limit=1&ordering={ordering}")
        assert found, path
