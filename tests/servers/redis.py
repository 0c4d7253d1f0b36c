"""Debian's Redis, on a socket in a temporary folder; it can be stopped and started again."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis as client

from tests.servers.starting import NotInstalled
from tests.waiting import until


class Redis:
    """Keeps nothing on the disk: what was in its queues is gone when it is started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.socket = program, folder / "redis"
        self.url = f"redis+socket://{self.socket}"
        self.start()

    def start(self) -> None:
        command = [
            self.program,
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--dir",
            str(self.socket.parent),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, "Redis did not start.")

    def answers(self) -> bool:
        try:
            with self.client() as asked:
                return bool(asked.ping())
        except client.exceptions.ConnectionError:
            return False

    def client(self) -> "client.Redis":
        return client.Redis(unix_socket_path=str(self.socket))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def started() -> Iterator[Redis]:
    """Raises NotInstalled."""
    program = shutil.which("redis-server")
    if program is None:
        raise NotInstalled("redis-server")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = Redis(program, Path(folder))
        try:
            yield server
        finally:
            server.stop()
