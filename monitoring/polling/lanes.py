"""Two lanes to the printers' servers, so that those which are dead never slow those which live.

Who answered the last time has the first lane to itself. Everybody else is doubtful: such a server is knocked at first,
by thousands at once, which costs a socket each; what opens is looked at on the second lane.
"""

import asyncio
import resource
from collections import defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from django.utils import timezone

from monitoring.polling.targets import Target
from printers.clients import asking
from printers.clients.addresses import Resolver, farm_networks
from printers.clients.knocking import knock
from printers.clients.web import Web, open_web
from printers.looking import Look

KNOCK_S = 2.0
"""A connection is accepted by the machine's kernel, which takes no time, or by nobody."""
LIVE_AT_ONCE, DOUBTFUL_AT_ONCE, KNOCKS_AT_ONCE = 200, 2000, 2000
PER_HOST = 4
"""One machine may run a server for each of many printers."""
FILES_OF_OURS = 100
"""Open files besides connections."""


@dataclass
class Lane:
    """A session, how many looks it takes at once, and how many of them at one host."""

    web: Web
    at_once: asyncio.Semaphore
    turnstile: asyncio.Lock = field(default_factory=asyncio.Lock)
    hosts: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(PER_HOST))
    )

    async def look(self, target: Target) -> Look:
        async with self.hosts[target.host], self.at_once:
            async with self.turnstile:
                # One in each turn of the loop: who says nothing costs nothing, and while answers are being read, nobody
                # is asked whose own answer would then wait for this process until it is too late.
                await asyncio.sleep(0)
            asked_at = timezone.now()
            return Look(target.printer, await asking.look_at(self.web, target.endpoint), asked_at)


class Lanes:
    """Both of them."""

    def __init__(self, live: Lane, doubtful: Lane, knocks: int, resolver: Resolver) -> None:
        self._live, self._doubtful = live, doubtful
        self._knocks, self._networks, self._resolver = asyncio.Semaphore(knocks), farm_networks(), resolver

    async def look(self, target: Target, *, alive: bool) -> Look:
        """What goes wrong is something seen as well."""
        if alive:
            return await self._live.look(target)
        async with self._knocks:
            asked_at = timezone.now()
            nobody = await knock(target.endpoint.address, self._networks, self._resolver, KNOCK_S)
        return Look(target.printer, nobody, asked_at) if nobody else await self._doubtful.look(target)


@asynccontextmanager
async def open_lanes(printers: int = 0) -> AsyncIterator[Lanes]:
    """Lanes for so many printers, as wide as this process may have files open."""
    files = files_at_most() - FILES_OF_OURS
    share = min(1.0, files / (LIVE_AT_ONCE + DOUBTFUL_AT_ONCE + KNOCKS_AT_ONCE))
    # Connections that are kept would count as well.
    keep = files > LIVE_AT_ONCE + DOUBTFUL_AT_ONCE + KNOCKS_AT_ONCE + 2 * printers
    # Names of servers that are gone take long to look up, and hold no thread that a live one waits for.
    doubtful_names = Resolver(ThreadPoolExecutor(32, thread_name_prefix="doubtful names"))
    async with AsyncExitStack() as stack:
        live = await stack.enter_async_context(open_web(connect_s=KNOCK_S, keep=keep))
        doubtful = await stack.enter_async_context(open_web(resolver=doubtful_names, keep=False))
        yield Lanes(
            Lane(live, asyncio.Semaphore(max(1, int(LIVE_AT_ONCE * share)))),
            Lane(doubtful, asyncio.Semaphore(max(1, int(DOUBTFUL_AT_ONCE * share)))),
            max(1, int(KNOCKS_AT_ONCE * share)),
            doubtful_names,
        )


def files_at_most() -> int:
    """As many as the system allows, and no fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 2**20
