"""The list: filters, search, sort and pages, all in the address; and how many statements it takes."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import Machine, Membership, PrinterGroup, Role
from printers.models import Printer
from printers.states import State
from tests.printers.pages.conftest import KEY, Make

LIST = "/printers/"


def shown(client: Client, query: str = "") -> list[str]:
    """The names in the order of the page."""
    content = client.get(LIST + query).content.decode()
    return re.findall(r'<a (?:class="go" )?href="/printers/\d+/"><bdi class="name">(.*?)</bdi>', content)


@pytest.fixture
def farm(make: Make) -> None:
    now = timezone.now()
    ends = {"ends_at": now + timedelta(minutes=9), "file": "clip.gcode", "progress": 96.0}
    later = {"ends_at": now + timedelta(hours=2), "file": "lid.gcode", "progress": 38.0}
    make("http://192.0.2.1", name="Godwit", place="Hall A", state="ready", tags=["PETG"])
    make("http://192.0.2.2", name="Sanderling", place="Hall B", state="printing", seen=later, kind="moonraker")
    make("http://192.0.2.3", name="Heron", place="Hall A", state="finished", model="MK4S")
    make("http://192.0.2.4", name="Dunlin", place="Hall B", state="printing", seen=ends)
    make("http://192.0.2.5", name="Plover", place="Hall B", state="refused")
    make("http://192.0.2.6", name="Dotterel", state="ready", out_of_order_since=now, out_of_order_why="fan")
    make("http://192.0.2.7")


URGENT = ["Heron", "Plover", "Dunlin", "Sanderling", "Godwit", "Dotterel", "http://192.0.2.7"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", URGENT),
        ("?state=waiting", ["Heron"]),
        ("?state=printing", ["Dunlin", "Sanderling"]),
        ("?state=off", ["Dotterel", "http://192.0.2.7"]),
        ("?place=Hall+A", ["Heron", "Godwit"]),
        ("?kind=moonraker", ["Sanderling"]),
        ("?tag=PETG", ["Godwit"]),
        ("?q=LID", ["Sanderling"]),
        ("?q=petg", ["Godwit"]),
        ("?q=mk4", ["Heron"]),
        ("?q=192.0.2.7", ["http://192.0.2.7"]),
        ("?q=%25", []),
        ("?sort=name", sorted(URGENT, key=str.lower)),
        ("?sort=-name", sorted(URGENT, key=str.lower, reverse=True)),
        ("?sort=ends&state=printing", ["Dunlin", "Sanderling"]),
        ("?sort=-ends&state=printing", ["Sanderling", "Dunlin"]),
        ("?state=nonsense&sort=nonsense&page=nonsense&kind=nonsense", URGENT),
        ("?page=99", URGENT),
    ],
)
def test_what_the_address_says_is_shown(query: str, names: list[str], farm: None, page: Client) -> None:
    assert shown(page, query) == names


def test_tiles_stand_in_places_and_say_what_is_with_each(farm: None, page: Client) -> None:
    content = page.get(LIST + "?view=tiles").content.decode()

    assert re.findall(r"<h2 id=.*?<bdi[^>]*>(.*?)</bdi>", content) == ["Hall A", "Hall B", "Without a place"]
    assert "Nobody has asked it yet." in content
    assert "96" in content


def test_numbers_count_by_state_and_keep_the_other_filters(farm: None, page: Client) -> None:
    def numbers(query: str) -> list[str]:
        return re.findall(r"</span><b>(\d+)</b></a>", page.get(LIST + query).content.decode())

    assert numbers("") == ["1", "1", "2", "1", "2"]
    assert numbers("?state=printing&place=Hall+A") == ["1", "0", "0", "1", "0"]
    assert 'href="?place=Hall+A&amp;state=ready"' in page.get(LIST + "?place=Hall+A&page=2").content.decode()


def test_a_search_that_finds_nothing_says_so_and_keeps_what_was_typed(farm: None, page: Client) -> None:
    content = page.get(LIST + "?q=%3Cb%3Egone").content.decode()

    assert "No printer is like that" in content
    assert 'value="&lt;b&gt;gone"' in content


def test_nobody_else_is_told_of_them(farm: None, page: Client, settings: object) -> None:
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger"))

    content = stranger.get(LIST).content.decode()

    assert "Your farm has no printers yet" in content
    assert "Hall A" not in content


def test_who_may_only_look_gets_nothing_to_tick(make: Make, page: Client) -> None:
    one = make(name="Heron", state="printing")
    crew, hall = Group.objects.create(name="Design"), PrinterGroup.objects.create(name="Hall A")
    Role.objects.create(user_group=crew, printer_group=hall, action="view")
    Membership.objects.create(group=hall, printer=one)
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(crew)
    looks = Client()
    looks.force_login(viewer)

    assert 'name="printer"' in page.get(LIST).content.decode()
    assert "Heron" in looks.get(LIST).content.decode()
    assert 'name="printer"' not in looks.get(LIST).content.decode()


def test_long_names_and_other_scripts_stand_in_their_own_direction(make: Make, page: Client) -> None:
    make(name="چاپگر شمارهٔ ۷", place="<script>", tags=["<b>"], state="ready")

    content = page.get(LIST).content.decode()

    assert '<bdi class="name">چاپگر شمارهٔ ۷</bdi>' in content
    assert "<script>" not in content.replace("<script src", "")
    assert "<b>" not in content.partition("<tbody")[2].partition("</tbody>")[0]


# ----- statements


def fill(maren: User, count: int) -> None:
    printers = Printer.objects.bulk_create(
        Printer(profile=maren.profile, ip_address=f"http://192.0.2.7:{number + 1}", api_key=KEY)
        for number in range(count)
    )
    Machine.objects.bulk_create(
        Machine(printer=printer, name=f"Machine {printer.pk}", place=f"Hall {printer.pk % 7}") for printer in printers
    )
    states = list(State)
    looking.keep([(p.pk, Seen(states[n % 13], "a.gcode")) for n, p in enumerate(printers)], timezone.now())


PINNED = {"": 7, "?view=tiles": 8, "?q=machine&place=Hall+3&sort=-ends": 7, "?page=2": 7}
"""Session, user, side, numbers, printers, rights, places and tags; for tiles what is due."""


@pytest.mark.parametrize("count", [10, 1000])
def test_the_list_takes_as_many_statements_however_many_there_are(
    count: int, maren: User, page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(maren, count)
    for query, number in PINNED.items():
        with django_assert_num_queries(number):
            assert page.get(LIST + query).status_code == 200


@pytest.mark.parametrize("count", [10, 1000])
def test_the_page_of_one_takes_the_same_among_many(
    count: int, maren: User, page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(maren, count)
    pk = Printer.objects.order_by("pk").values_list("pk", flat=True)[5]
    # Session, user, side, printer, operate, manage, roles; three of its history; its last prints, and their rate;
    # planned work, its log, rules about it.
    with django_assert_num_queries(15):
        assert page.get(f"/printers/{pk}/").status_code == 200
    for path, number in (("edit", 6), ("cancel", 4), ("delete", 4), ("out-of-order", 4)):
        with django_assert_num_queries(number):
            assert page.get(f"/printers/{pk}/{path}/").status_code == 200


@pytest.mark.parametrize("count", [10, 1000])
def test_an_export_is_five_statements(
    count: int, maren: User, page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(maren, count)
    with django_assert_num_queries(5):  # Session, user, side, numbers, printers.
        content = page.get("/printers/export/").content.decode()
    assert len(content.splitlines()) == count + 1
