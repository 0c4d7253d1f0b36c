"""The page of the farm: what it shows to whom, in which order, and what an update costs."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import profiles
from accounts.people.models import Person
from core.moves import standing
from core.sides import sending
from core.sides.models import Side
from monitoring.dashboard import numbers, sight, tiles
from monitoring.maintenance.models import Task
from monitoring.models import Lease
from printers import looking
from printers.clients.base import Seen
from printers.fleet.models import LastSeen, Machine, Membership, PrinterGroup, Role
from printers.models import Printer
from printers.states import State
from rehome.models import MoveRun, Phase
from tests.printers.pages.conftest import KEY, Make
from tests.printers.pages.test_listing import fill

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
COUNTS = r"</span><b>(\d+)</b></a>"


@pytest.fixture(autouse=True)
def _minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """No minute ends while a test runs."""
    monkeypatch.setattr(sight, "minute", lambda: 7)


@pytest.fixture
def farm(make: Make) -> dict[str, Printer]:
    now = timezone.now()
    ends = {"ends_at": now + timedelta(minutes=9), "file": "clip.gcode", "progress": 96.0}
    later = {"ends_at": now + timedelta(hours=2), "file": "lid.gcode", "progress": 38.0}
    made = [
        make("http://192.0.2.1", name="Godwit", place="Hall A", state="ready", tags=["PETG", "big"]),
        make("http://192.0.2.2", name="Sanderling", place="Hall B", state="printing", seen=later, kind="moonraker"),
        make("http://192.0.2.3", name="Avocet", place="Hall A", state="attention", seen={"message": "Out of filament"}),
        make("http://192.0.2.4", name="Dunlin", place="Hall B", state="printing", seen=ends, tags=["PETG"]),
        make("http://192.0.2.5", name="Plover", place="Hall B", state="refused"),
        make("http://192.0.2.6", name="Dotterel", state="ready", out_of_order_since=now, out_of_order_why="fan"),
    ]
    LastSeen.objects.filter(printer=made[4]).update(since=now - timedelta(hours=1))
    return {printer.name: printer for printer in made}


def names(response: HttpResponse) -> list[str]:
    """Of the tiles, in their order."""
    return re.findall(r'<h3><a href="/printers/\d+/"><bdi class="name">(.*?)</bdi>', response.content.decode())


def tag_of(response: HttpResponse) -> str:
    """What the page will ask with."""
    [written] = re.findall(r'id="farm"[^>]* hx-headers="(.*?)"', response.content.decode())
    return str(json.loads(unescape(written))["If-None-Match"])


def ask(client: Client, etag: str = "", query: str = "", path: str = "/live/") -> HttpResponse:
    return client.get(path + query, headers=HTMX | ({"If-None-Match": etag} if etag else {}))


# ----- what is shown


def test_it_begins_with_the_sentence_and_the_most_urgent(farm: dict[str, Printer], page: Client) -> None:
    response = page.get("/")

    content = response.content.decode()
    assert "<title>2 need you · Print farm</title>" in content
    assert "2 machines need you" in content
    assert "The next plate is ready in 9\N{NO-BREAK SPACE}min." in content
    assert re.findall(COUNTS, content) == ["0", "2", "2", "1", "1"]
    assert names(response) == ["Plover", "Avocet", "Dunlin", "Sanderling", "Godwit", "Dotterel"]
    assert re.findall(r"<details[^>]*id=\"sec-off\"(.*?)>", content) == [""], "What is off is folded."


def test_when_nothing_needs_anybody_it_says_what_comes_next(farm: dict[str, Printer], page: Client) -> None:
    Printer.objects.filter(pk__in=[farm["Plover"].pk, farm["Avocet"].pk]).delete()

    content = page.get("/").content.decode()

    assert "<title>Nothing needs you · Print farm</title>" in content
    assert "in 9\N{NO-BREAK SPACE}min, at <time" in content
    assert "on <bdi>Dunlin</bdi>" in content
    assert '<b class="pip" id="pip" hidden>' in content


def test_a_number_filters(farm: dict[str, Printer], page: Client) -> None:
    assert names(page.get("/?state=printing")) == ["Dunlin", "Sanderling"]
    assert "None is in this state" in page.get("/?state=waiting").content.decode()
    assert 'href="?by=place&amp;state=ready"' in page.get("/?by=place&state=off").content.decode()


@pytest.mark.parametrize(
    ("by", "sections"),
    [
        ("place", {"Hall A": ["Avocet", "Godwit"], "Hall B": ["Plover", "Dunlin", "Sanderling"],
                   "Without a place": ["Dotterel"]}),
        ("kind", {"Moonraker": ["Sanderling"], "OctoPrint": ["Plover", "Avocet", "Dunlin", "Godwit", "Dotterel"]}),
        ("tag", {"big": ["Godwit"], "PETG": ["Dunlin", "Godwit"],
                 "Without a tag": ["Plover", "Avocet", "Sanderling", "Dotterel"]}),
    ],
)  # fmt: skip
def test_it_is_grouped_by_place_kind_or_tag(
    by: str, sections: dict[str, list[str]], farm: dict[str, Printer], page: Client
) -> None:
    written = page.get(f"/?by={by}").content.decode().split('<section class="sec"')[1:]

    found = {re.findall(r'<bdi class="name">(.*?)</bdi>', each)[0]: each for each in written}
    assert list(found) == list(sections)
    for heading, each in found.items():
        assert re.findall(r'<h3><a[^>]*><bdi class="name">(.*?)</bdi>', each) == sections[heading]


def test_an_empty_farm_says_how_to_begin(page: Client) -> None:
    content = page.get("/").content.decode()

    assert "Your farm has no printers yet" in content
    assert "/printers/add/" in content


def test_an_address_full_of_nonsense_shows_the_farm(farm: dict[str, Printer], page: Client) -> None:
    assert len(names(page.get("/?by=x%20y&state=nonsense&by=<script>"))) == 6


def test_the_wall_shows_all_that_calls_and_nothing_to_press(farm: dict[str, Printer], page: Client) -> None:
    content = page.get("/wall/").content.decode()

    main = content.partition("<main")[2].partition("</main>")[0]
    assert re.findall(r'<h3><bdi class="name">(.*?)</bdi>', main) == ["Plover", "Avocet", "Dunlin", "Sanderling"]
    assert "Godwit" in main
    assert not re.search(r"<(a|button|input|select)\b", main)
    assert '<nav class="nav"' not in content


def test_many_are_counted_and_some_are_shown(maren: User, page: Client) -> None:
    fill(maren, 390)

    response = page.get("/")

    assert re.findall(COUNTS, response.content.decode()) == ["90", "90", "90", "30", "90"]
    assert len(names(response)) == 24 * 5
    assert "All 30 ready" in response.content.decode()
    assert 'data-density="compact"' in response.content.decode()
    assert len(names(page.get("/?state=printing"))) == 90


# ----- updates


def test_an_update_of_an_unchanged_farm_is_one_read_beside_session_and_user(
    farm: dict[str, Printer], page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    etag = tag_of(page.get("/"))
    for path in ("/live/", "/wall/live/"):
        etag = tag_of(page.get(path.replace("live/", "")))
        standing.forget()  # Five seconds later: what was remembered of the moves is too old.
        with django_assert_num_queries(3):
            response = ask(page, etag, path=path)

        assert (response.status_code, response.content) == (304, b"")


def test_a_change_brings_tiles_title_and_number(farm: dict[str, Printer], page: Client) -> None:
    etag = tag_of(page.get("/"))
    looking.keep([(farm["Plover"].pk, Seen(State.READY))], timezone.now())

    response = ask(page, etag)

    content = response.content.decode()
    assert response.status_code == 200
    assert content.lstrip().startswith("<title>1 needs you")
    assert 'id="pip" hx-swap-oob="true">1<' in content
    assert names(response)[0] == "Avocet"
    assert tag_of(response) == response["ETag"] != etag
    assert ask(page, response["ETag"]).status_code == 304


def test_it_says_when_nobody_asks_the_printers_any_more(farm: dict[str, Printer], page: Client) -> None:
    asked = Lease.objects.create(kind="octoprint", holder="a", until=timezone.now(), polled_at=timezone.now())
    etag = tag_of(page.get("/"))
    assert ask(page, etag).status_code == 304
    assert "Nobody has asked" not in page.get("/").content.decode()

    Lease.objects.filter(pk=asked.pk).update(polled_at=timezone.now() - timedelta(minutes=5))

    assert "Nobody has asked the printers since" in ask(page, etag).content.decode()
    assert "Nobody has asked the printers since" in page.get("/wall/").content.decode()


def share(maren: User, other: User) -> None:
    for user in (maren, other):
        profile = profiles.ensure(user)
        type(profile).objects.filter(pk=profile.pk).update(organization="Coast")
        Person.objects.update_or_create(
            profile=profile, defaults={"confirmed_organization": "Coast", "shares_printers": True}
        )


OTHERWISE: dict[str, Callable[[User, Client, pytest.MonkeyPatch], object]] = {
    "a group of users": lambda user, page, patch: user.groups.add(Group.objects.create(name="Crew")),
    "staff": lambda user, page, patch: User.objects.filter(pk=user.pk).update(is_staff=True),
    "an organization": lambda user, page, patch: share(user, User.objects.create_user("ada")),
    "the minute": lambda user, page, patch: patch.setattr(sight, "minute", lambda: 8),
    "the language": lambda user, page, patch: patch.setattr(sight.translation, "get_language", lambda: "nb"),
    "the zone": lambda user, page, patch: patch.setattr(
        sight.timezone, "get_current_timezone_name", lambda: "Europe/Oslo"
    ),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_what_decides_about_the_page_is_in_its_tag(
    what: str, farm: dict[str, Printer], maren: User, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = tag_of(page.get("/"))

    OTHERWISE[what](maren, page, monkeypatch)

    assert ask(page, etag).status_code == 200


def test_another_page_and_another_person_have_another_tag(farm: dict[str, Printer], page: Client) -> None:
    staff = Client()
    staff.force_login(User.objects.create_superuser("root"))
    tags = [tag_of(client.get(path)) for client in (page, staff) for path in ("/", "/wall/", "/?by=tag", "/?state=off")]

    assert len(set(tags)) == len(tags)


def test_a_move_that_goes_on_is_noticed_with_the_next_update(farm: dict[str, Printer], page: Client) -> None:
    etag = tag_of(page.get("/"))
    assert standing.uses_of(standing.PRINTERS) == "both"
    assert MoveRun.objects.filter(move__startswith=standing.PRINTERS).update(phase=Phase.BACK)

    response = ask(page, etag)

    assert standing.uses_of(standing.PRINTERS) == "source"
    assert (response.status_code, response["HX-Refresh"]) == (200, "true"), "Not five seconds later."


def test_who_is_sent_to_the_old_side_follows_with_the_next_update(
    farm: dict[str, Printer], maren: User, page: Client
) -> None:
    etag = tag_of(page.get("/"))
    sending.send_user(maren, Side.OLD)

    response = ask(page, etag)

    assert (response.status_code, response["HX-Refresh"]) == (200, "true")
    assert response.content == b""
    assert page.get("/")["Location"] == "/portal/printers/"


def test_who_is_no_longer_logged_in_gets_no_form_into_the_page(farm: dict[str, Printer], page: Client) -> None:
    etag = tag_of(page.get("/"))
    page.logout()

    response = ask(page, etag)

    assert (response.status_code, response.content, response["HX-Refresh"]) == (200, b"", "true")


# ----- whose it is


@pytest.fixture
def viewer(farm: dict[str, Printer]) -> User:
    """Somebody who may look at Plover alone."""
    crew, hall = Group.objects.create(name="Design"), PrinterGroup.objects.create(name="Hall A")
    Role.objects.create(user_group=crew, printer_group=hall, action="view")
    Membership.objects.create(group=hall, printer=farm["Plover"])
    viewer = User.objects.create_user("viewer")
    viewer.groups.add(crew)
    return viewer


PATHS = [
    "/",
    "/live/",
    "/wall/",
    "/wall/live/",
    "/?by=place",
    "/?by=tag",
    "/?by=kind",
    "/?state=off",
    "/live/?by=place",
]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_anothers_is_in_no_number_and_no_tile(
    path: str, farm: dict[str, Printer], viewer: User, settings: object
) -> None:
    client = Client()
    client.force_login(viewer)

    content = client.get(path, headers=HTMX).content.decode()

    assert [name for name in farm if name != "Plover" and name in content] == []
    assert not re.search(r"PETG|Hall A|clip\.gcode|lid\.gcode|Moonraker", content.partition("<main")[2])
    assert sum(map(int, re.findall(r"</span><b>(\d+)</b>", content))) == 1
    assert "1 machine needs you" in content
    assert "The next plate" not in content


def test_who_may_only_look_gets_no_button_that_acts(farm: dict[str, Printer], viewer: User, page: Client) -> None:
    client = Client()
    client.force_login(viewer)

    assert "Give a new key" in page.get("/").content.decode()
    assert "data-acts" in page.get("/").content.decode()
    content = client.get("/").content.decode().partition("<main")[2].partition("</main>")[0]
    assert "data-acts" not in content
    assert "Give a new key" not in content


def test_a_right_that_is_taken_is_gone_with_the_next_update(farm: dict[str, Printer], viewer: User) -> None:
    client = Client()
    client.force_login(viewer)
    etag = tag_of(client.get("/"))

    viewer.groups.clear()
    response = ask(client, etag)

    assert response.status_code == 200
    assert "Plover" not in response.content.decode()
    assert "Your farm has no printers yet" in response.content.decode()


# ----- the number on every page


def test_the_number_stands_on_every_page(farm: dict[str, Printer], page: Client) -> None:
    page.get("/")
    for path in ("/printers/", "/printers/?place=Hall+A", "/printers/add/", f"/printers/{farm['Godwit'].pk}/"):
        assert re.search(r'id="pip">2<', page.get(path).content.decode()), path


def test_a_page_pays_for_the_number_once_in_a_while(
    farm: dict[str, Printer], maren: User, page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    numbers._remembered[maren.pk] = numbers.NEVER
    with django_assert_num_queries(4):  # Session, user, side, number.
        page.get("/printers/add/")
    with django_assert_num_queries(3):
        page.get("/printers/add/")


# ----- statements


PINNED = {"/": 9, "/?by=place": 9, "/?by=tag": 10, "/?state=printing": 7, "/wall/": 9, "/live/": 9, "/wall/live/": 9}
"""Session, user, side, what decides, sections, tiles, due; where any calls, rights and prints; for tags, numbers."""


@pytest.mark.parametrize("count", [10, 1000])
def test_a_page_takes_as_many_statements_however_many_there_are(
    count: int, maren: User, page: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(maren, count)
    for path, number in PINNED.items():
        with django_assert_num_queries(number):
            assert page.get(path).status_code == 200


def test_the_keys_of_printers_are_on_no_page(farm: dict[str, Printer], page: Client) -> None:
    Machine.objects.update(password="a password of PrusaLink")
    for path in PATHS:
        content = page.get(path).content.decode()
        assert KEY not in content
        assert "a password" not in content


# ----- tiles


def test_a_tile_that_is_the_same_is_written_once_a_minute_whoever_looks(
    farm: dict[str, Printer], page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = count_of(monkeypatch)
    page.get("/")
    assert sorted(written) == sorted(farm)

    staff = Client()
    staff.force_login(User.objects.create_superuser("root"))
    staff.get("/")
    assert len(written) == 6, "The same for another, who may do the same."

    looking.keep([(farm["Plover"].pk, Seen(State.READY))], timezone.now())
    page.get("/")
    assert written[6:] == ["Plover"]

    monkeypatch.setattr(sight, "minute", lambda: 8)
    page.get("/")
    assert len(written) == 13


def count_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of printers whose tile is written from now on."""
    written, write = [], tiles.render_to_string

    def counted(template: str, context: dict[str, Any]) -> Any:
        written.append(context["printer"].name)
        return write(template, context)

    monkeypatch.setattr(tiles, "render_to_string", counted)
    tiles._text.cache_clear()
    return written


def test_a_tile_is_each_readers_own(farm: dict[str, Printer], maren: User, viewer: User, page: Client) -> None:
    """Rights, clocks and words are not another's, though the farm is."""
    looks = {"utc": page.get("/").content.decode()}
    Person.objects.update_or_create(profile=profiles.ensure(maren), defaults={"time_zone": "Asia/Tehran"})
    other = Client()
    other.force_login(maren)
    looks["tehran"] = other.get("/").content.decode()
    other.force_login(viewer)
    looks["viewer"] = other.get("/").content.decode()

    ends_at = LastSeen.objects.get(printer=farm["Sanderling"]).ends_at
    for reader, zone in {"utc": "UTC", "tehran": "Asia/Tehran"}.items():
        assert f">{ends_at.astimezone(ZoneInfo(zone)):%H:%M}</time>" in tile_of(looks[reader], "Sanderling")
    assert "Give a new key" in tile_of(looks["utc"], "Plover")
    assert "Give a new key" not in tile_of(looks["viewer"], "Plover")


def tile_of(content: str, name: str) -> str:
    [found] = [each for each in content.split("<article")[1:] if f'<bdi class="name">{name}</bdi>' in each]
    return found.partition("</article>")[0]


@pytest.mark.parametrize("name", ["Plover", "Sanderling", "Godwit"])
def test_what_is_due_stands_on_every_tile(name: str, farm: dict[str, Printer], page: Client) -> None:
    long_ago = timezone.now() - timedelta(days=40)
    Task.objects.create(printer=farm[name], what="Oil the rods", every_days=30, done_at=long_ago)

    for path in ("/", "/printers/?view=tiles"):
        assert "Oil the rods: overdue by 10 days" in tile_of(page.get(path).content.decode(), name)
