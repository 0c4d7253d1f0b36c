"""Servers over real sockets that do what they shouldn't, and a session that may call them."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from printers.clients.addresses import Networks
from printers.clients.web import Web, open_web

LOOPBACK = Networks([ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")])
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
"""What a server does on one connection, which is the how manieth, from 0."""


@asynccontextmanager
async def server(talk: Talk, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Its address."""
    count = 0
    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        count += 1
        try:
            await talk(reader, writer, count - 1)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            talking.discard(task)
            writer.close()

    listening = await asyncio.start_server(serve, host, 0)
    try:
        name, port, *_ = listening.sockets[0].getsockname()
        yield f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    finally:
        # A connection that is accepted while its server closes is closed by nobody.
        for _ in range(5):
            await asyncio.sleep(0)
        listening.close()
        for task in list(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """The head of one request, and its body if it has a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            head += await reader.readexactly(int(line.partition(b":")[2]))
    return head


def response(body: bytes, status: str = "200 OK", headers: str = "Content-Type: application/json\r\n") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def says(body: bytes, status: str = "200 OK", headers: str = "Content-Type: application/json\r\n") -> Talk:
    """The same to every request of every connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            await request_of(reader)
            writer.write(response(body, status, headers))
            await writer.drain()

    return talk


def reset(writer: asyncio.StreamWriter) -> None:
    """As a crash does: RST instead of FIN."""
    writer.transport.abort()


def web(seconds: float = 60.0, networks: Networks = LOOPBACK) -> AbstractAsyncContextManager[Web]:
    """With time enough, for a machine may be busy."""
    return open_web(networks, look_s=seconds, act_s=seconds)
