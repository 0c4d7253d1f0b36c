"""What programs do with printers, against samples that speak the real protocols."""

from typing import Any

import pytest
from django.test import Client

from printers.fleet.models import Machine
from printers.models import Printer
from printers.states import State
from tests.api.conftest import program, send
from tests.printers.pages.conftest import KEY, Serve, octoprint, serve
from tests.url_map.people import Farm

__all__ = ["serve"]  # The fixture.


@pytest.fixture
def operator(farm: Farm) -> Client:
    return program(farm.operator)


def at(farm: Farm, address: str) -> str:
    """The farm's printer is at this address."""
    Printer.objects.update(ip_address=address, api_key=KEY)
    Machine.objects.update(name="Heron")
    return f"/api/v1/printers/{farm.printer.pk}/"


def state(client: Client, one: str) -> Any:
    return client.get(f"{one}state/").json()["state"]


def test_a_print_from_its_start_to_its_end(farm: Farm, operator: Client, serve: Serve) -> None:
    one = at(farm, *serve(octoprint()))
    files = operator.get(f"{one}files/").json()
    assert "gear_m2_z40.gcode" in [file["name"] for file in files]

    for what, data, said, after in [
        ("start", {"file": files[0]["path"]}, "Heron has started its print.", "heating"),
        ("pause", None, "Heron is paused.", "paused"),
        ("resume", None, "Heron prints again.", "printing"),
        ("cancel", None, "The print on Heron is cancelled.", None),
    ]:
        response = send(operator, "POST", f"{one}{what}/", data)
        assert (response.status_code, response.json()["sentence"]) == (200, said)
        assert state(operator, one) == after or after is None


def test_what_the_state_forbids_is_a_sentence(farm: Farm, operator: Client, serve: Serve) -> None:
    one = at(farm, *serve(octoprint("printing")))
    response = send(operator, "POST", f"{one}start/", {"file": "clip.gcode"})

    assert response.status_code == 409
    assert response.json()["detail"] == "Heron is printing. Only one that is ready can start a print."
    assert response.json()["state"] == "printing"


def test_a_file_that_is_not_there_is_the_printers_own_refusal(farm: Farm, operator: Client, serve: Serve) -> None:
    one = at(farm, *serve(octoprint()))
    response = send(operator, "POST", f"{one}start/", {"file": "local/none.gcode"})

    assert response.status_code == 409
    assert response.json()["detail"].startswith("Heron: ")
    assert state(operator, one) == "ready"


def test_files_of_one_that_does_not_answer(farm: Farm, operator: Client) -> None:
    one = at(farm, "http://127.0.0.1:9")
    response = operator.get(f"{one}files/")

    assert response.status_code == 409
    assert "Heron: " in response.json()["detail"]


def test_out_of_order_and_back_in_service(farm: Farm, operator: Client) -> None:
    one = at(farm, "http://127.0.0.1:9")
    assert send(operator, "POST", f"{one}out-of-order/", {"why": "  "}).status_code == 400
    assert send(operator, "POST", f"{one}out-of-order/", {"why": "The nozzle leaks."}).status_code == 200
    assert operator.get(one).json()["out_of_order"]["why"] == "The nozzle leaks."
    assert state(operator, one) == State.OUTOFORDER
    assert send(operator, "POST", f"{one}in-service/").json()["sentence"] == "Heron is back in service."
    assert send(operator, "POST", f"{one}in-service/").status_code == 409


def test_many_at_once_and_only_those_that_one_may_operate(farm: Farm, operator: Client, serve: Serve) -> None:
    one = at(farm, *serve(octoprint("printing")))
    other = Printer.objects.create(ip_address="http://127.0.0.1:9", api_key="x")
    sent = {"do": "pause", "printers": [farm.printer.pk, other.pk, 2**31 - 1]}
    results = send(operator, "POST", "/api/v1/printers/act/", sent).json()["results"]

    assert results == [{"printer": farm.printer.pk, "done": True, "sentence": "Heron is paused."}]
    assert state(operator, one) == "paused"

    sent = {"do": "delete", "printers": [farm.printer.pk]}
    assert send(operator, "POST", "/api/v1/printers/act/", sent).json()["results"] == []
    assert Printer.objects.filter(pk=farm.printer.pk).exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"do": "explode"}, {"printers": []}, {"printers": ["1"]}, {"printers": [2**31]}, {"printers": [True]},
        {"why": "x" * 501}, {"printers": list(range(1, 1002))}, {"printers": 1},
    ],
)  # fmt: skip
def test_a_wrong_selection_does_nothing(wrong: dict[str, Any], operator: Client) -> None:
    assert send(operator, "POST", "/api/v1/printers/act/", {"do": "pause", "printers": [1]} | wrong).status_code == 400


def test_out_of_order_needs_a_reason_for_many_as_for_one(farm: Farm, operator: Client) -> None:
    sent = {"do": "out-of-order", "printers": [farm.printer.pk]}
    assert send(operator, "POST", "/api/v1/printers/act/", sent).status_code == 409
    assert send(operator, "POST", "/api/v1/printers/act/", sent | {"why": "It leaks."}).json()["results"][0]["done"]
