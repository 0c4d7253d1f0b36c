"""Whether a server is there at all: a connection, and not a word. It costs little where nobody answers."""

import asyncio
import socket

from printers.clients.addresses import Forbidden, Networks, Resolver, base_url, label
from printers.clients.base import AddressRefused, Seen, Unreachable


async def knock(address: str, networks: Networks, resolver: Resolver, seconds: float) -> Seen | None:
    """None where somebody opens, or where a look says better what is wrong; else what a look would have seen."""
    try:
        url = base_url(address)
    except AddressRefused as error:
        return error.seen()
    away = Unreachable(f"Nothing answers at {label(url)}.").seen()
    try:
        async with asyncio.timeout(seconds):
            for found in await resolver.resolve(str(url.host), url.port or 0):
                if await _opens(found["family"], found["host"], found["port"], networks):
                    return None
    except Forbidden:
        return None
    except socket.gaierror:
        return Unreachable(f"No machine is called {url.host}.").seen()
    except TimeoutError:
        return away
    return away


async def _opens(family: int, host: str, port: int, networks: Networks) -> bool:
    """Raises Forbidden for an address that the portal may not call."""
    door = networks.socket_for((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)))
    with door:
        door.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(door, (host, port))
        except OSError:
            return False
    return True
