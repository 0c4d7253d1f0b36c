"""OctoPrint's application keys: it asks a person on its own page, and hands out a key after a yes.

`ask_for_key` begins, `key_of` asks how it went. OctoPrint forgets a request after five seconds without a question.
"""

import re
from dataclasses import dataclass, field
from enum import Enum

from printers.clients.base import Endpoint, Refused
from printers.clients.octoprint import OctoPrint
from printers.clients.reading import dig, text
from printers.clients.web import Web

APP = "Print farm"
TOKEN = re.compile(r"[\w-]{1,200}", re.ASCII)
EVERY_S = 2
"""How often a page should ask for the answer."""


class Answer(Enum):
    WAITING = "waiting"
    YES = "yes"
    NO = "no"
    """Or nobody has said anything in time, or the request is not known: OctoPrint answers these the same."""


@dataclass(frozen=True)
class Request:
    """One question that OctoPrint shows. Whoever has the token gets the key, so it stays on the server."""

    token: str = field(repr=False)
    dialog: str = field(repr=False)
    """The page of OctoPrint's where a person says yes."""


@dataclass(frozen=True)
class Decision:
    answer: Answer
    key: str = field(default="", repr=False)


async def ask_for_key(web: Web, address: str) -> Request:
    """Raises Refused where OctoPrint has no application keys or was asked too often, and the clients' other errors."""
    server = OctoPrint(web, Endpoint(address))
    answer = await server.ask("POST", "plugin", "appkeys", "request", data={"app": APP})
    if answer.status == 429:
        raise Refused("OctoPrint was asked for a key too often.", "Try again in a few minutes, or paste a key.")
    token = text(dig(answer.json_or_none(), "app_token"), 200) if answer.status == 201 else ""
    if not TOKEN.fullmatch(token):
        raise Refused(f"The server at {server.where} gives no keys.", "Copy one from its settings.")
    # OctoPrint sends this address, too, as it believes to be called, which behind a proxy is wrong.
    return Request(token, str(server.url.joinpath("plugin", "appkeys", "auth", token)))


async def key_of(web: Web, address: str, token: str) -> Decision:
    """What came of the question."""
    if not TOKEN.fullmatch(token):
        return Decision(Answer.NO)
    server = OctoPrint(web, Endpoint(address))
    answer = await server.ask("GET", "plugin", "appkeys", "request", token)
    if answer.status == 202:
        return Decision(Answer.WAITING)
    key = text(dig(answer.json_or_none(), "api_key"), 128) if answer.status == 200 else ""
    return Decision(Answer.YES, key) if key else Decision(Answer.NO)
