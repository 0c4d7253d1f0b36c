"""Real servers that messages arrive at: SMTP, and HTTP that keeps what was posted and answers as the test wants."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message


class Mailbox(Message):
    """Keeps what an SMTP server was sent; `refuses` lets it say that it can't just now."""

    def __init__(self) -> None:
        super().__init__(EmailMessage)
        self.messages: list[Any] = []
        self.refuses = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses:
            return "451 Try again later"
        return await super().handle_DATA(server, session, envelope)

    def handle_message(self, message: Any) -> None:
        self.messages.append(message)

    def parts(self) -> tuple[str, str]:
        """(text, HTML) of the only message."""
        [message] = self.messages
        text, html = [part.get_payload(decode=True).decode() for part in message.walk() if not part.is_multipart()]
        return text, html


class SmtpServer(Controller):
    """On a port that the system chooses."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Service(ThreadingHTTPServer):
    """Stands for whatever takes webhooks."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.posts: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.status = 200
        self.location = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{self.command} {self.path}")
        if self.command == "POST":
            self.server.posts.append(json.loads(body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST

    def log_message(self, *arguments: Any) -> None:
        """Into no test's output."""


@contextmanager
def service() -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
