"""What the lanes let through: so much at one host, and the living beside any number of the dead."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from monitoring.polling.lanes import PER_HOST, Lane, open_lanes
from monitoring.polling.targets import Target, where
from printers.clients.base import Endpoint
from printers.states import State
from tests.monitoring.fakes import MOONRAKER, response
from tests.printers import faults


def target(key: int, address: str) -> Target:
    return Target(key, Endpoint(address, "moonraker"), *where(address), answered=True)


@pytest.mark.parametrize("alive", [True, False])
def test_one_host_is_asked_for_few_of_its_printers_at_once(alive: bool) -> None:
    """A machine with a server for each of twelve printers answers only when as many as it will bear have asked."""

    async def ask() -> tuple[int, list[State]]:
        asking, most, enough = 0, 0, asyncio.Event()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
            nonlocal asking, most
            await faults.request_of(reader)
            asking += 1
            most = max(most, asking)
            if asking == PER_HOST:
                enough.set()
            await enough.wait()
            for _ in range(100):
                await asyncio.sleep(0)  # One more would come now.
            asking -= 1
            writer.write(response(MOONRAKER))

        async with AsyncExitStack() as stack:
            addresses = [await stack.enter_async_context(faults.server(talk)) for _ in range(3 * PER_HOST)]
            lanes = await stack.enter_async_context(open_lanes())
            looks = await asyncio.gather(
                *(lanes.look(target(key, address), alive=alive) for key, address in enumerate(addresses))
            )
        return most, [look.seen.state for look in looks]

    assert asyncio.run(ask()) == (PER_HOST, [State.READY] * 3 * PER_HOST)


def test_the_living_are_asked_while_every_place_of_the_second_lane_is_taken() -> None:
    async def ask() -> State:
        never = asyncio.Event()

        async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
            await never.wait()

        async with AsyncExitStack() as stack:
            dead = await stack.enter_async_context(faults.server(hangs))
            lives = await stack.enter_async_context(faults.server(faults.says(b'{"result": {"status": {}}}')))
            lanes = await stack.enter_async_context(open_lanes())
            lanes._doubtful.at_once = asyncio.Semaphore(1)
            waiting = [asyncio.create_task(lanes.look(target(key, dead), alive=False)) for key in range(20)]
            while not lanes._doubtful.at_once.locked():
                await asyncio.sleep(0)
            look = await lanes.look(target(99, lives), alive=True)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return look.seen.state

    assert asyncio.run(ask()) == State.READY


def test_a_lane_is_as_wide_as_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.polling.lanes.files_at_most", lambda: 1024)

    async def widths() -> tuple[int, int, int]:
        async with open_lanes(5000) as lanes:
            lane: Lane = lanes._live
            return lane.at_once._value, lanes._doubtful.at_once._value, lanes._knocks._value

    assert sum(asyncio.run(widths())) < 1024
