"""What polling does with the database: in one thread, and with no connection between two things to do."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection

from printers import looking
from printers.looking import Look

logger = logging.getLogger(__name__)
R = TypeVar("R")

GATHER_S = 0.25
"""Looks that end together are written together."""
AWAY_S = 1.0
AWAY = (OperationalError, InterfaceError)
"""The database is away, restarts, or has ended a transaction for another's sake: the same may work in a moment."""


class Database:
    """Runs functions one after the other in a thread, and closes the connection after each."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")

    async def run(self, call: Callable[..., R], *args: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _alone, call, args)

    async def insist(self, call: Callable[..., R], *args: Any) -> R:
        """Again and again while the database is away; the network goes on meanwhile."""
        while True:
            try:
                return await self.run(call, *args)
            except AWAY as error:
                logger.warning("The database is away, and is asked again: %s", str(error).strip())
                # A moment that isn't everybody's.
                await asyncio.sleep(AWAY_S * random.uniform(0.5, 1.5))  # noqa: S311


def _alone(call: Callable[..., R], args: Sequence[Any]) -> R:
    try:
        return call(*args)
    finally:
        connection.close()


def keep(looks: Sequence[Look]) -> None:
    """Write a batch. A look that can't be written, or that somebody who hears of it can't bear, keeps back no other.

    Raises AWAY, when what is not yet written can be given here again.
    """
    try:
        looking.keep_changes(looks)
    except AWAY:
        raise
    except Exception:  # Receivers of other rooms may raise anything; halves find the look that they can't bear.
        if len(looks) == 1:
            logger.exception("What was seen of printer %s is not kept.", looks[0].printer)
            return
        half = len(looks) // 2
        keep(looks[:half])
        keep(looks[half:])


class Writer:
    """Gathers looks and has them written, batch by batch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looks: asyncio.Queue[Look] = asyncio.Queue()

    def add(self, look: Look) -> None:
        self._looks.put_nowait(look)

    async def run(self) -> None:
        while True:
            await self.write([await self._looks.get()])

    async def write(self, looks: list[Look]) -> None:
        await asyncio.sleep(GATHER_S)
        while len(looks) < looking.BATCH and not self._looks.empty():
            looks.append(self._looks.get_nowait())
        await self._database.insist(keep, looks)
        for _ in looks:
            self._looks.task_done()

    async def until_written(self) -> None:
        await self._looks.join()
