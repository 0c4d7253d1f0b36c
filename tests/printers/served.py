"""Samples that are served while a test without an event loop runs."""

import asyncio
import gc
import queue
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from printers.samples.serving import serve
from printers.samples.simulation import Sample


@contextmanager
def served(*samples: Sample) -> Iterator[list[str]]:
    """The address of each, in their order."""
    started: queue.SimpleQueue[tuple[list[str], asyncio.AbstractEventLoop, asyncio.Event]] = queue.SimpleQueue()

    async def run() -> None:
        over = asyncio.Event()
        async with serve(samples) as addresses:
            started.put((addresses, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=[run()])
    thread.start()
    addresses, loop, over = started.get()
    try:
        yield addresses
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        with warnings.catch_warnings():
            # A connection that was accepted while its server stopped is closed by nobody else.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
