"""What views call, without an event loop of their own."""

import gc
import logging
import socket
import threading
import traceback
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from printers.clients import asking
from printers.clients.base import KINDS, Credentials, Endpoint, PrinterError, Refused
from printers.samples.simulation import Sample
from printers.states import State
from tests.printers.served import served

# A look that is cut off at its deadline leaves its socket to the collector, which is called after each test.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
KEY, PASSWORD = "sample-key-of-43-characters-sample-key-of-4", "sample-password"
RIGHT, WRONG = Credentials(KEY, "maker", PASSWORD), Credentials("wrong-key-wrong-key", "maker", "wrong-password")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


def sample(kind: str = "octoprint", state: str = "ready") -> Sample:
    return Sample("Heron", kind, state, key=KEY, password=PASSWORD, file="vase-spiral.gcode", done_s=5400)


def test_many_at_once_in_their_order() -> None:
    samples = [sample(kind, state) for kind in KINDS for state in ("ready", "printing", "error")]

    with served(*samples) as urls:
        endpoints = [Endpoint(url, one.kind, RIGHT) for url, one in zip(urls, samples, strict=True)]
        seen = asking.look_many(endpoints, deadline_s=60)
        found = asking.find_kinds([(url, RIGHT) for url in urls], deadline_s=60)

    assert [one.state for one in seen] == [State.READY, State.PRINTING, State.ERROR] * 3
    assert [one.kind for one in found] == [one.kind for one in samples]


def test_who_is_late_is_said_not_to_have_answered() -> None:
    with served(sample()) as [url]:
        [seen] = asking.look_many([Endpoint(url)], deadline_s=0)
        [found] = asking.find_kinds([(url, RIGHT)], deadline_s=0)
        [error] = asking.act_many([Endpoint(url)], "pause", deadline_s=0)

    assert (seen.state, seen.answered) == (State.UNREACHABLE, False)
    assert found.sentence == seen.message == str(error) == "Not answered within 0 s."


def test_a_name_that_nobody_looks_up_in_time_keeps_no_view_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def slowly(*args: object, **options: object) -> None:
        assert released.wait(120)
        raise socket.gaierror("Nobody knows it.")

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    try:
        [seen] = asking.look_many([Endpoint("http://octopi.example")], deadline_s=0.1)
        assert not released.is_set()
    finally:
        released.set()
    assert seen.message == "Not answered within 0.1 s."


def test_a_name_that_nobody_knows_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror("Nobody knows it.")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert asking.look(Endpoint("octopi.example")).message == "No machine is called octopi.example."


def test_nobody_is_asked_of_none() -> None:
    assert asking.look_many([]) == asking.find_kinds([]) == asking.act_many([], "pause") == []


def test_actions_on_one_and_on_many() -> None:
    samples = [sample(state="printing"), sample(state="ready")]

    with served(*samples) as urls:
        endpoints = [Endpoint(url, "octoprint", RIGHT) for url in urls]
        errors = asking.act_many(endpoints, "pause", deadline_s=60)
        asking.act(endpoints[0], "resume")
        asking.act(endpoints[0], "cancel")
        asking.start(endpoints[1], asking.files(endpoints[1])[0].path)

    assert errors[0] is None
    assert isinstance(errors[1], Refused)
    assert [one.state for one in samples] == ["cancelled", "heating"]


def test_a_view_below_an_event_loop_can_ask_as_well() -> None:
    """Django runs views without async in a thread below its loop."""
    with served(sample()) as [url]:
        seen = async_to_sync(sync_to_async(asking.look))(Endpoint(url, "octoprint", RIGHT))

    assert seen.state == State.READY


def test_moonraker_that_was_saved_as_octoprint_is_asked_as_itself() -> None:
    """Its emulation of OctoPrint can't start, pause or list files, and calls what was cancelled an error."""
    one = sample("moonraker", "cancelled")

    with served(one) as [url]:
        endpoint = Endpoint(url, "octoprint", RIGHT)
        assert asking.find_kind(url, RIGHT).kind == "moonraker"
        assert asking.look(endpoint).state == State.CANCELLED
        asking.start(endpoint, asking.files(endpoint)[0].path)
        asking.act(endpoint, "pause")

    assert one.state == "paused"


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_in_a_text_of_any_sort(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []

    with served(sample(kind)) as [url]:
        for credentials in (RIGHT, WRONG):
            endpoint = Endpoint(url, kind, credentials)
            texts += [
                repr(endpoint),
                str(endpoint),
                repr(asking.look(endpoint)),
                repr(asking.find_kind(url, credentials)),
            ]
            try:
                asking.act(endpoint, "pause")
            except PrinterError as error:
                texts.append("".join(traceback.format_exception(error)))
        texts.append(repr(asking.look(Endpoint("http://127.0.0.1:9", kind, RIGHT))))

    whole = "\n".join([*texts, caplog.text])
    assert len(texts) == 11
    for secret in (KEY, PASSWORD, WRONG.key, WRONG.password):
        assert secret not in whole
