"""What the three clients share: one server, its base address, and how its refusals read."""

from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from printers.clients import reading
from printers.clients.addresses import base_url, label
from printers.clients.base import (
    KINDS,
    Endpoint,
    File,
    KeyRefused,
    NotAPrinter,
    NotOperational,
    Picture,
    Refused,
    Unreachable,
)
from printers.clients.web import GATEWAYS, LARGEST_ANSWER, LARGEST_PICTURE, Answer, Web

PICTURES = ("image/jpeg", "image/png", "image/webp")


class Server:
    """Asks one printer's server, and raises what its refusals mean."""

    kind = ""
    middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = ()

    def __init__(self, web: Web, endpoint: Endpoint) -> None:
        self.web, self.endpoint = web, endpoint
        self.url = base_url(endpoint.address)

    @property
    def where(self) -> str:
        return label(self.url)

    @property
    def headers(self) -> Mapping[str, str]:
        """A key goes along in a header, never in an address."""
        key = self.endpoint.credentials.key.strip()
        # A line end within would begin a header of its own.
        return {"X-Api-Key": key} if key and key.isprintable() and key.isascii() else {}

    async def ask(
        self, method: str, *path: str, query: Any = None, data: Any = None, largest: int = LARGEST_ANSWER
    ) -> Answer:
        """Raises KeyRefused for 401 and 403, Unreachable for a gateway without its server."""
        url = self.url.joinpath(*path).with_query(query)
        answer = await self.web.ask(
            method, url, headers=self.headers, data=data, largest=largest, middlewares=self.middlewares
        )
        if answer.status in (401, 403):
            raise self.key_refused()
        if answer.status in GATEWAYS and not answer.is_json:
            raise Unreachable(
                f"Something answers at {self.where}, but not the printer's server behind it.",
                "It may be starting; try again.",
            )
        return answer

    def key_refused(self) -> KeyRefused:
        return KeyRefused(f"{KINDS[self.kind]} answers at {self.where}, but refuses the key.", "Copy the key again.")

    def not_a_printer(self) -> NotAPrinter:
        return NotAPrinter(
            f"There is a web page at {self.where}, but no printer’s server.",
            "It may be a router or a camera. OctoPrint, Moonraker and PrusaLink are known.",
        )

    async def version(self) -> str:
        version = await self.read("api", "version")
        return reading.text(reading.dig(version, "version"), 40) or reading.text(reading.dig(version, "server"), 40)

    async def read(self, *path: str, query: Any = None, largest: int = LARGEST_ANSWER) -> Any:
        """The JSON of a 200. Raises NotAPrinter for another status."""
        answer = await self.ask("GET", *path, query=query, largest=largest)
        if answer.status != 200:
            raise self.not_a_printer()
        return answer.json()

    async def act(self, method: str, *path: str, data: Any = None) -> None:
        """Raises Refused or NotOperational with what the server says."""
        answer = await self.ask(method, *path, data=data)
        if answer.status < 300 or (answer.status == 409 and answer.repeated):
            return  # A conflict with what its own first try has done.
        raise self.refusal(answer)

    def refusal(self, answer: Answer) -> Refused | NotOperational:
        said = self.said(answer) or f"it answered with status {answer.status}"
        return Refused(f"{KINDS[self.kind]} refused: {said.rstrip('.')}.")

    def said(self, answer: Answer) -> str:
        """The server's own words for an error, from its JSON; none while its kind is not known."""
        return ""

    def segments(self, path: str) -> list[str]:
        try:
            return reading.path_on_machine(path)
        except ValueError:
            raise Refused("There is no such file on the machine.") from None

    async def camera(self) -> Picture:
        """From the machine's camera address; no key goes there."""
        if not self.endpoint.camera:
            raise Refused("This printer has no camera address.", "Give one where its name is edited.")
        url = _camera_url(self.endpoint.camera)
        return picture(await self.web.ask("GET", url, headers={"Accept": "image/*"}, largest=LARGEST_PICTURE))


def _camera_url(address: str) -> URL:
    """As it was typed: a slash at the end may matter there."""
    typed = URL(address if "://" in address else f"http://{address}")
    return base_url(address).with_path(typed.raw_path, encoded=True).with_query(typed.query)


def picture(answer: Answer) -> Picture:
    """Raises Refused for what is no picture of a common kind."""
    content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if answer.status != 200 or content_type not in PICTURES or not answer.content:
        raise Refused(
            f"The camera at {label(answer.url.origin())} sends no picture.", "Give the address of a snapshot."
        )
    return Picture(content_type, answer.content)


def newest_first(files: list[File]) -> list[File]:
    return sorted(files, key=lambda file: file.changed_at.timestamp() if file.changed_at else 0.0, reverse=True)
