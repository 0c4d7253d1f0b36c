"""The three clients against samples that speak the protocols, over real sockets."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from pyprusalink import PrusaLink as Reference
from pyprusalink.types import Conflict, InvalidAuth

from printers.clients import appkeys, asking, probing
from printers.clients.base import (
    KINDS,
    Client,
    Credentials,
    Endpoint,
    KeyRefused,
    NotOperational,
    PrinterError,
    Refused,
)
from printers.clients.kinds import client_for
from printers.clients.web import Web
from printers.samples.prusalink import PrusaLinkSample
from printers.samples.serving import serve
from printers.samples.simulation import Sample
from printers.states import State
from tests.printers import faults

KEY, PASSWORD = "sample-key-of-43-characters-sample-key-of-4", "sample-password"
FAULT = "Thermal runaway"
LOOKS = {
    "ready": State.READY,
    "heating": State.HEATING,
    "printing": State.PRINTING,
    "paused": State.PAUSED,
    "error": State.ERROR,
}
ENDS = {
    "octoprint": {"finished": State.FINISHED, "cancelled": State.READY, "disconnected": State.DISCONNECTED},
    "moonraker": {"finished": State.FINISHED, "cancelled": State.CANCELLED, "disconnected": State.DISCONNECTED},
    "prusalink": {"finished": State.FINISHED, "cancelled": State.CANCELLED, "attention": State.ATTENTION},
}


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def sample(kind: str, state: str = "ready", clock: Callable[[], float] | None = None) -> Sample:
    return Sample(
        "Heron", kind, state, key=KEY, password=PASSWORD, file="vase-spiral.gcode", done_s=5400,
        message=FAULT if state == "error" else "", clock=clock or Clock(),
    )  # fmt: skip


def credentials(kind: str, right: bool = True) -> Credentials:
    if kind == "prusalink":
        return Credentials(user="maker", password=PASSWORD if right else "wrong")
    return Credentials(KEY if right else "wrong")


def with_web(printer: Sample, do: Callable[[Web, str], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with serve([printer]) as [url], faults.web() as web:
            return await do(web, url)

    return asyncio.run(go())


def with_client(printer: Sample, do: Callable[[Client], Awaitable[Any]], right: bool = True) -> Any:
    def ask(web: Web, url: str) -> Awaitable[Any]:
        return do(client_for(web, Endpoint(url, printer.kind, credentials(printer.kind, right))))

    return with_web(printer, ask)


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [(kind, state, expected) for kind in KINDS for state, expected in (LOOKS | ENDS[kind]).items()],
)
def test_each_state_is_seen(kind: str, state: str, expected: State) -> None:
    seen = with_client(sample(kind, state), lambda client: client.look())

    assert seen.state == expected
    assert seen.message == FAULT if state == "error" else FAULT not in seen.message
    if state in ("heating", "printing", "paused"):
        assert (seen.file, seen.progress) == ("vase-spiral.gcode", 50.0)
        assert (seen.ends_at is not None) == (state == "printing")
        assert seen.temperatures["tool0"]["target"] == 215.0


@pytest.mark.parametrize("turns", range(6))
def test_a_sample_that_ends_closes_what_has_just_connected(turns: int) -> None:
    """Otherwise the collector finds the connection, in the middle of a test that has nothing to do with it."""

    async def go() -> None:
        async with serve([sample("octoprint")]) as [url]:
            socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)).close()
            for _ in range(turns):
                await asyncio.sleep(0)

    asyncio.run(go())
    gc.collect()


@pytest.mark.parametrize("kind", KINDS)
def test_a_print_from_its_start_to_its_end(kind: str) -> None:
    clock = Clock()

    async def drive(client: Client) -> list[State]:
        states = []

        async def look() -> None:
            states.append((await client.look()).state)

        files = await client.files()
        await client.start(files[-1].path)
        await look()
        clock.now += 60
        await look()
        await client.pause()
        await look()
        await client.resume()
        await look()
        clock.now += 3 * 3600
        await look()
        await client.start(files[-1].path)
        await client.cancel()
        await look()
        return states

    cancelled = State.READY if kind == "octoprint" else State.CANCELLED
    assert with_client(sample(kind, clock=clock), drive) == [
        State.HEATING, State.PRINTING, State.PAUSED, State.PRINTING, State.FINISHED, cancelled,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_newest_first_and_can_be_started(kind: str) -> None:
    files = with_client(sample(kind), lambda client: client.files())
    dates = [file.changed_at for file in files]

    assert dates == sorted(dates, reverse=True)
    assert "vase-spiral.gcode" in [file.name for file in files]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ["pause", "resume", "cancel"])
def test_what_the_state_forbids_is_refused(kind: str, act: str) -> None:
    with pytest.raises(Refused, match=f"^{KINDS[kind]} refused: "):
        with_client(sample(kind), lambda client: getattr(client, act)())


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_not_there_is_refused(kind: str) -> None:
    with pytest.raises(Refused):
        with_client(sample(kind), lambda client: client.start("local/none.gcode"))


@pytest.mark.parametrize("kind", ["octoprint", "moonraker"])
def test_a_printer_that_is_off_is_told_from_one_that_refuses(kind: str) -> None:
    with pytest.raises(NotOperational):
        with_client(sample(kind, "disconnected"), lambda client: client.start("local/vase-spiral.gcode"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ["look", "files", "pause"])
def test_a_wrong_key_is_refused_for_everything(kind: str, act: str) -> None:
    with pytest.raises(KeyRefused):
        with_client(sample(kind, "printing"), lambda client: getattr(client, act)(), right=False)


def test_prusalinks_own_camera() -> None:
    picture = with_client(sample("prusalink", "printing"), lambda client: client.camera())

    assert picture.content_type == "image/png"
    assert picture.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("qop", ["", "auth"])
def test_digest_is_kept_for_the_next_request(qop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("printers.samples.prusalink.QOP", qop)
    refused = 0
    original = PrusaLinkSample._knows

    def knows(self: PrusaLinkSample, request: Any) -> bool:
        nonlocal refused
        known = original(self, request)
        refused += not known
        return known

    monkeypatch.setattr(PrusaLinkSample, "_knows", knows)

    async def twice(client: Client) -> None:
        await client.look()
        await client.look()

    with_client(sample("prusalink", "printing"), twice)
    assert refused == 1


@pytest.mark.parametrize("qop", ["", "auth"])
def test_the_sample_of_prusalink_speaks_as_home_assistants_client_expects(
    qop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("printers.samples.prusalink.QOP", qop)

    async def drive(web: Web, url: str) -> Any:
        async with httpx.AsyncClient() as session:
            reference = Reference(session, url, "maker", PASSWORD)
            version, status, job = (
                await reference.get_version(),
                await reference.get_status(),
                await reference.get_job(),
            )
            await reference.pause_job(job["id"])
            with pytest.raises(Conflict):
                await reference.pause_job(job["id"])
            await reference.cancel_job(job["id"])
            with pytest.raises(InvalidAuth):
                await Reference(session, url, "maker", "wrong").get_status()
        return version, status, job, await client_for(web, Endpoint(url, "prusalink", credentials("prusalink"))).look()

    version, status, job, seen = with_web(sample("prusalink", "printing"), drive)
    assert version["text"].startswith("PrusaLink")
    assert (status["printer"]["state"], status["job"]["id"], job["state"]) == ("PRINTING", job["id"], "PRINTING")
    assert seen.state == State.CANCELLED


@pytest.mark.parametrize(
    ("kind", "state", "right", "sentence"),
    [
        ("octoprint", "ready", True, "OctoPrint 1.11.8 and takes the key. Its printer is ready."),
        ("octoprint", "printing", True, "OctoPrint 1.11.8 and takes the key. Its printer is printing."),
        ("octoprint", "disconnected", True, "OctoPrint 1.11.8 and takes the key, but its printer is disconnected."),
        ("octoprint", "ready", False, "OctoPrint, but refuses the key."),
        ("octoprint", "ready", None, "OctoPrint, and wants a key."),
        ("moonraker", "ready", True, "Moonraker 0.11.0 and takes the key. Its printer is ready."),
        ("moonraker", "disconnected", True, "Moonraker 0.11.0 and takes the key, but its printer is disconnected."),
        ("moonraker", "ready", False, "Moonraker, but refuses the key."),
        ("prusalink", "ready", True, "PrusaLink 0.8.1 and takes user and password. Its printer is ready."),
        ("prusalink", "ready", False, "PrusaLink, but refuses user and password."),
        ("prusalink", "ready", None, "PrusaLink, and wants a user and a password."),
    ],
)  # fmt: skip
def test_what_answers_is_said_in_one_sentence(kind: str, state: str, right: bool | None, sentence: str) -> None:
    given = Credentials() if right is None else credentials(kind, right)

    async def find(web: Web, url: str) -> Any:
        return url, await probing.find_kind(web, url, given)

    url, found = with_web(sample(kind, state), find)
    assert found.sentence.replace(f" answers at {url.removeprefix('http://')}", "") == sentence
    assert found.kind == kind
    assert found.can_be_added == bool(right)
    assert found.gives_keys == (kind == "octoprint")
    assert found.state == (State.REFUSED if not right else State(state))


@pytest.mark.parametrize("body", [b"<h1>A router</h1>", b"{}", b"[]", b'{"text": "Something else 2.0"}'])
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "403 Forbidden", "404 Not Found", "500 Oops"])
def test_a_web_page_is_no_printer(body: bytes, status: str) -> None:
    async def go() -> probing.Found:
        async with faults.server(faults.says(body, status)) as url, faults.web() as web:
            return await probing.find_kind(web, url, Credentials(KEY))

    found = asyncio.run(go())
    assert found.sentence.startswith("There is a web page at 127.0.0.1:")
    assert found.sentence.endswith(", but no printer’s server.")
    assert not found.can_be_added


def test_what_cannot_be_asked_is_said_as_well() -> None:
    async def go() -> list[probing.Found]:
        async with faults.server(faults.says(b"", "302 Found", "Location: /login\r\n")) as url, faults.web() as web:
            addresses = [url, "http://127.0.0.1:9", "169.254.10.4", "ftp://x"]
            return [await probing.find_kind(web, address, Credentials(KEY)) for address in addresses]

    sentences = [found.sentence for found in asyncio.run(go())]
    assert "sends us on to another address" in sentences[0]
    assert sentences[1:] == [
        "Nothing answers at 127.0.0.1:9.",
        "The address 169.254.10.4 isn’t one of the farm’s networks.",
        "ftp://x is not a printer's address.",
    ]


@pytest.mark.parametrize("yes", [True, False])
def test_octoprint_makes_a_key_when_a_person_says_yes(yes: bool) -> None:
    async def dialog(web: Web, url: str) -> Any:
        request = await appkeys.ask_for_key(web, url)
        waiting = await appkeys.key_of(web, url, request.token)
        async with httpx.AsyncClient() as person:
            assert "asks for a key" in (await person.get(request.dialog)).text
            await person.post(request.dialog, data={"yes": "1" if yes else ""})
        decision = await appkeys.key_of(web, url, request.token)
        look = await asking.look_at(web, Endpoint(url, "octoprint", Credentials(decision.key)))
        return waiting.answer, decision, look.state

    waiting, decision, state = with_web(sample("octoprint"), dialog)
    assert waiting is appkeys.Answer.WAITING
    assert decision.answer is (appkeys.Answer.YES if yes else appkeys.Answer.NO)
    assert state == (State.READY if yes else State.REFUSED)


@pytest.mark.parametrize("kind", ["moonraker", "prusalink"])
def test_others_give_no_keys(kind: str) -> None:
    with pytest.raises(PrinterError):
        with_web(sample(kind), lambda web, url: appkeys.ask_for_key(web, url))


def test_a_token_that_octoprint_never_made_is_a_no() -> None:
    decision = with_web(sample("octoprint"), lambda web, url: appkeys.key_of(web, url, "../../api/version"))

    assert decision.answer is appkeys.Answer.NO
