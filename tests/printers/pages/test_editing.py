"""Editing and deleting: keys are replaced or kept, and never shown."""

import pytest
from django.test import Client

from printers.fleet.models import LastSeen, Machine
from printers.models import Printer
from printers.states import State
from tests.printers.pages.conftest import KEY, Make, Serve, octoprint

PASSWORD = "a password of PrusaLink"


def form(printer: Printer, **changed: str) -> dict[str, str]:
    return {"name": "Heron", "kind": "octoprint", "address": printer.ip_address, **changed}


def test_an_empty_key_keeps_the_one_that_is_there(make: Make, page: Client) -> None:
    printer = make(name="Heron", password=PASSWORD, tags=["a", "b"])
    path = f"/printers/{printer.pk}/edit/"
    shown = page.get(path).content.decode()
    assert "a, b" in shown
    assert not [secret for secret in (KEY, PASSWORD) if secret in shown]

    response = page.post(path, form(printer, name="Crane", tags="c"))

    assert response["Location"] == f"/printers/{printer.pk}/"
    now = Printer.objects.whole().get()
    assert (now.name, now.known.tags, now.api_key, now.known.password) == ("Crane", ["c"], KEY, PASSWORD)


def test_a_printer_that_nobody_has_named_gets_a_name(make: Make, page: Client) -> None:
    printer = make()
    page.post(f"/printers/{printer.pk}/edit/", form(printer))

    assert Machine.objects.get().name == "Heron"


def test_another_key_is_tried_at_once(serve: Serve, make: Make, page: Client) -> None:
    [address] = serve(octoprint(key="the new key"))
    printer = make(address, name="Heron", state="refused")

    page.post(f"/printers/{printer.pk}/edit/", form(printer, key="the new key"))

    assert Printer.objects.whole().get().state == State.READY


def test_a_key_does_not_go_to_another_address_by_itself(make: Make, page: Client) -> None:
    printer = make("http://10.20.2.14", name="Heron", password=PASSWORD)
    path = f"/printers/{printer.pk}/edit/"

    response = page.post(path, form(printer, address="http://10.66.6.6"))

    assert response.status_code == 400
    assert "The key was for http://10.20.2.14. Type the one of the new address." in response.content.decode()
    assert Printer.objects.get().ip_address == "http://10.20.2.14"
    assert page.post(path, form(printer, address="http://10.20.2.14/")).status_code == 302


def test_address_and_key_of_another_printer_are_refused_without_saying_the_key(make: Make, page: Client) -> None:
    make("http://127.0.0.1:9", name="Crane")
    printer = make("http://127.0.0.1:10", key="other", name="Heron")

    response = page.post(f"/printers/{printer.pk}/edit/", form(printer, address="http://127.0.0.1:9", key=KEY))

    assert response.status_code == 400
    assert "is in the farm already" in response.content.decode()
    assert KEY not in response.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "n" * 201), ("tags", "t" * 51), ("tags", "a, b\0"), ("camera", "no address"), ("key", "k" * 129),
        ("address", ""),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_and_the_rest_is_kept(field: str, value: str, make: Make, page: Client) -> None:
    printer = make(name="Heron")

    response = page.post(f"/printers/{printer.pk}/edit/", form(printer, notes="The left fan.", **{field: value}))

    assert response.status_code == 400
    assert "The left fan." in response.content.decode()
    assert response.content.decode().count('class="err"') == 1


def test_deleting_asks_first_and_takes_along_what_is_known(make: Make, page: Client) -> None:
    printer = make(name="Heron", state="ready")
    path = f"/printers/{printer.pk}/delete/"

    assert "Delete <bdi>Heron</bdi>?" in page.get(path).content.decode()
    assert Printer.objects.exists()
    page.post(path)

    assert not Printer.objects.exists()
    assert not Machine.objects.exists()
    assert not LastSeen.objects.exists()


@pytest.mark.parametrize("name", ["\u200b", "Her\non"])
def test_a_name_that_nobody_could_click_is_refused(name: str, make: Make, page: Client) -> None:
    printer = make(name="Heron")

    response = page.post(f"/printers/{printer.pk}/edit/", form(printer, name=name))

    assert response.status_code == 400
    assert "at least one character that can be seen" in response.content.decode()


# ----- two tabs


def opened(page: Client, printer: Printer) -> dict[str, str]:
    """What the page of the form sends back unseen."""
    was = page.get(f"/printers/{printer.pk}/edit/").context["form"].was
    return {"was": was}


def test_two_who_edit_different_things_lose_neither(make: Make, page: Client) -> None:
    printer = make(name="Heron", place="Hall A", tags=["b", "a"], notes="one\ntwo")
    path = f"/printers/{printer.pk}/edit/"
    mine, theirs = opened(page, printer), opened(page, printer)
    same = {"tags": "b, a", "notes": "one\r\ntwo"}

    page.post(path, form(printer, place="Hall B", tags="c", notes="three", **theirs))
    response = page.post(path, form(printer, name="Crane", place="Hall A", **mine, **same))

    assert response.status_code == 302
    now = Machine.objects.get()
    assert (now.name, now.place, now.tags, now.notes) == ("Crane", "Hall B", ["c"], "three")


def test_two_who_edit_the_same_are_told_and_may_decide(make: Make, page: Client) -> None:
    printer = make(name="Heron", place="Hall A")
    path = f"/printers/{printer.pk}/edit/"
    mine = form(printer, place="Hall C", **opened(page, printer))
    page.post(path, form(printer, place="Hall B", **opened(page, printer)))

    response = page.post(path, mine)

    assert response.status_code == 400
    assert "Somebody has changed this meanwhile, to “Hall B”." in response.content.decode()
    assert 'value="Hall C"' in response.content.decode()
    assert Machine.objects.get().place == "Hall B"
    assert page.post(path, mine | {"was": response.context["form"].was}).status_code == 302
    assert Machine.objects.get().place == "Hall C"


@pytest.mark.parametrize("was", ["", "[]", "null", "{", '{"place": 7, "nothing": "x"}'])
def test_a_form_that_does_not_say_what_was_there_is_saved_or_asked_about(was: str, make: Make, page: Client) -> None:
    printer = make(name="Heron", place="Hall A")

    response = page.post(f"/printers/{printer.pk}/edit/", form(printer, place="Hall A", was=was))

    assert response.status_code in (302, 400)
    assert Machine.objects.get().place == "Hall A"
