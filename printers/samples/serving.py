"""Serves samples on loopback, each on a port of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from printers.samples import moonraker, octoprint, prusalink
from printers.samples.simulation import Sample

APPLICATIONS = {
    "octoprint": octoprint.application,
    "moonraker": moonraker.application,
    "prusalink": prusalink.application,
}
HOST = "127.0.0.1"


@asynccontextmanager
async def serve(samples: Iterable[Sample]) -> AsyncIterator[list[str]]:
    """The address of each, in their order; port 0 finds free ones."""
    runners: list[web.AppRunner] = []
    try:
        for sample in samples:
            runner = web.AppRunner(APPLICATIONS[sample.kind](sample), access_log=None, shutdown_timeout=0.1)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, HOST, 0).start()
        yield [f"http://{HOST}:{runner.addresses[0][1]}" for runner in runners]
    finally:
        # A connection that is accepted while its server closes is closed by nobody: asyncio has no list of these.
        await _turns(5)
        for runner in runners:
            await runner.cleanup()
        # Sockets are closed a turn of the loop later.
        await _turns(3)


async def _turns(number: int) -> None:
    """Of the loop, so that what waits for one is done."""
    for _ in range(number):
        await asyncio.sleep(0)
