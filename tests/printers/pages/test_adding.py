"""Adding a printer: what answers is said in one sentence, and nothing is saved before the last step."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from django.contrib.auth.models import User
from django.test import Client

from printers.fleet.models import Draft, Kind, LastSeen, Membership, PrinterGroup
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.states import State
from tests.printers.pages.conftest import KEY, Make, Serve, octoprint

ADD = "/printers/add/"
PASSWORD = "a password of PrusaLink"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def ask(page: Client, address: str, **typed: str) -> Any:
    return page.post(ADD, {"address": address, "key": KEY, **typed}, follow=True)


def said(response: Any) -> str:
    return str(response.content.decode())


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (octoprint(), "OctoPrint 1.11.8 answers at {} and takes the key. Its printer is ready."),
        (
            octoprint("disconnected"),
            "OctoPrint 1.11.8 answers at {} and takes the key, but its printer is disconnected.",
        ),
        (octoprint(key="another"), "OctoPrint answers at {}, but refuses the key."),
        (Sample("Wren", "moonraker", key=KEY), "Moonraker"),
    ],
    ids=["ready", "disconnected", "refused", "moonraker"],
)
def test_what_answers_is_said_in_a_sentence(sample: Sample, sentence: str, serve: Serve, page: Client) -> None:
    [address] = serve(sample)

    content = said(ask(page, address))

    assert sentence.format(address.removeprefix("http://")) in content
    assert KEY not in content
    assert not Printer.objects.exists()


def test_nothing_answers(nobody: str, page: Client) -> None:
    content = said(ask(page, nobody))

    assert f"Nothing answers at {nobody}." in content
    assert f'value="http://{nobody}"' in content or f'value="{nobody}"' in content
    assert KEY not in content


class Website(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # As the base class names it.
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello")

    def log_message(self, *args: Any) -> None:
        pass


def test_a_page_that_is_no_printers_server(page: Client) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Website) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        content = said(ask(page, f"127.0.0.1:{site.server_port}"))
        site.shutdown()
        thread.join()

    assert "but no printer’s server" in content


def test_an_address_that_is_not_the_farms(page: Client) -> None:
    assert "isn’t one of the farm’s networks" in said(ask(page, "169.254.10.4"))


@pytest.mark.parametrize(
    "address", ["", "10.20.3", "10.20.3:5000", "a:b@10.0.0.1", "ftp://x", "http://", "a b", "x" * 300, "http://\x00"]
)
def test_what_is_no_address_is_said_under_its_field(address: str, page: Client) -> None:
    response = page.post(ADD, {"address": address, "key": KEY})

    assert response.status_code == 400
    assert 'aria-invalid="true"' in said(response)
    assert KEY not in said(response)


def test_from_an_address_to_a_printer_with_a_name(serve: Serve, page: Client, maren: User) -> None:
    [address] = serve(octoprint("printing", file="clip.gcode"))
    response = ask(page, address.removeprefix("http://"))
    assert "Nothing is saved yet." in said(response)
    step = response.redirect_chain[-1][0]

    response = page.post(step + "name/", {"name": "Curlew", "place": "Hall A", "tags": "PETG, , PETG,0.4"}, follow=True)

    printer = Printer.objects.whole().get()
    assert response.redirect_chain == [(f"/printers/{printer.pk}/", 302)]
    assert (printer.name, printer.known.tags, printer.kind) == ("Curlew", ["PETG", "0.4"], Kind.OCTOPRINT)
    assert (printer.ip_address, printer.api_key, printer.profile.user) == (address, KEY, maren)
    assert printer.state == State.PRINTING
    assert LastSeen.objects.get().file == "clip.gcode"
    assert Draft.objects.get().data == {"saved": printer.pk, "name": "Curlew"}
    again = page.post(step + "name/", {"name": "Curlew"}, follow=True)
    assert again.redirect_chain == [(f"/printers/{printer.pk}/", 302)], "A second click is told the same."
    assert "Curlew is in the farm." in said(again)
    assert Printer.objects.count() == 1
    assert "What was typed is gone" in said(page.get(step + "name/", follow=True))


def test_prusalink_is_opened_by_user_and_password(serve: Serve, page: Client) -> None:
    [address] = serve(Sample("Robin", "prusalink", "ready", password=PASSWORD))
    wanting = said(ask(page, address, key=""))
    assert "wants a user and a password" in wanting

    response = ask(page, address, key="", user="maker", password=PASSWORD)
    page.post(response.redirect_chain[-1][0] + "name/", {"name": "Robin"})

    machine = Printer.objects.whole().get().machine
    assert (machine.kind, machine.user, machine.password) == (Kind.PRUSALINK, "maker", PASSWORD)


def test_octoprint_is_asked_for_a_key_instead(serve: Serve, page: Client) -> None:
    [address] = serve(octoprint())
    response = page.post(ADD, {"address": address, "appkey": "1"}, follow=True)
    waiting = response.redirect_chain[-1][0]
    dialog = Draft.objects.get().data["dialog"]
    assert dialog in said(response)
    assert 'hx-trigger="every 2s"' in said(page.get(waiting, headers={"HX-Request": "true"}))

    decide(dialog, yes="1")
    response = page.get(waiting, headers={"HX-Request": "true"})

    assert response["HX-Redirect"] == waiting.removesuffix("key/")
    assert "takes the key" in said(page.get(response["HX-Redirect"]))
    assert len(Draft.objects.get().data["key"]) > 20


def test_somebody_who_says_no_there_is_asked_again(serve: Serve, page: Client) -> None:
    [address] = serve(octoprint())
    response = page.post(ADD, {"address": address, "appkey": "1"}, follow=True)
    decide(Draft.objects.get().data["dialog"], yes="")

    response = page.get(response.redirect_chain[-1][0], follow=True)

    assert response.redirect_chain == [(ADD, 302)]
    assert "OctoPrint gave no key" in said(response)


def decide(dialog: str, *, yes: str) -> None:
    """As a person on OctoPrint's page does."""
    urlopen(dialog, urlencode({"yes": yes}).encode()).close()  # noqa: S310


def test_a_printer_that_is_in_the_farm_is_named(make: Make, page: Client) -> None:
    heron = make("http://10.20.2.14/", name="Heron")

    content = said(ask(page, "10.20.2.14"))

    assert "This printer is in the farm already, as <bdi>Heron</bdi>." in content
    assert f'href="/printers/{heron.pk}/"' in content


def test_a_name_that_another_has_is_refused_and_what_was_typed_stays(serve: Serve, make: Make, page: Client) -> None:
    make("http://10.20.2.14", name="Curlew", place="Hall B")
    [address] = serve(octoprint())
    step = ask(page, address).redirect_chain[-1][0]

    response = page.post(step + "name/", {"name": "curlew", "notes": "The left fan."})

    assert response.status_code == 400
    assert "Hall B has a Curlew already." in said(response)
    assert "The left fan." in said(response)


def test_the_same_address_and_key_that_somebody_else_has_says_no_more_than_that(serve: Serve, page: Client) -> None:
    [address] = serve(octoprint())
    step = ask(page, address).redirect_chain[-1][0]
    Printer.objects.create(ip_address=address, api_key=KEY)

    response = page.post(step + "name/", {"name": "Curlew"})

    assert response.status_code == 400
    assert "A printer with this address and this key is in the farm already." in said(response)
    assert KEY not in said(response)


def test_nobody_else_gets_at_what_was_typed(serve: Serve, page: Client) -> None:
    [address] = serve(octoprint())
    step = ask(page, address).redirect_chain[-1][0]
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger"))

    for path in (step, step + "name/", step + "key/"):
        assert stranger.get(path)["Location"] == ADD
    assert stranger.post(step + "name/", {"name": "Mine"})["Location"] == ADD
    assert not Printer.objects.exists()


def test_groups_are_offered_to_those_who_manage_them(serve: Serve, page: Client, maren: User) -> None:
    hall, other = PrinterGroup.objects.create(name="Hall A"), PrinterGroup.objects.create(name="Hall B")
    [address] = serve(octoprint())
    step = ask(page, address).redirect_chain[-1][0]
    assert "Hall A" not in said(page.get(step + "name/"))
    maren.is_staff = True
    maren.save()

    page.post(step + "name/", {"name": "Curlew", "groups": [hall.pk]})

    assert list(Membership.objects.values_list("group", flat=True)) == [hall.pk] != [other.pk]
