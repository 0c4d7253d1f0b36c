"""Thousands of printers' servers on loopback, each with an address of its own, most of which may be dead.

They answer in one write, so that what is measured is whoever asks. `python -m tests.monitoring.fakes` serves them until
its input ends, and prints one line of JSON: the address of each by what it does.
"""

import argparse
import asyncio
import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
OCTOPRINT = {
    "temperature": {"tool0": {"actual": 24.1, "target": 0.0}, "bed": {"actual": 23.8, "target": 0.0}},
    "state": {"text": "Operational", "flags": {"operational": True, "ready": True}},
}
NO_JOB = {
    "job": {"file": {"name": None, "path": None}},
    "progress": {"completion": None, "printTimeLeft": None},
    "state": "Operational",
}
MOONRAKER = {
    "result": {
        "eventtime": 1.0,
        "status": {
            "webhooks": {"state": "ready", "state_message": "Printer is ready"},
            "print_stats": {"state": "standby", "filename": ""},
            "virtual_sdcard": {"progress": 0.0},
            "extruder": {"temperature": 24.1, "target": 0.0},
            "heater_bed": {"temperature": 23.8, "target": 0.0},
        },
    }
}
PRUSALINK = {"printer": {"state": "IDLE", "temp_nozzle": 24.1, "target_nozzle": 0, "temp_bed": 23.8, "target_bed": 0}}


def response(data: Any, status: str = "200 OK") -> bytes:
    body = json.dumps(data).encode()
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(), len(body), body,
    )  # fmt: skip


ANSWERS = {
    b"/api/printer": response(OCTOPRINT),
    b"/api/job": response(NO_JOB),
    b"/printer/objects/query": response(MOONRAKER),
    b"/api/v1/status": response(PRUSALINK),
}
NOT_FOUND = response({"error": "Not found"}, "404 Not Found")
DOES = ("live", "hung", "silent", "closed")
"""Answers; takes connections and says nothing; drops what comes, as a machine that is off; refuses connections."""


class Live(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1].partition(b"?")[0]
        self.transport.write(ANSWERS.get(path, NOT_FOUND))


def address(number: int) -> str:
    return f"127.{10 + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"


def free_port() -> int:
    """The same for all of a farm, and another for each farm."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listening(host: str, port: int, backlog: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((host, port))
    found.listen(backlog)
    found.setblocking(False)
    return found


def fill(host: str, port: int) -> list[socket.socket]:
    """A server whose queue is full drops what comes, as a machine does that is off."""
    found = [listening(host, port, 0)]
    for _ in range(2):
        door = socket.socket()
        door.setblocking(False)
        with suppress(BlockingIOError):
            door.connect((host, port))
        found.append(door)
    return found


async def serve(numbers: dict[str, int]) -> None:
    hosts, first, port = {}, 0, free_port()
    kept: list[Any] = []
    loop = asyncio.get_running_loop()
    for does in DOES:
        hosts[does] = [address(first + n) for n in range(numbers[does])]
        first += numbers[does]
        for host in hosts[does]:
            if does == "silent":
                kept.append(fill(host, port))
            elif does != "closed":
                protocol = Live if does == "live" else asyncio.Protocol
                kept.append(await loop.create_server(protocol, sock=listening(host, port, 64)))
    addresses = {does: [f"http://{host}:{port}" for host in found] for does, found in hosts.items()}
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)


@contextmanager
def fakes(**numbers: int) -> Iterator[dict[str, list[str]]]:
    """The addresses by what their servers do, while a process of its own serves them."""
    command = [sys.executable, "-m", "tests.monitoring.fakes"]
    command += [f"--{does}={number}" for does, number in numbers.items()]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield json.loads(process.stdout.readline())  # type: ignore[union-attr]
        finally:
            process.stdin.close()  # type: ignore[union-attr]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Of a terminal; the end of the input ends it.
    parser = argparse.ArgumentParser()
    for does in DOES:
        parser.add_argument(f"--{does}", type=int, default=0)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(vars(parser.parse_args())))


if __name__ == "__main__":
    main()
