"""Stands for Klipper behind a real Moonraker: JSON that 0x03 ends, on a Unix socket."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from printers.samples.moonraker import objects_of
from printers.samples.simulation import Conflict, Sample

ENDPOINTS = ["info", "objects/list", "objects/query"]
ENDPOINTS += [f"pause_resume/{what}" for what in ("pause", "resume", "cancel")]
END = b"\x03"
START = re.compile(r'SDCARD_PRINT_FILE FILENAME="(.*)"')


@asynccontextmanager
async def klippy(path: Path, sample: Sample) -> AsyncIterator[None]:
    """Where Moonraker looks for Klipper. Its printer is `sample`."""
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        try:
            while request := (await reader.readuntil(END))[:-1]:
                writer.write(json.dumps(answer(sample, json.loads(request))).encode() + END)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            connections.discard(writer)
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield
    finally:
        server.close()
        for writer in list(connections):
            writer.close()
        path.unlink(missing_ok=True)


def answer(sample: Sample, request: dict[str, Any]) -> dict[str, Any]:
    try:
        found = result(sample, request["method"], request.get("params") or {})
    except (Conflict, LookupError) as error:
        return {"id": request.get("id"), "error": {"error": "CommandError", "message": str(error)}}
    return {"id": request.get("id"), "result": found}


def result(sample: Sample, method: str, params: dict[str, Any]) -> Any:
    objects = objects_of(sample)
    match method:
        case "info":
            state = objects["webhooks"]
            return {
                **state,
                "software_version": "v0.13.0",
                "klipper_path": "/",
                "python_path": "/",
                "hostname": "sample",
            }
        case "list_endpoints":
            return {"endpoints": ENDPOINTS}
        case "objects/list":
            return {"objects": [*objects, "pause_resume"]}
        case "objects/query" | "objects/subscribe":
            asked = params.get("objects", {})
            return {"eventtime": 1.0, "status": {name: objects[name] for name in asked if name in objects}}
        case "pause_resume/pause" | "pause_resume/resume" | "pause_resume/cancel":
            getattr(sample, method.partition("/")[2])()
        case "gcode/script" if started := START.search(params.get("script", "")):
            sample.start(started[1])
    return {}
