"""Where the portal may call. The check happens where a socket is made for an address, after every name is resolved."""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from core.validators import is_shorthand
from printers.clients.base import AddressRefused
from printers.clients.networks import NEVER, Allowed

__all__ = ["NEVER", "Forbidden", "Networks", "Resolver", "base_url", "farm_networks", "label"]

LOOK_UPS = ThreadPoolExecutor(32, thread_name_prefix="names")


class Networks(Allowed):
    """The networks that printers may be in."""

    def socket_for(self, found: tuple[Any, ...]) -> socket.socket:
        """What aiohttp calls for each address that it is about to connect to, be it typed or resolved."""
        family, kind, protocol, _, (host, *_) = found
        if not self.contain(ipaddress.ip_address(host)):
            raise Forbidden(host)
        return socket.socket(family, kind, protocol)


class Resolver(AbstractResolver):
    """The machine's own resolver, for farms have names such as octopi.local, which no DNS server knows.

    In threads that a loop doesn't wait for when it ends: a look-up can't be cancelled, and may take half a minute.
    """

    def __init__(self, threads: ThreadPoolExecutor = LOOK_UPS) -> None:
        self._threads = threads

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        look_up = partial(socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=flags)
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is open."""


class Forbidden(OSError):
    """An OSError, so that aiohttp tries the name's other addresses before it fails."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is not in the farm's networks")
        self.host = host


def farm_networks() -> Networks:
    return Networks(settings.PRINTER_NETWORKS)


@lru_cache(10_000)
def base_url(address: str) -> URL:
    """Where a server's paths begin; remembered, for a poller asks again and again.

    Takes what people paste: an IP address, a host, a page of the server's.

    Raises AddressRefused for another scheme, a missing host, half an IP address, or a user and password within.
    """
    text = address.strip()
    try:
        url = URL(_with_scheme(text))
        port = url.port
    except ValueError:
        url, port = URL(), None
    if url.scheme not in ("http", "https") or not url.host or not port or is_shorthand(url.host):
        raise AddressRefused(
            # What stands before an @ may be a password.
            f"{text.rpartition('@')[2][:200]} is not a printer's address.",
            "Give an IP address such as 10.20.2.14, or a URL that begins with http:// or https://.",
        )
    if url.user is not None or url.password is not None:
        # Not repeated: it holds the password.
        raise AddressRefused(
            f"The address of {url.host} has a user or a password in it.", "Give the address alone; keys have a field."
        )
    return url.with_query(None).with_fragment(None).with_path(url.path.rstrip("/") or "/")


def _with_scheme(text: str) -> str:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return text if "://" in text else f"http://{text}"
    return f"http://[{ip}]" if ip.version == 6 else f"http://{ip}"


def label(url: URL) -> str:
    """How sentences name an address: without the scheme, with the port if it is not the usual one."""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host
    return f"{host}{'' if url.is_default_port() else f':{url.port}'}{url.path.rstrip('/')}"
