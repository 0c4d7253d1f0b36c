"""Printers by the API: what is shown to whom, added, changed, deleted; no key comes out."""

import json
import time
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring.alerts.models import Channel
from printers import looking
from printers.clients.base import Seen
from printers.clients.probing import Found
from printers.fleet.models import Machine, Membership, PrinterGroup
from printers.models import Printer
from printers.states import State
from tests.api.conftest import program, send
from tests.printers.pages.conftest import KEY, Serve, octoprint, serve
from tests.url_map import people
from tests.url_map.people import Farm

__all__ = ["serve"]  # The fixture.

WHOLE = "/api/v1/printers/"


@pytest.fixture
def owner(farm: Farm) -> Client:
    return program(farm.owner)


@pytest.fixture
def one(farm: Farm) -> str:
    return f"{WHOLE}{farm.printer.pk}/"


def test_what_is_known_and_seen_of_a_printer(farm: Farm, one: str) -> None:
    now = timezone.now()
    warm = {"tool0": {"actual": 214.5, "target": 215.0}}
    seen = Seen(State.PRINTING, "clip.gcode", 61.5, now, warm, "")
    looking.keep([(farm.printer.pk, seen)], now)
    shown = program(farm.viewer, writes=False).get(one).json()

    assert (shown["name"], shown["address"], shown["kind"]) == (people.NAME, people.ADDRESS, "octoprint")
    assert shown["may"] == ["view"]
    assert shown["groups"] == [PrinterGroup.objects.get().pk]
    assert (shown["now"]["state"], shown["now"]["file"], shown["now"]["progress"]) == ("printing", "clip.gcode", 61.5)
    assert shown["now"]["temperatures"] == warm
    assert program(farm.manager).get(one).json()["may"] == ["view", "operate", "manage"]
    assert program(farm.owner).get(f"/api/v1/printers/{farm.printer.pk}/state/").json()["state"] == "printing"


def test_one_that_nobody_has_asked_has_no_state(one: str, owner: Client) -> None:
    Machine.objects.all().delete()
    shown = owner.get(one).json()

    assert shown["now"]["state"] is None
    assert (shown["name"], shown["has_camera"], shown["out_of_order"]) == (people.ADDRESS, False, None)


def test_passwords_in_addresses_are_hidden(one: str, farm: Farm, owner: Client) -> None:
    Printer.objects.update(ip_address="http://maker:geheim@10.0.0.9/")
    Machine.objects.update(camera="http://maker:geheim@10.0.0.9/snapshot")
    response = owner.get(one)

    assert response.json()["address"] == "http://[hidden]@10.0.0.9/"
    assert response.json()["has_camera"] is True
    assert "geheim" not in response.content.decode()


ADDRESSES = [
    "http://maker:geheim@10.0.0.9/", "maker:geheim@10.0.0.9", "https://geheim@10.0.0.9:8443/x?y#z", "http://a:b@geheim@h",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_sentence_has_the_password_of_an_address(address: str, one: str, farm: Farm, owner: Client) -> None:
    """The monolith took such addresses; a printer without a name is called by its address."""
    Printer.objects.update(ip_address=address)
    Machine.objects.update(name="")
    rule = {"states": ["error"], "printer": farm.printer.pk, "channels": [Channel.objects.create(user=farm.owner).pk]}
    with mock.patch("printers.looking.look_at"):
        answers = [
            send(owner, "POST", f"{one}pause/"),
            send(owner, "POST", f"{one}out-of-order/", {"why": "It leaks."}),
            send(owner, "POST", f"{WHOLE}act/", {"do": "in-service", "printers": [farm.printer.pk]}),
            send(owner, "POST", f"{one}in-service/"),
            send(owner, "PATCH", one, {"address": "http://10.0.0.8/"}),
            send(owner, "POST", WHOLE, {"address": "http://10.0.0.9/"}),
            send(owner, "POST", "/api/v1/alerts/rules/", rule),
            owner.get(f"{one}files/"),
        ]
    page = Client()
    page.force_login(farm.owner)
    answers += [page.get(path) for path in ("/", "/printers/", f"/printers/{farm.printer.pk}/")]

    assert [answer.status_code for answer in answers[:2]] == [409, 200]
    assert [answer.status_code for answer in answers[-3:]] == [200, 200, 200]
    assert not [answer.content for answer in answers if "geheim" in answer.content.decode()]
    assert "[hidden]@" in answers[0].json()["detail"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_search_and_no_cursor_finds_it_either(address: str, farm: Farm) -> None:
    Printer.objects.update(ip_address=address)
    Machine.objects.update(name="")
    other = Printer.objects.create(ip_address="http://z", api_key="z")
    Membership.objects.create(group=PrinterGroup.objects.get(), printer=other)
    viewer = program(farm.viewer, writes=False)

    assert viewer.get(f"{WHOLE}?q=geh").json()["results"] == []
    assert len(viewer.get(f"{WHOLE}?q=hidden").json()["results"]) == 1
    first = viewer.get(f"{WHOLE}?ordering=name&limit=1").json()
    [cursor] = parse_qs(urlsplit(first["next"]).query)["cursor"]
    place = signing.b64_decode(cursor.partition(":")[0].encode()).decode()
    assert first["results"][0]["name"] == json.loads(place)["at"]
    assert "geheim" not in place


def test_an_etag_tells_nothing_of_what_it_is_made_of(one: str, owner: Client, settings: Any) -> None:
    """A camera's address has a password, which a viewer could guess from a plain hash."""
    before = owner.get(one)["ETag"]
    settings.SECRET_KEY = "another one"

    assert owner.get(one)["ETag"] != before


def test_a_cameras_address_that_is_refused_is_not_repeated(one: str, owner: Client) -> None:
    for wrong in ("http://10.0.0.9:99999/snap?password=geheim", "http://a:geheim@10.0.0.9/", "rtsp://h/?geheim"):
        refused = send(owner, "PATCH", one, {"camera": wrong})
        assert refused.json()["errors"][0]["pointer"] == "#/camera"
        assert "geheim" not in refused.content.decode()


@pytest.mark.parametrize("address", ["http://10.0.0.9:99999", "http://[10.0.0.9"])
def test_an_address_that_is_none_keeps_no_other_from_being_added(address: str, farm: Farm, owner: Client) -> None:
    Printer.objects.create(profile=farm.owner.profile, ip_address=address, api_key="x")
    with mock.patch("printers.clients.asking.find_kind", return_value=Found("Nothing answers.")):
        assert send(owner, "POST", WHOLE, {"address": "http://10.0.0.9"}).json()["detail"] == "Nothing answers."


def test_whoever_may_start_a_print_may_read_it(farm: Farm, one: str) -> None:
    for user in farm.may("operate"):
        client = program(user, writes=False, name="reader")
        assert client.get(one).status_code == client.get(f"{one}state/").status_code == 200
        assert [row["id"] for row in client.get(WHOLE).json()["results"]] == [farm.printer.pk]


def test_a_printer_is_added_after_its_server_was_asked(farm: Farm, owner: Client, serve: Serve) -> None:
    [address] = serve(octoprint("printing", file="clip.gcode"))
    sent = {"address": address, "key": KEY, "name": "Heron", "tags": ["PETG", "new"], "place": "Hall A"}
    response = send(owner, "POST", WHOLE, sent)

    shown = response.json()
    assert response.status_code == 201
    assert (shown["name"], shown["tags"], shown["now"]["state"]) == ("Heron", ["PETG", "new"], "printing")
    assert KEY not in response.content.decode()
    added = Printer.objects.get(pk=shown["id"])
    assert (added.api_key, added.profile.user) == (KEY, farm.owner)

    again = send(owner, "POST", WHOLE, sent | {"name": "Other"})
    assert (again.status_code, again.json()["printer"]) == (409, added.pk)


def test_one_whose_server_refuses_the_key_is_not_added(owner: Client, serve: Serve) -> None:
    [address] = serve(octoprint())
    response = send(owner, "POST", WHOLE, {"address": address, "key": "w" * 43})

    assert response.status_code == 409
    assert "refuses the key" in response.json()["detail"]
    assert Printer.objects.count() == 1


def test_what_is_left_out_of_a_change_stays(one: str, farm: Farm, owner: Client) -> None:
    Machine.objects.update(tags=["PETG"], notes="Clean the bed.", camera="http://10.0.0.9/snap")
    shown = send(owner, "PATCH", one, {"place": "Hall B"}).json()

    assert (shown["place"], shown["tags"], shown["notes"], shown["name"]) == (
        "Hall B", ["PETG"], "Clean the bed.", people.NAME,
    )  # fmt: skip
    printer = Printer.objects.whole().get()
    assert (printer.api_key, printer.known.password, printer.known.camera) == (
        people.KEY, people.PASSWORD, "http://10.0.0.9/snap",
    )  # fmt: skip
    assert Membership.objects.count() == 1


def test_a_key_is_replaced_and_never_shown(one: str, owner: Client) -> None:
    response = send(owner, "PATCH", one, {"key": "another key of it"})

    assert Printer.objects.get().api_key == "another key of it"
    assert "another key" not in response.content.decode()
    send(owner, "PATCH", one, {"key": ""})
    assert Printer.objects.get().api_key == "another key of it"


def test_a_kept_key_is_not_sent_to_another_address(one: str, owner: Client) -> None:
    response = send(owner, "PATCH", one, {"address": "http://10.9.9.9"})

    assert response.status_code == 409
    assert {error["pointer"] for error in response.json()["errors"]} == {"#/key", "#/password"}
    assert Printer.objects.get().ip_address == people.ADDRESS


def test_two_printers_are_not_the_same(one: str, farm: Farm, owner: Client) -> None:
    other = Printer.objects.create(profile=farm.owner.profile, ip_address="http://10.0.0.9", api_key=KEY)
    response = send(owner, "PATCH", one, {"address": other.ip_address, "key": KEY, "password": "x"})

    assert response.status_code == 409
    assert KEY not in response.content.decode()


def test_groups_are_those_whose_printers_one_may_manage(one: str, farm: Farm) -> None:
    hall, other = PrinterGroup.objects.get(), PrinterGroup.objects.create(name="Hall B")
    manager, staff = program(farm.manager), program(farm.staff)

    assert send(manager, "PATCH", one, {"groups": [other.pk]}).status_code == 409
    assert send(staff, "PATCH", one, {"groups": [hall.pk, other.pk]}).json()["groups"] == [hall.pk, other.pk]
    assert manager.get(one).json()["groups"] == [hall.pk]
    assert send(manager, "PATCH", one, {"groups": []}).status_code == 404, "nobody manages what they have left"
    assert list(Membership.objects.values_list("group", flat=True)) == [other.pk]


def test_a_change_is_made_to_what_somebody_has_read(one: str, owner: Client) -> None:
    etag = owner.get(one)["ETag"]
    assert send(owner, "PATCH", one, {"place": "Hall B"}, headers={"If-Match": etag}).status_code == 200
    late = send(owner, "PATCH", one, {"place": "Hall C"}, headers={"If-Match": etag})
    assert (late.status_code, late["Content-Type"]) == (412, "application/problem+json")
    assert send(owner, "DELETE", one, headers={"If-Match": etag}).status_code == 412
    assert Machine.objects.get().place == "Hall B"

    newer = owner.get(one)["ETag"]
    assert send(owner, "PATCH", one, {"place": "Hall D"}, headers={"If-Match": f'"x", {newer}'}).status_code == 200
    assert send(owner, "DELETE", one, headers={"If-Match": "*"}).status_code == 204
    assert not Printer.objects.exists()


def test_what_a_printer_does_is_no_other_version_of_it(one: str, farm: Farm, owner: Client) -> None:
    before = owner.get(one)["ETag"]
    looking.keep([(farm.printer.pk, Seen(State.PRINTING, progress=5.0))], timezone.now())

    assert owner.get(one)["ETag"] == before


def test_an_unchanged_list_is_a_304_without_content(farm: Farm, owner: Client) -> None:
    first = owner.get(WHOLE)
    same = owner.get(WHOLE, headers={"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])

    looking.keep([(farm.printer.pk, Seen(State.PRINTING, progress=5.0))], timezone.now())
    other = owner.get(WHOLE, headers={"If-None-Match": first["ETag"]})
    assert other.status_code == 200
    assert other["ETag"] != first["ETag"]
    assert other["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Cookie"} <= {name.strip() for name in other["Vary"].split(",")}


def test_a_page_with_others_behind_it_is_the_same_a_day_later(farm: Farm) -> None:
    Printer.objects.create(ip_address="http://10.0.0.9", api_key="x")
    staff = program(farm.staff)
    first = staff.get(f"{WHOLE}?limit=1")
    assert first.json()["next"]
    with mock.patch("time.time", return_value=time.time() + 86400):
        same = staff.get(f"{WHOLE}?limit=1", headers={"If-None-Match": first["ETag"]})

    assert same.status_code == 304


def test_lists_of_two_people_have_two_etags(farm: Farm) -> None:
    etag = program(farm.manager).get(WHOLE)["ETag"]
    assert program(farm.viewer).get(WHOLE, headers={"If-None-Match": etag}).status_code == 200


def test_a_list_takes_as_many_statements_for_many_printers_as_for_one(farm: Farm) -> None:
    client = program(farm.manager)
    client.get(WHOLE)
    counts = []
    for number in (0, 30):
        for n in range(number):
            printer = Printer.objects.create(ip_address=f"http://10.0.0.{n}", api_key=f"key {n}")
            Membership.objects.create(group=PrinterGroup.objects.get(), printer=printer)
        with CaptureQueriesContext(connection) as captured:
            client.get(WHOLE)
        counts.append(len(captured))

    assert counts[0] == counts[1] <= 6


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"a", "b", "c"}),
        ("?q=herON", {"a"}),
        ("?q=petg", {"b"}),
        ("?place=Hall+A", {"a", "b"}),
        ("?tag=PETG&place=Hall+A", {"b"}),
        ("?kind=moonraker", {"c"}),
        ("?kind=octoprint", {"a", "b"}),
        ("?state=printing&state=ready", {"a", "b"}),
        ("?counts_under=off", {"c"}),
        ("?group=GROUP", {"a"}),
        ("?state=failed", set()),
    ],
)
def test_filters(query: str, found: set[str], farm: Farm) -> None:
    Printer.objects.all().delete()
    group = PrinterGroup.objects.create(name="Mine")
    facts: dict[str, dict[str, Any]] = {
        "a": {"name": "Heron", "place": "Hall A"},
        "b": {"name": "Knot", "place": "Hall A", "tags": ["PETG"]},
        "c": {"name": "Dunlin", "kind": "moonraker"},
    }
    keys = {}
    for number, (letter, known) in enumerate(facts.items()):
        printer = Printer.objects.create(ip_address=f"http://10.0.0.{number}", api_key=letter)
        Machine.objects.create(printer=printer, **known)
        keys[printer.pk] = letter
        if letter == "a":
            Membership.objects.create(printer=printer, group=group)
    states = {"a": State.READY, "b": State.PRINTING}
    looking.keep([(key, Seen(states[one])) for key, one in keys.items() if one in states], timezone.now())

    rows = program(farm.staff).get(WHOLE + query.replace("GROUP", str(group.pk))).json()["results"]
    assert {keys[row["id"]] for row in rows} == found
