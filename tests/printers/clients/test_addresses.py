"""Which addresses the portal calls: by rule, and when it connects."""

import asyncio
import ipaddress
import socket
from functools import partial
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from printers.clients import web as web_module
from printers.clients.addresses import NEVER, Networks, base_url, label
from printers.clients.base import AddressRefused, Endpoint, Unreachable
from printers.clients.kinds import client_for
from tests.printers import faults

FARM = Networks([ipaddress.ip_network(network) for network in ("10.20.0.0/16", "fd00:20::/32")])
ALL = Networks([ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")])


@pytest.mark.parametrize("ip", ["10.20.2.14", "fd00:20::7", "::ffff:10.20.2.14"])
def test_addresses_of_the_farm_are_called(ip: str) -> None:
    assert FARM.contain(ipaddress.ip_address(ip))


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1", "::1", "192.0.2.7", "10.21.0.1", "2001:db8::1", "0.0.0.1", "::", "255.255.255.255",
        "169.254.169.254", "fe80::1", "fe80::1%1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "224.0.0.1", "ff02::1",
    ],
)  # fmt: skip
def test_others_are_not(ip: str) -> None:
    assert not FARM.contain(ipaddress.ip_address(ip))


@pytest.mark.parametrize(
    "ip",
    [
        "169.254.169.254", "169.254.10.4", "fe80::1", "fe80::1%1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::", "::169.254.169.254", "fd00:ec2::254", "100.100.100.200", "0.0.0.1", "::", "224.0.0.1",
    ],
)  # fmt: skip
def test_link_local_and_metadata_are_refused_even_where_every_network_is_allowed(ip: str) -> None:
    assert not ALL.contain(ipaddress.ip_address(ip))
    assert ALL.contain(ipaddress.ip_address("192.0.2.7"))


def test_what_is_never_called_is_a_network_each() -> None:
    assert len(set(NEVER)) == len(NEVER) > 5


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("10.20.2.14", "http://10.20.2.14/"),
        (" 10.20.2.14:5000 ", "http://10.20.2.14:5000/"),
        ("octopi.local", "http://octopi.local/"),
        ("fd00:20::7", "http://[fd00:20::7]/"),
        ("http://[fd00:20::7]:7125", "http://[fd00:20::7]:7125/"),
        ("https://farm.example.com/octoprint/", "https://farm.example.com/octoprint"),
        ("http://10.20.2.14/#temp", "http://10.20.2.14/"),
        ("http://10.20.2.14/?a=b#temp", "http://10.20.2.14/"),
    ],
)
def test_an_address_is_taken_as_people_paste_it(typed: str, base: str) -> None:
    assert str(base_url(typed)) == base


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ftp://10.20.2.14",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://[::1",
        "10.20.2.14:99999",
        "gopher://x",
    ],
)
def test_other_schemes_and_no_hosts_are_refused(typed: str) -> None:
    with pytest.raises(AddressRefused, match=r"is not a printer's address\.$"):
        base_url(typed)


def test_a_password_within_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(AddressRefused) as caught:
        base_url("http://maker:hush-hush@10.20.2.14/")

    assert "hush" not in f"{caught.value!r} {caught.value.hint}"


def test_no_password_of_a_wrong_address_is_repeated() -> None:
    with pytest.raises(AddressRefused) as caught:
        base_url("ftp://maker:hush-hush@10.20.2.14/")

    assert "hush" not in f"{caught.value!r} {caught.value.hint}"
    assert "hush" not in repr(Endpoint("http://maker:hush@10.20.2.14", camera="http://10.20.2.14/?pwd=hush"))


def test_sentences_name_an_address_shortly() -> None:
    assert label(base_url("10.20.2.14")) == "10.20.2.14"
    assert label(base_url("http://[fd00:20::7]:7125/a/")) == "[fd00:20::7]:7125/a"


def look(address: str, networks: Networks = FARM) -> None:
    async def go() -> None:
        async with faults.web(networks=networks) as web:
            await client_for(web, Endpoint(address)).look()

    asyncio.run(go())


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "http://[::1]", "http://[::ffff:127.0.0.1]", "http://2130706433/", "http://0x7f.1/", "localhost"],
)
def test_no_spelling_of_an_address_outside_gets_through(address: str) -> None:
    async def go() -> int:
        calls = 0

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
            nonlocal calls
            calls += 1

        async with faults.server(talk) as url, faults.web(networks=FARM) as web:
            port = url.rpartition(":")[2]
            target = address.rstrip("/") if "://" in address else f"http://{address}"
            with pytest.raises((AddressRefused, Unreachable)):
                await client_for(web, Endpoint(f"{target}:{port}")).look()
        return calls

    assert asyncio.run(go()) == 0


def test_the_sentence_names_the_address() -> None:
    with pytest.raises(AddressRefused, match=r"^The address 169\.254\.10\.4 isn’t one of the farm’s networks\.$"):
        look("169.254.10.4")


class Rebinding(AbstractResolver):
    """A name that leads into the farm when it is asked first, and to this machine from then on."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[Any]:
        ip = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [{"hostname": host, "host": ip, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None: ...


def test_a_name_that_changes_where_it_leads_is_checked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: what was checked when the printer was saved says nothing about now."""
    resolver = Rebinding("127.0.0.2", "127.0.0.1")
    monkeypatch.setattr(web_module, "Resolver", lambda: resolver)
    connector = partial(web_module.aiohttp.TCPConnector, use_dns_cache=False)
    monkeypatch.setattr(web_module.aiohttp, "TCPConnector", connector)
    only_the_second = Networks([ipaddress.ip_network("127.0.0.2/32")])

    async def go() -> list[type[Exception]]:
        raised = []
        async with faults.server(faults.says(b"{}")) as url, faults.web(networks=only_the_second) as web:
            port = url.rpartition(":")[2]
            for _ in range(2):
                with pytest.raises((AddressRefused, Unreachable)) as caught:
                    await client_for(web, Endpoint(f"http://rebinding.example:{port}")).look()
                raised.append(caught.type)
        return raised

    # Nobody listens at 127.0.0.2; the server at 127.0.0.1 would have answered.
    assert asyncio.run(go()) == [Unreachable, AddressRefused]


def test_ipv6_is_called_where_it_is_allowed() -> None:
    async def go() -> bytes:
        async with faults.server(faults.says(b'{"a": 1}'), host="::1") as url, faults.web() as web:
            return (await web.ask("GET", base_url(url))).content

    assert asyncio.run(go()) == b'{"a": 1}'
