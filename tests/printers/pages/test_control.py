"""What people do with printers, against samples that speak the real protocols."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from printers import control, looking
from printers.clients.base import Seen
from printers.fleet.models import LastSeen
from printers.models import Printer
from printers.states import State
from tests.printers.pages.conftest import KEY, Make, Serve, octoprint


def messages(response: object) -> str:
    return " ".join(str(message) for message in response.context["messages"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("state", "what", "after", "said"),
    [
        ("printing", "pause", "paused", "Heron is paused."),
        ("paused", "resume", "printing", "Heron prints again."),
        ("printing", "cancel", "cancelled", "The print on Heron is cancelled."),
    ],
)
def test_a_button_does_it_and_what_is_seen_then_is_kept(
    state: str, what: str, after: str, said: str, serve: Serve, make: Make, page: Client
) -> None:
    [address] = serve(octoprint(state, file="clip.gcode"))
    printer = make(address, name="Heron")

    response = page.post(f"/printers/{printer.pk}/{what}/", follow=True)

    assert messages(response) == said
    assert Printer.objects.whole().get().state == after


@pytest.mark.parametrize(
    ("state", "what", "said"),
    [
        ("ready", "pause", "Heron is ready. Only one that prints can be paused."),
        ("printing", "resume", "Heron is printing. Only one that is paused can be resumed."),
        ("ready", "cancel", "Heron is ready. There is no print to cancel."),
        ("disconnected", "pause", "Heron is disconnected. Only one that prints can be paused."),
    ],
)
def test_a_state_that_forbids_it_says_so_in_a_sentence(
    state: str, what: str, said: str, serve: Serve, make: Make, page: Client
) -> None:
    [address] = serve(octoprint(state))
    printer = make(address, name="Heron")

    response = page.post(f"/printers/{printer.pk}/{what}/", follow=True)

    assert said in messages(response)


def test_somebody_may_have_pressed_a_button_on_the_machine(serve: Serve, make: Make, maren: User) -> None:
    sample = octoprint("paused", file="clip.gcode")
    [address] = serve(sample)
    printer = make(address, name="Heron", state="printing")
    LastSeen.objects.update(asked_at="2026-01-01T00:00Z")

    [result] = control.act(maren, "pause", [printer.pk])

    assert (result.done, result.sentence) == (False, "Heron is paused. Only one that prints can be paused.")


def test_a_state_of_tomorrow_is_none(serve: Serve, make: Make, maren: User, page: Client) -> None:
    """The clock was ahead when it was written. Until tomorrow, it would have decided everything."""
    [address] = serve(octoprint("paused", file="clip.gcode"))
    printer = make(address, name="Heron", state="printing")
    LastSeen.objects.update(asked_at=timezone.now() + timedelta(days=1))

    [result] = control.act(maren, "pause", [printer.pk])
    assert (result.done, result.sentence) == (False, "Heron is paused. Only one that prints can be paused.")

    LastSeen.objects.update(asked_at=timezone.now() + timedelta(days=1))
    page.get(f"/printers/{printer.pk}/now/")
    assert LastSeen.objects.get().asked_at <= timezone.now(), "nothing but that it was asked has changed"


@pytest.mark.parametrize("lost", ["printer", "right"])
@pytest.mark.parametrize("what", ["start", "pause"])
def test_whoever_loses_a_printer_while_it_is_asked_does_nothing_with_it(
    what: str, lost: str, make: Make, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    printer = make(name="Heron")

    def asked(endpoints: list[object], deadline_s: float) -> list[Seen]:
        mine = Printer.objects.filter(pk=printer.pk)
        mine.delete() if lost == "printer" else mine.update(profile=None)
        return [Seen(State.READY if what == "start" else State.PRINTING) for _ in endpoints]

    def called(*given: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr("printers.clients.asking.look_many", asked)
    for name in ("files", "start", "act_many"):
        monkeypatch.setattr(f"printers.clients.asking.{name}", called)

    response = page.post(f"/printers/{printer.pk}/{what}/", {"file": "local/a.gcode"})

    assert response.status_code == (404 if what == "start" else 302)


def test_a_file_that_is_on_the_machine_is_started(serve: Serve, make: Make, page: Client) -> None:
    [address] = serve(octoprint())
    printer = make(address, name="Heron")
    start = f"/printers/{printer.pk}/start/"

    assert "gear_m2_z40.gcode" in page.get(start).content.decode()
    assert page.post(start, {"file": "not there.gcode"}).status_code == 400
    response = page.post(start, {"file": "local/gear_m2_z40.gcode"}, follow=True)

    assert messages(response) == "Heron has started its print."
    assert Printer.objects.whole().get().state == State.HEATING


def test_after_a_print_somebody_says_first_how_it_went(serve: Serve, make: Make, page: Client, maren: User) -> None:
    [address] = serve(octoprint("finished", file="clip.gcode"))
    printer = make(address, name="Heron")
    start = f"/printers/{printer.pk}/start/"
    page.get(f"/printers/{printer.pk}/now/")

    assert "Say first how it went" in page.get(start).content.decode()
    refused = page.post(start, {"file": "local/gear_m2_z40.gcode"}, follow=True)
    assert messages(refused) == "Heron has a print on its plate. Say first how it went."
    assert Printer.objects.whole().get().state == State.FINISHED

    LastSeen.objects.update(waits="")
    page.post(start, {"file": "local/gear_m2_z40.gcode"})
    assert Printer.objects.whole().get().state == State.HEATING


def test_out_of_order_has_a_reason_and_nothing_starts_then(serve: Serve, make: Make, page: Client) -> None:
    [address] = serve(octoprint())
    printer = make(address, name="Heron")
    path = f"/printers/{printer.pk}/"

    assert page.post(path + "out-of-order/", {"why": " "}).status_code == 400
    page.post(path + "out-of-order/", {"why": "The fan is loud."})
    assert Printer.objects.whole().get().state == State.OUTOFORDER
    assert "The fan is loud." in page.get(path).content.decode()
    response = page.post(path + "start/", {"file": "local/gear_m2_z40.gcode"}, follow=True)
    assert "Heron is out of order: The fan is loud. Only one that is ready can start a print." in messages(response)

    page.post(path + "in-service/")
    page.get(path + "now/")
    assert Printer.objects.whole().get().state == State.READY


def test_now_asks_the_printer_and_shows_what_it_says(serve: Serve, make: Make, page: Client) -> None:
    [address] = serve(octoprint("printing", file="clip.gcode", duration_s=1000, done_s=620))
    printer = make(address, name="Heron")

    assert "Not asked yet" in page.get(f"/printers/{printer.pk}/").content.decode()
    content = page.get(f"/printers/{printer.pk}/now/", follow=True).content.decode()

    assert "clip.gcode" in content
    assert "Printing 62" in content
    assert "/pause/" in content
    assert "/start/" not in content
    assert KEY not in content
    printer.refresh_from_db()
    assert (printer.ping, printer.printing) == (True, True)


def test_pages_that_ask_by_themselves_take_no_more_than_half_of_a_process(
    make: Make, page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Printers that say nothing are waited for, and everybody else's pages are not."""
    address = f"/printers/{make(name='Heron').pk}/now/"
    asked: list[Printer] = []
    monkeypatch.setattr("printers.looking.look", asked.append)
    with looking.WAITING, looking.WAITING:
        part = page.get(address, headers={"HX-Request": "true"})
        assert "Not asked yet" in part.content.decode()
        assert not asked
        page.get(address)
        assert len(asked) == 1, "Somebody has pressed for it."

    page.get(address, headers={"HX-Request": "true"})
    assert len(asked) == 2


def test_the_page_of_a_printer_that_is_deleted_is_loaded_anew_and_says_so(make: Make, page: Client) -> None:
    printer = make(name="Heron")
    Printer.objects.all().delete()

    part = page.get(f"/printers/{printer.pk}/now/", headers={"HX-Request": "true"})

    assert part["HX-Refresh"] == "true"
    assert page.get(f"/printers/{printer.pk}/").status_code == 404
    assert page.get(f"/printers/{printer.pk}/now/").status_code == 404


def test_a_machine_that_nobody_finds_is_said_to_be(make: Make, page: Client) -> None:
    printer = make("http://127.0.0.1:9", name="Heron")

    content = page.get(f"/printers/{printer.pk}/now/", follow=True).content.decode()

    assert "Unreachable" in content
    assert "Nothing answers at 127.0.0.1:9." in content


def test_a_snapshot_comes_from_the_portal(serve: Serve, make: Make, page: Client) -> None:
    [address] = serve(octoprint())
    printer = make(address, name="Heron", camera=f"{address}/webcam/?action=snapshot")

    assert f'src="/printers/{printer.pk}/camera/"' in page.get(f"/printers/{printer.pk}/").content.decode()
    picture = page.get(f"/printers/{printer.pk}/camera/")

    assert picture["Content-Type"].startswith("image/")


# ----- a selection


def test_an_action_on_a_selection_is_done_where_the_state_allows_it(serve: Serve, make: Make, page: Client) -> None:
    addresses = serve(octoprint("printing", file="a.gcode"), octoprint("printing", file="b.gcode"), octoprint())
    printers = [make(address, name=f"P{number}") for number, address in enumerate(addresses)]

    response = page.post(
        "/printers/selected/",
        {"do": "pause", "printer": [one.pk for one in printers], "next": "/printers/?q=P"},
        follow=True,
    )

    assert response.redirect_chain == [("/printers/?q=P", 302)]
    assert messages(response) == "2 printers are paused. P2 is ready. Only one that prints can be paused."
    states = [one.state for one in Printer.objects.whole().order_by("pk")]
    assert states == [State.PAUSED, State.PAUSED, State.READY]


@pytest.mark.parametrize("what", ["cancel", "out", "delete"])
def test_what_cannot_be_undone_is_asked_first(what: str, make: Make, page: Client) -> None:
    printers = [make(f"http://127.0.0.1:{9 + n}", name=f"P{n}", state="printing") for n in range(2)]
    given = {"do": what, "printer": [one.pk for one in printers]}

    asked = page.post("/printers/selected/", given)

    assert asked.status_code == 200
    assert "P0" in asked.content.decode()
    assert Printer.objects.count() == 2
    if what == "delete":
        page.post("/printers/selected/", given | {"confirmed": "1"})
        assert not Printer.objects.exists()
    if what == "out":
        assert page.post("/printers/selected/", given | {"confirmed": "1"}).status_code == 400
        page.post("/printers/selected/", given | {"confirmed": "1", "why": "moving"})
        assert {one.state for one in Printer.objects.whole()} == {State.OUTOFORDER}


def test_others_printers_in_a_selection_are_as_if_they_were_not_there(make: Make, page: Client) -> None:
    mine = make(name="Mine")
    theirs = Printer.objects.create(ip_address="http://192.0.2.9", api_key="k")

    page.post("/printers/selected/", {"do": "delete", "confirmed": "1", "printer": [mine.pk, theirs.pk]})

    assert list(Printer.objects.all()) == [theirs]


@pytest.mark.parametrize(
    "given", [{}, {"do": "pause"}, {"do": "explode", "printer": "1"}, {"do": "pause", "printer": ["x", "٣", "9" * 40]}]
)
def test_a_selection_of_nothing_does_nothing(given: dict[str, object], page: Client) -> None:
    response = page.post("/printers/selected/", given | {"next": "https://elsewhere.example/"}, follow=True)

    assert response.redirect_chain == [("/printers/", 302)]


@pytest.mark.parametrize("what", ["pause", "cancel", "out", "in", "delete"])
def test_a_selection_of_others_printers_is_left_alone_and_said_to_be(what: str, page: Client) -> None:
    theirs = Printer.objects.create(ip_address="http://192.0.2.8", api_key="theirs")

    response = page.post(
        "/printers/selected/", {"do": what, "printer": theirs.pk, "confirmed": "1", "why": "x"}, follow=True
    )

    assert "None of them is there for you to do this with." in response.content.decode()
    assert Printer.objects.get() == theirs
