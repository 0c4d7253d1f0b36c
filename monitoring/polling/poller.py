"""One process that asks all printers, round after round, without waiting for any of them.

A round asks every printer that is due and not being asked. Those that live answer within it; those that are dead take
as long as they take beside it.
"""

import asyncio
import logging
import os
import random
import socket
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from django.utils import timezone

from monitoring.polling import housekeeping, lease, targets
from monitoring.polling.hosts import Hosts
from monitoring.polling.lanes import Lanes, open_lanes
from monitoring.polling.targets import Target
from monitoring.polling.writing import Database, Writer
from printers.fleet.models import Kind
from printers.states import State

logger = logging.getLogger(__name__)

EVERY_S = 10.0
CHORES_S = 60.0
FIRST_S = 0.1
WAITING_S = 1.0
ENDS_S = 10.0
KINDS = frozenset(Kind.values)


def name() -> str:
    """Of this process, as people find it; the same pid may come again on another day."""
    return f"{socket.gethostname()[:60]} {os.getpid()} {uuid.uuid4().hex[:8]}"


class Asker:
    """Asks printers, and hands what was seen on to the writer. What it knows of hosts stays from round to round."""

    def __init__(self, lanes: Lanes, hosts: Hosts, writer: Writer) -> None:
        self._lanes, self._hosts, self._writer = lanes, hosts, writer
        self._asking: dict[int, asyncio.Task[State | None]] = {}

    def ask(self, wanted: Iterable[Target], *, patient: bool = True) -> list[asyncio.Task[State | None]]:
        """Begin with those that are due and not being asked; with all of them where somebody is not `patient`.

        Returns what is under way for those that are alive.
        """
        alive = []
        for target in wanted:
            host = self._hosts.find(target.origin, target.answered)
            if target.printer in self._asking or (patient and not self._hosts.is_due(host)):
                continue
            task = asyncio.create_task(self._ask(target))
            self._asking[target.printer] = task
            task.add_done_callback(lambda _, printer=target.printer: self._asking.pop(printer, None))
            if host.alive:
                alive.append(task)
        return alive

    async def _ask(self, target: Target) -> State | None:
        host = self._hosts.find(target.origin, target.answered)
        try:
            look = await self._lanes.look(target, alive=host.alive)
        except Exception:  # What one printer makes a client raise keeps no other from being asked.
            logger.exception("Printer %s was not asked.", target.printer)
            return None
        self._hosts.note(host, look.seen.answered)
        self._writer.add(look)
        return look.seen.state

    async def until_answered(self) -> Counter[State]:
        """What all that are being asked have said."""
        found = await asyncio.gather(*self._asking.values())
        await self._writer.until_written()
        return Counter(state for state in found if state)

    async def cancel(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)


async def poll_once(wanted: list[Target], hosts: Hosts, database: Database) -> Counter[State]:
    """Ask each of them once, dead or alive, and return when everything is written."""
    async with open_lanes(len(wanted)) as lanes:
        writer = Writer(database)
        writing = asyncio.create_task(writer.run())
        asker = Asker(lanes, hosts, writer)
        try:
            asker.ask(wanted, patient=False)
            return await asker.until_answered()
        finally:
            await asker.cancel()
            writing.cancel()


@asynccontextmanager
async def hold(database: Database, holder: str, kinds: Collection[str]) -> AsyncIterator[frozenset[str]]:
    """The lease of those of the kinds that nobody else has, until the end of the block."""
    held = frozenset(await database.run(lease.take, holder, kinds))

    async def renew() -> None:
        while True:
            await asyncio.sleep(lease.SECONDS / 3)
            await database.insist(lease.take, holder, held)

    renewing = asyncio.create_task(renew())
    try:
        yield held
    finally:
        renewing.cancel()
        await database.run(lease.release, holder)


class Poller:
    """Rounds until it is stopped, for the kinds of which it has the lease."""

    def __init__(self, kinds: Collection[str] = KINDS, every_s: float = EVERY_S) -> None:
        self.kinds, self.every_s, self.holder = frozenset(kinds), every_s, name()
        self.held: frozenset[str] = frozenset()
        self._database, self._stopping = Database(), asyncio.Event()
        self.told = False

    def stop(self) -> None:
        """End soon: what was seen is written, and another process may begin at once."""
        self._stopping.set()

    async def run(self) -> None:
        """Until it is stopped. Raises what nobody has expected; a database that is away is waited for."""
        work = asyncio.create_task(self._work())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (work, stopped):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def _work(self) -> None:
        hosts, writer = Hosts(self.every_s), Writer(self._database)
        async with open_lanes(await self._database.insist(targets.count)) as lanes:
            asker = Asker(lanes, hosts, writer)
            writing = asyncio.create_task(writer.run())
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._hold())
                    group.create_task(self._tidy())
                    group.create_task(self._rounds(asker, hosts, group))
            finally:
                await asker.cancel()
                await self._end(writer)
                writing.cancel()

    async def _end(self, writer: Writer) -> None:
        """What was seen is written; a database that is away now is not waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDS_S):
                await writer.until_written()
                await self._database.insist(lease.release, self.holder)

    async def _rounds(self, asker: Asker, hosts: Hosts, group: asyncio.TaskGroup) -> None:
        while True:
            began, at, held = time.monotonic(), timezone.now(), self.held
            if held:
                wanted = await self._database.insist(targets.read, held)
                hosts.forget_others({target.origin for target in wanted})
                alive = asker.ask(wanted)
                group.create_task(self._tell(alive, held, at))
            await asyncio.sleep(max(self.every_s - (time.monotonic() - began), 0.0) if held else FIRST_S)

    async def _tell(self, alive: list[asyncio.Task[State | None]], held: frozenset[str], at: datetime) -> None:
        """When all of a round that live have answered. Of those that are asked already, the round before tells."""
        await asyncio.gather(*alive, return_exceptions=True)
        await self._database.insist(lease.asked, self.holder, held, at)

    async def _hold(self) -> None:
        """Take the lease, keep it, and let go of what another process has taken while this one stood still."""
        while True:
            held = frozenset(await self._database.insist(lease.take, self.holder, self.kinds))
            if held != self.held or not self.told:
                self._say(held)
            self.held, self.told = held, True
            await asyncio.sleep(lease.SECONDS / 3 if held == self.kinds else WAITING_S)

    def _say(self, held: frozenset[str]) -> None:
        if held:
            logger.info("Polling %s every %g s.", ", ".join(sorted(held)), self.every_s)
        if waiting := self.kinds - held:
            logger.info("Another process polls %s; waiting for it to end.", ", ".join(sorted(waiting)))

    async def _tidy(self) -> None:
        while True:
            if self.held:
                await self._database.insist(housekeeping.run)
            await asyncio.sleep(CHORES_S * random.uniform(0.9, 1.1) if self.held else WAITING_S)  # noqa: S311
