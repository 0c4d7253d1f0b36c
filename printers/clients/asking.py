"""What Django's views call: each function runs an event loop of its own until everything is answered.

No database connection should be in a transaction meanwhile. Nothing here reads or writes the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

from asgiref.sync import async_to_sync

from printers.clients import appkeys, probing
from printers.clients.base import (
    Client,
    Credentials,
    Endpoint,
    File,
    OtherKind,
    Picture,
    PrinterError,
    Seen,
    Unreachable,
)
from printers.clients.kinds import client_for
from printers.clients.web import Web, open_web
from printers.states import State

Action = Literal["pause", "resume", "cancel"]
T, R = TypeVar("T"), TypeVar("R")

DEADLINE_S = 12.0
"""For many addresses at once, however many they are."""
AT_ONCE = 400
"""As many files as a process may have open are no more than 1024 on many machines."""


async def with_client(web: Web, endpoint: Endpoint, call: Callable[[Client], Awaitable[R]]) -> R:
    """One call, to the client of the kind that really answers where it is not the one that was saved."""
    try:
        return await call(client_for(web, endpoint))
    except OtherKind as error:
        other = Endpoint(endpoint.address, error.kind, endpoint.credentials, endpoint.camera)
        return await call(client_for(web, other))


async def look_at(web: Web, endpoint: Endpoint) -> Seen:
    """Raises nothing: what goes wrong is something seen as well."""
    try:
        return await with_client(web, endpoint, lambda client: client.look())
    except PrinterError as error:
        return error.seen() or Seen(State.ATTENTION, message=error.sentence)


async def all_until(
    deadline_s: float, ask: Callable[[T], Awaitable[R]], over: Sequence[T], otherwise: Callable[[T], R]
) -> list[R]:
    """One result for each, in their order; `otherwise` for those that have not answered at the deadline."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(one: T) -> R:
        async with turns:
            return await ask(one)

    tasks = [asyncio.ensure_future(in_turn(one)) for one in over]
    if tasks:
        await asyncio.wait(tasks, timeout=deadline_s)
    late = [task for task in tasks if not task.done()]
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return [otherwise(one) if task in late else task.result() for one, task in zip(over, tasks, strict=True)]


async def look_at_all(endpoints: Sequence[Endpoint], deadline_s: float) -> list[Seen]:
    async with open_web() as web:
        late = Seen(State.UNREACHABLE, message=f"Not answered within {deadline_s:g} s.", answered=False)
        return await all_until(deadline_s, lambda endpoint: look_at(web, endpoint), endpoints, lambda _: late)


async def find_all(asked: Sequence[tuple[str, Credentials]], deadline_s: float) -> list[probing.Found]:
    async with open_web() as web:
        late = probing.Found(f"Not answered within {deadline_s:g} s.", "Try again, or import it as it is.")
        return await all_until(deadline_s, lambda one: probing.find_kind(web, one[0], one[1]), asked, lambda _: late)


async def _once(call: Callable[[Web], Awaitable[R]]) -> R:
    async with open_web() as web:
        return await call(web)


def look(endpoint: Endpoint) -> Seen:
    """What the printer does now. Raises nothing."""
    return async_to_sync(_once)(lambda web: look_at(web, endpoint))


def look_many(endpoints: Iterable[Endpoint], *, deadline_s: float = DEADLINE_S) -> list[Seen]:
    """All at once, one result for each in their order; raises nothing."""
    return async_to_sync(look_at_all)(list(endpoints), deadline_s)


def find_kind(address: str, credentials: Credentials) -> probing.Found:
    """What answers at an address. Raises nothing."""
    return async_to_sync(_once)(lambda web: probing.find_kind(web, address, credentials))


def find_kinds(asked: Iterable[tuple[str, Credentials]], *, deadline_s: float = DEADLINE_S) -> list[probing.Found]:
    """All addresses at once, one result for each in their order, and 'not answered' for those that are late."""
    return async_to_sync(find_all)(list(asked), deadline_s)


def files(endpoint: Endpoint) -> list[File]:
    """Newest first. Raises PrinterError."""
    return _ask(endpoint, lambda client: client.files())


def start(endpoint: Endpoint, path: str) -> None:
    """Print a file that is on the machine. Raises PrinterError."""
    _ask(endpoint, lambda client: client.start(path))


def act(endpoint: Endpoint, action: Action) -> None:
    """Raises PrinterError: Refused with the server's own words, NotOperational, KeyRefused, Unreachable."""
    _ask(endpoint, lambda client: getattr(client, action)())


def act_many(
    endpoints: Iterable[Endpoint], action: Action, *, deadline_s: float = DEADLINE_S
) -> list[PrinterError | None]:
    """All at once; the error of each, in their order."""
    return async_to_sync(_act_all)(list(endpoints), action, deadline_s)


async def _act_all(endpoints: Sequence[Endpoint], action: Action, deadline_s: float) -> list[PrinterError | None]:
    async with open_web() as web:

        async def act(endpoint: Endpoint) -> PrinterError | None:
            try:
                await with_client(web, endpoint, lambda client: getattr(client, action)())
            except PrinterError as error:
                return error
            return None

        late = Unreachable(
            f"Not answered within {deadline_s:g} s.", "Look at it again: it may have done it all the same."
        )
        return await all_until(deadline_s, act, endpoints, lambda _: late)


def camera(endpoint: Endpoint) -> Picture:
    """A snapshot. Raises PrinterError."""
    return _ask(endpoint, lambda client: client.camera())


def ask_for_key(address: str) -> appkeys.Request:
    """Let OctoPrint ask a person for a key. Raises PrinterError."""
    return async_to_sync(_once)(lambda web: appkeys.ask_for_key(web, address))


def key_of(address: str, token: str) -> appkeys.Decision:
    """What came of that. Raises PrinterError."""
    return async_to_sync(_once)(lambda web: appkeys.key_of(web, address, token))


def _ask(endpoint: Endpoint, call: Callable[[Client], Awaitable[Any]]) -> Any:
    async def once(web: Web) -> Any:
        return await with_client(web, endpoint, call)

    return async_to_sync(_once)(once)
