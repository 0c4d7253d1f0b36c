"""The network between a client and the server: it forwards, until it sees a statement, and then it is cut."""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, Literal

Cut = Literal["before", "after", "silence", "midway"]
"""Reset before the statement has reached the server; reset once the server has it, so that its answer never comes;
or nothing more in either direction, with both ends left open, before the statement or after the first of its answer.
"""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes `close` send a reset."""


class Proxy:
    """Listens on loopback; cuts at the last of the statements, once it has seen the others, and sets `cut`."""

    def __init__(self, server: dict[str, Any], patterns: Sequence[bytes], how: Cut) -> None:
        self.server = server
        self.awaited = list(map(re.compile, patterns))
        self.how = how
        self.cut = threading.Event()
        self.answered = threading.Event()
        """The statement has reached the server."""
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.cut.is_set():
                client.close()
                continue
            server = self.connect()
            self.open += [client, server]
            for thread in (
                threading.Thread(target=self.watch, args=[client, server], daemon=True),
                threading.Thread(target=self.forward, args=[server, client], daemon=True),
            ):
                thread.start()
                self.threads.append(thread)

    def connect(self) -> socket.socket:
        host, port = str(self.server["host"]), int(self.server.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def watch(self, client: socket.socket, server: socket.socket) -> None:
        """From the client to the server, looking for the statement."""
        while data := self.receive(client):
            if self.cut.is_set():
                continue
            if self.awaited and self.awaited[0].search(data):
                self.awaited.pop(0)
            if self.awaited:
                server.sendall(data)
                continue
            if self.how == "midway":
                self.answered.set()
                server.sendall(data)
                continue
            self.cut.set()
            if self.how == "silence":
                continue
            if self.how == "after":
                server.sendall(data)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            if self.how == "before":
                hang_up(server)
            return

    def forward(self, server: socket.socket, client: socket.socket) -> None:
        """Answers of the server; once it is cut they are read, and nobody gets them."""
        while data := self.receive(server):
            with contextlib.suppress(OSError):
                if not self.cut.is_set():
                    client.sendall(data)
                if self.answered.is_set():
                    self.cut.set()

    def receive(self, end: socket.socket) -> bytes:
        try:
            return end.recv(65536)
        except OSError:
            return b""

    def close(self) -> None:
        """Both ends learn of it."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.open:
            hang_up(end)
        for thread in self.threads:
            thread.join()


def hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # Its other end may have closed it.
        end.shutdown(socket.SHUT_RDWR)
    end.close()
