"""Servers that are slow, broken, huge or hostile: each ends in one of the clients' own errors, in time."""

import asyncio
import gzip
from typing import Any

import pytest

from printers.clients import asking
from printers.clients.addresses import base_url
from printers.clients.base import (
    AddressRefused,
    Credentials,
    Endpoint,
    KeyRefused,
    NotAPrinter,
    NotOperational,
    PrinterError,
    Refused,
    Unreachable,
)
from printers.clients.kinds import CLIENTS, client_for
from printers.states import State
from tests.printers import faults

CREDENTIALS = Credentials("k" * 43, "maker", "password")
IDLE = b'{"job": {"file": {"name": null, "path": null}}, "progress": {}, "state": "Operational"}'


def failure(talk: faults.Talk, kind: str = "octoprint", seconds: float = 60.0, act: str = "look", *args: Any) -> Any:
    """What a client's method raises, or returns, at a server that talks so."""

    async def go() -> Any:
        async with faults.server(talk) as url, faults.web(seconds) as web:
            try:
                return await getattr(client_for(web, Endpoint(url, kind, CREDENTIALS)), act)(*args)
            except PrinterError as error:
                return error

    return asyncio.run(go())


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b"\xff\xfe", b"nul", b"[" * 100_000, b'{"a":' * 100_000],
    ids=["empty", "html", "half", "bytes", "word", "deep list", "deep object"],
)
def test_what_is_no_json_is_no_printer(kind: str, body: bytes) -> None:
    assert type(failure(faults.says(body), kind)) is NotAPrinter


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("body", [b"null", b"[]", b"3", b'"x"', b"NaN", b"{}"])
def test_json_of_another_shape_is_read_without_a_fault(kind: str, body: bytes) -> None:
    found = failure(faults.says(body), kind)

    assert isinstance(found, NotAPrinter) or found.state in State


@pytest.mark.parametrize("kind", CLIENTS)
def test_ten_megabytes_are_not_read(kind: str) -> None:
    error = failure(faults.says(b'"' + b"x" * 10 * 2**20 + b'"'), kind)

    assert type(error) is NotAPrinter
    assert "sends more than 1 MB" in error.sentence


def test_what_is_compressed_is_not_blown_up() -> None:
    bomb = gzip.compress(b" " * 50 * 2**20 + b"{}")
    encoded = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"

    assert type(failure(faults.says(bomb, headers=encoded))) is NotAPrinter
    assert b"accept-encoding: identity" in sent_by_look().lower()


def sent_by_look() -> bytes:
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        requests.append(await faults.request_of(reader))

    failure(talk)
    return requests[0]


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    await faults.request_of(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("talk", [silence, drip, drip_headers])
def test_who_is_slow_is_unreachable_when_the_time_is_over(talk: faults.Talk) -> None:
    error = failure(talk, seconds=0.3)

    assert type(error) in (Unreachable, NotAPrinter)  # A busy machine may have read too many headers by then.
    if talk is not drip_headers:
        assert error.hint.startswith("We tried for 0.3 s.")


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    await faults.request_of(reader)


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
    await writer.drain()
    await reader.read()


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    await faults.request_of(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await writer.drain()


@pytest.mark.parametrize(("talk", "error"), [(hang_up, Unreachable), (break_off, Unreachable), (no_http, Unreachable)])
def test_who_breaks_off_each_time_is_named(talk: faults.Talk, error: type[PrinterError]) -> None:
    assert type(failure(talk)) is error


def test_where_nobody_listens_the_sentence_says_so() -> None:
    async def go() -> None:
        async with faults.server(silence) as url:
            pass
        async with faults.web() as web:
            await client_for(web, Endpoint(url)).look()

    with pytest.raises(Unreachable, match=r"^Nothing answers at 127\.0\.0\.1:\d+\.$"):
        asyncio.run(go())


def resetting(times: int, then: bytes = IDLE) -> tuple[faults.Talk, list[bytes]]:
    """Resets so many connections after their request, then answers."""
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        while True:
            requests.append(await faults.request_of(reader))
            if count < times:
                return faults.reset(writer)
            writer.write(faults.response(then) + b"")
            await writer.drain()

    return talk, requests


def test_one_reset_is_retried_on_a_fresh_connection() -> None:
    talk, requests = resetting(1)

    assert failure(talk).state == State.DISCONNECTED
    assert [request.split()[1] for request in requests] == [b"/api/printer?exclude=sd"] * 2 + [b"/api/job"]


def test_two_resets_are_an_outage() -> None:
    talk, requests = resetting(9)

    assert type(failure(talk)) is Unreachable
    assert len(requests) == 2


def test_a_command_that_was_done_before_the_reset_is_no_conflict() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> None:
        await faults.request_of(reader)
        if count == 0:
            return faults.reset(writer)
        writer.write(faults.response(b'{"error": "Printer is already paused"}', "409 CONFLICT"))
        await writer.drain()

    assert failure(talk, "octoprint", 60.0, "pause") is None


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("kind", CLIENTS)
def test_no_redirect_is_followed(status: str, kind: str) -> None:
    async def go() -> list[bytes]:
        elsewhere: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
            elsewhere.append(await faults.request_of(reader))

        async with faults.server(listen) as other, faults.web() as web:
            redirect = faults.says(b"", status, f"Location: {other}/\r\n")
            async with faults.server(redirect) as url:
                with pytest.raises(NotAPrinter, match="sends us on to another address, and we don’t follow"):
                    await client_for(web, Endpoint(url, kind, CREDENTIALS)).look()
        return elsewhere

    assert asyncio.run(go()) == []


@pytest.mark.parametrize(
    ("challenge", "error"),
    [
        ('Digest realm="x", nonce="n"', KeyRefused),
        ('Digest realm="x", nonce="n", qop="auth"', KeyRefused),
        ('Digest realm="x", nonce="n", algorithm=ROT13', NotAPrinter),
        ('Digest realm="x", nonce="n", qop="auth-none"', NotAPrinter),
        ('Digest realm="x"', NotAPrinter),
        ('Digest nonce=""', NotAPrinter),
        ("Digest", KeyRefused),
        ('Basic realm="x"', KeyRefused),
        ("", KeyRefused),
    ],
)
def test_a_login_that_is_wrong_or_unknown_is_told(challenge: str, error: type[PrinterError]) -> None:
    headers = f"WWW-Authenticate: {challenge}\r\nContent-Type: application/json\r\n"

    assert type(failure(faults.says(b"{}", "401 Unauthorized", headers), "prusalink")) is error


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_refused_key_is_told(kind: str, status: str) -> None:
    assert type(failure(faults.says(b"{}", status), kind)) is KeyRefused


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"])
def test_a_proxy_without_its_server_is_unreachable(kind: str, status: str) -> None:
    error = failure(faults.says(b"<h1>503</h1>", status, "Content-Type: text/html\r\n"), kind)

    assert type(error) is Unreachable
    assert "not the printer's server behind it" in error.sentence


@pytest.mark.parametrize(
    ("kind", "status", "body", "error"),
    [
        ("octoprint", "409 CONFLICT", b'{"error": "Printer is not operational"}', NotOperational),
        ("octoprint", "409 CONFLICT", b'{"error": "Printer is already printing"}', Refused),
        ("octoprint", "409 CONFLICT", b"\xff", Refused),
        ("octoprint", "500 Oops", b"<html>", Refused),
        ("moonraker", "503 Klippy", b'{"error": {"message": "Klippy Host not connected"}}', NotOperational),
        ("moonraker", "400 Bad", b'{"error": {"message": "Print is not paused, resume aborted"}}', Refused),
        ("moonraker", "400 Bad", b'{"error": []}', Refused),
        ("prusalink", "409 Conflict", b'{"title": "Conflict", "text": "Not now"}', Refused),
    ],
)
def test_what_is_not_done_has_its_reason(kind: str, status: str, body: bytes, error: type[PrinterError]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            request = await faults.request_of(reader)
            asks = request.startswith(b"GET")
            writer.write(faults.response(b'{"id": 7}') if asks else faults.response(body, status))
            await writer.drain()

    assert type(failure(talk, kind, 60.0, "pause")) is error


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("path", ["", "..", "local/../../api/settings", "local//x", "local/.", "a\nb", "local/\0"])
def test_no_path_leads_out_of_the_files(kind: str, path: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            request = await faults.request_of(reader)
            assert request.startswith(b"GET /api/version"), "Nothing else may be asked for such a path."
            writer.write(faults.response(b"{}"))
            await writer.drain()

    error = failure(talk, kind, 60.0, "start", path)
    assert type(error) is Refused
    assert error.sentence == "There is no such file on the machine."


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ("Content-Type: text/html\r\n", "200 OK", b"<script>"),
        ("Content-Type: image/svg+xml\r\n", "200 OK", b"<svg/>"),
        ("Content-Type: image/png\r\n", "404 Not Found", b"x"),
        ("Content-Type: image/png\r\n", "200 OK", b""),
    ],
)
def test_a_camera_that_sends_no_picture_is_refused(headers: str, status: str, body: bytes) -> None:
    async def go() -> Any:
        async with faults.server(faults.says(body, status, headers)) as url, faults.web() as web:
            return await client_for(web, Endpoint(url, camera=f"{url}/snap?x=1")).camera()

    with pytest.raises(Refused, match="sends no picture"):
        asyncio.run(go())


def test_a_camera_that_films_is_asked_for_a_picture_instead() -> None:
    """Its other address is the one that people find first; read on, it would take all the time, and say that nobody
    answers.
    """

    async def film(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await faults.request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=frame\r\n\r\n--frame\r\n")
        await asyncio.Event().wait()

    async def go() -> Any:
        async with faults.server(film) as url, faults.web(60.0) as web:
            return await client_for(web, Endpoint(url, camera=f"{url}/?action=stream")).camera()

    with pytest.raises(NotAPrinter, match="sends a film that does not end") as caught:
        asyncio.run(go())
    assert "action=snapshot" in caught.value.hint


def test_a_camera_gets_no_key_and_is_under_the_rules_of_addresses() -> None:
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        requests.append(await faults.request_of(reader))
        writer.write(faults.response(b"\x89PNG", headers="Content-Type: image/png; x=y\r\n"))
        await writer.drain()

    async def go() -> Any:
        async with faults.server(talk) as url, faults.web() as web:
            picture = await client_for(web, Endpoint(url, "octoprint", CREDENTIALS, f"{url}/snap?x=1&y=ä")).camera()
            with pytest.raises(AddressRefused):
                await client_for(web, Endpoint(url, camera="http://169.254.169.254/latest")).camera()
            return picture

    assert asyncio.run(go()).content_type == "image/png"
    assert requests[0].startswith(b"GET /snap?x=1&y=%C3%A4 ")
    assert b"k" * 43 not in requests[0]


def test_everybody_is_asked_at_once_until_one_deadline() -> None:
    async def ask(name: str) -> str:
        if name == "silent":
            await asyncio.Event().wait()
        return name

    async def go() -> list[str]:
        return await asking.all_until(0.5, ask, ["silent", "living", "silent"] * 50, lambda name: f"{name} until then")

    assert asyncio.run(go()) == ["silent until then", "living", "silent until then"] * 50


def test_who_waits_for_a_turn_is_not_late() -> None:
    """Twenty requests to one server, which takes a while for each: none is called unreachable for the others."""
    busy, most = 0, 0

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        nonlocal busy, most
        while True:
            await faults.request_of(reader)
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.01)
            busy -= 1
            writer.write(faults.response(b"{}"))
            await writer.drain()

    async def go() -> None:
        async with faults.server(slowly) as url, faults.web() as web:
            await asyncio.gather(*(web.ask("GET", base_url(url)) for _ in range(20)))

    asyncio.run(go())
    assert most == 2


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("act", ["look", "files", "pause", "cancel"])
def test_no_secret_is_in_a_url(kind: str, act: str) -> None:
    """Servers and proxies write URLs into their logs."""
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            requests.append(await faults.request_of(reader))
            writer.write(faults.response(b'{"id": 7, "result": {}, "storage_list": []}'))
            await writer.drain()

    failure(talk, kind, 60.0, act)
    assert requests
    for request in requests:
        line, _, headers = request.partition(b"\r\n")
        assert b"kkk" not in line
        assert b"password" not in request
        assert b"X-Api-Key: " + b"k" * 43 in headers
