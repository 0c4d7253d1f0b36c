"""An asker that stays in a worker's process between two of its tasks, in a thread of its own.

A task waits for those that live. Those that are dead are asked on beside the tasks that follow, as in the one process.
"""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any

from monitoring.polling import targets
from monitoring.polling.hosts import Hosts
from monitoring.polling.lanes import open_lanes
from monitoring.polling.poller import EVERY_S, Asker
from monitoring.polling.targets import Target
from monitoring.polling.writing import Database, Writer


class Resident:
    """Ends with its process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="resident asker", daemon=True).start()
        self._do(self._open())

    def ask(self, wanted: list[Target]) -> None:
        """Those that are due; returns when all that live have answered, and what they said is written."""
        self._do(self._ask(wanted))

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _open(self) -> None:
        database = Database()
        self._writer = Writer(database)
        self._lanes = open_lanes(await database.insist(targets.count))
        self._asker = Asker(await self._lanes.__aenter__(), Hosts(EVERY_S), self._writer)
        self._writing = asyncio.create_task(self._writer.run())

    async def _ask(self, wanted: list[Target]) -> None:
        await asyncio.gather(*self._asker.ask(wanted), return_exceptions=True)
        await self._writer.until_written()


@cache
def resident() -> Resident:
    """That of this process. Made by its first task, for a thread doesn't survive the fork of a worker."""
    return Resident()
