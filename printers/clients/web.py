"""HTTP to printers: in time, in size, to allowed addresses, without redirects, and a reset is retried once."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from printers.clients.addresses import Forbidden, Networks, Resolver, farm_networks, label
from printers.clients.base import AddressRefused, NotAPrinter, Unreachable

LOOK_S = 5.0
"""How long one request may take in all, so that a server which drips a byte a second ends as well."""
ACT_S = 20.0
"""The same for one that does something: Moonraker answers when the printer's macro has ended."""
LARGEST_ANSWER = 2**20
LARGEST_LIST = 8 * 2**20
LARGEST_PICTURE = 8 * 2**20
RESETS = (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, ConnectionResetError, BrokenPipeError)
GATEWAYS = (502, 503, 504)


@dataclass(frozen=True)
class Answer:
    url: URL
    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    repeated: bool = False
    """The first try ended by a reset; the server may have done what it was asked all the same."""

    def json(self) -> Any:
        """Raises NotAPrinter for what is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise NotAPrinter(
                f"There is a web page at {label(self.url.origin())}, but no printer's server.",
                "It may be a router or a camera. OctoPrint, Moonraker and PrusaLink are known.",
            ) from error

    def json_or_none(self) -> Any:
        """The same where an answer without it says enough."""
        try:
            return self.json()
        except NotAPrinter:
            return None

    @property
    def is_json(self) -> bool:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower().endswith("json")


class Web:
    """One session for many printers. It keeps no cookies, and asks no proxy."""

    def __init__(self, session: aiohttp.ClientSession, *, per_server: int, look_s: float, act_s: float) -> None:
        self._session, self._look_s, self._act_s = session, look_s, act_s
        # aiohttp can limit connections as well, but a request that waits for its turn there is late already.
        self._turns: defaultdict[URL, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(per_server))

    async def ask(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        largest: int = LARGEST_ANSWER,
        middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (),
    ) -> Answer:
        """The answer, whatever its status, save a redirect. Raises Unreachable, AddressRefused or NotAPrinter."""
        seconds = self._look_s if method == "GET" else self._act_s
        options: dict[str, Any] = {"headers": headers, "json": data, "middlewares": middlewares}
        try:
            # Both tries share the time, or a server that resets late would take twice as long as is said.
            async with self._turns[url.origin()], asyncio.timeout(seconds):
                try:
                    return await self._once(method, url, largest, options)
                except (aiohttp.ClientOSError, *RESETS) as error:
                    if not is_reset(error):
                        raise
                # OctoPrint resets connections under quick requests: one is no outage.
                return await self._once(method, url, largest, options | {"fresh": True})
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise named(error, url, seconds) from None

    async def _once(self, method: str, url: URL, largest: int, options: dict[str, Any]) -> Answer:
        repeated = options.pop("fresh", False)
        headers = {"Accept": "application/json", **(options["headers"] or {})}
        if repeated:
            headers["Connection"] = "close"
        async with self._session.request(
            method, url, **options | {"headers": headers}, allow_redirects=False
        ) as response:
            if 300 <= response.status < 400 and response.status != 304:
                raise NotAPrinter(
                    f"{label(url.origin())} sends us on to another address, and we don’t follow.",
                    "Give the last address itself, the one your browser shows in the end.",
                )
            if response.content_type.startswith("multipart/"):
                raise NotAPrinter(
                    f"{label(url.origin())} sends a film that does not end.",
                    "Of a camera, give the address of one picture; with many it ends in ?action=snapshot.",
                )
            content = await _read(response, url, largest)
            return Answer(url, response.status, response.headers, content, repeated)


async def _read(response: aiohttp.ClientResponse, url: URL, largest: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        content += chunk
        if len(content) > largest:
            response.close()
            raise NotAPrinter(
                f"{label(url.origin())} sends more than {largest // 2**20} MB, which no printer’s server does.",
                "Look whether the address is right.",
            )
    return bytes(content)


def is_reset(error: BaseException) -> bool:
    """A connection that was there and broke; none that was refused."""
    if isinstance(error, RESETS):
        return True
    return isinstance(error, aiohttp.ClientOSError) and not isinstance(error, aiohttp.ClientConnectorError)


def named(error: Exception, url: URL, seconds: float) -> Exception:
    """One of the clients' own errors for whatever went wrong below; none repeats a header or a body."""
    where = label(url.origin())
    if forbidden := _forbidden(error):
        return AddressRefused(
            f"The address {forbidden.host} isn’t one of the farm’s networks.",
            "Staff decide which networks the portal may call.",
        )
    if isinstance(error, aiohttp.InvalidURL):
        return AddressRefused(f"{where} is not a printer's address.", "Give an IP address such as 10.20.2.14.")
    if isinstance(error, TimeoutError):
        return Unreachable(
            f"Nothing answers at {where}.",
            f"We tried for {seconds:g} s. Is the machine switched on and in the farm’s network? "
            "A letter wrong in the address looks the same.",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(f"No machine is called {url.host}.", "Look for a letter wrong, or give its IP address.")
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return Unreachable(f"{where} has no certificate that we trust.", "Give an address that begins with http://.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(f"Nothing answers at {where}.", "Is the server running, and is the port right?")
    if isinstance(error, aiohttp.ClientResponseError | ValueError):
        # An OctoPrint that is starting says a bare "Not found".
        return Unreachable(
            f"What answers at {where} speaks no HTTP.", "Its server may be starting; or look whether the port is right."
        )
    if type(error) is aiohttp.ClientError:
        # What its Digest raises for a challenge without a nonce, or with an algorithm that nobody knows.
        return NotAPrinter(f"{where} asks for a login in a way that we don’t know.", "Look whether the port is right.")
    return Unreachable(f"{where} breaks the connection off.", "Its server may be starting; try again.")


def _forbidden(error: BaseException | None) -> Forbidden | None:
    """aiohttp wraps what the socket's maker raises, and gathers several in one."""
    while error is not None:
        if isinstance(error, Forbidden):
            return error
        inner = getattr(error, "os_error", None)
        error = inner if isinstance(inner, Forbidden) else error.__cause__
    return None


@asynccontextmanager
async def open_web(
    networks: Networks | None = None,
    *,
    per_server: int = 2,
    look_s: float = LOOK_S,
    act_s: float = ACT_S,
    connect_s: float | None = None,
    resolver: Resolver | None = None,
    keep: bool = True,
) -> AsyncIterator[Web]:
    """A session that calls the farm's networks alone, and each server with `per_server` requests at once.

    A connection may take `connect_s` of the time for a request, and is kept for the next one only if it says `keep`.
    """
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=resolver or Resolver(),
        socket_factory=(networks or farm_networks()).socket_for,
        force_close=not keep,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # What is compressed may be a thousand times as long; nothing here is worth that.
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
        trust_env=False,
    ) as session:
        # aiohttp would try once more by itself, which makes two, on a connection that may be as old.
        session._retry_connection = False
        yield Web(session, per_server=per_server, look_s=look_s, act_s=act_s)
