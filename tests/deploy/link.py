"""A link between two servers that can be cut and mended."""

import socket
import threading

from tests.chaos.proxy import hang_up


class Link:
    """Listens on loopback and forwards to a port there, or to a socket's path; while it is cut, nobody gets through."""

    def __init__(self, to: int | str) -> None:
        self.to = to
        self.whole = threading.Event()
        self.whole.set()
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        # Daemons, or a test that fails before it closes the link would never end.
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if not self.whole.is_set():
                client.close()
                continue
            # Or each small answer waits for the acknowledgement of the last one, 40 ms.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = self.connect()
            self.open += [client, server]
            for ends in ((client, server), (server, client)):
                thread = threading.Thread(target=self.forward, args=ends, daemon=True)
                thread.start()
                self.threads.append(thread)

    def connect(self) -> socket.socket:
        if isinstance(self.to, int):
            server = socket.create_connection(("127.0.0.1", self.to))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return server
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.to)
        return server

    def forward(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass  # It was cut.
        hang_up(one)
        hang_up(other)

    def cut(self) -> None:
        """Both ends learn of it."""
        self.whole.clear()
        for end in self.open:
            hang_up(end)

    def mend(self) -> None:
        self.whole.set()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        for thread in self.threads:
            thread.join()
