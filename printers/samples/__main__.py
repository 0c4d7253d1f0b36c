"""Serves the sample farm: one line of JSON says where, and the end of the input ends it."""

import argparse
import asyncio
import json
import sys
import time
import urllib.request
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

from printers.samples import real
from printers.samples.farm import farm
from printers.samples.serving import serve

CUBE = "M104 S60\nM140 S40\nM109 S60\nM190 S40\n" + "G1 X10 F600\nG1 X0 F600\n" * 400 + "M104 S0\nM140 S0\n"
START_S = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--octoprint", type=Path, help="serve a real OctoPrint as well, with its data in this folder")
    folder: Path | None = parser.parse_args().octoprint
    with ExitStack() as stack:
        try:
            real_ones = [octoprint(stack, folder)] if folder else []
        except real.NotInstalled as error:
            print(error, file=sys.stderr)  # noqa: T201
            return 1
        asyncio.run(run(real_ones))
    return 0


def octoprint(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """Returns when its virtual printer is ready, which has one file."""
    (folder / "uploads").mkdir(parents=True, exist_ok=True)
    (folder / "uploads" / "cube.gcode").write_text(CUBE)
    server = stack.enter_context(real.octoprint(folder))
    deadline = time.monotonic() + START_S
    while not is_ready(server):
        if server.process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"OctoPrint did not start; it says why in {server.log}.")
        time.sleep(0.2)  # Its answer alone says that it is ready.
    known = {"place": "This machine", "model": "OctoPrint’s virtual printer", "tags": ["real"], "camera": ""}
    return {"name": "Kingfisher", "kind": "octoprint", "address": server.address, "key": server.key} | known


def is_ready(server: real.Real) -> bool:
    """It refuses this question until its printer is connected, a moment after it answers at all."""
    asked = urllib.request.Request(f"{server.address}/api/printer", headers={"X-Api-Key": server.key})  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=5):  # noqa: S310
            return True
    except (OSError, HTTPException):
        return False


async def run(real_ones: list[dict[str, Any]]) -> None:
    places = farm()
    async with serve(place.sample for place in places) as addresses:
        told = [place.told(address) for place, address in zip(places, addresses, strict=True)]
        print(json.dumps(told + real_ones), flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    sys.exit(main())
