"""Finds out which server answers at an address, and says it in one sentence."""

from dataclasses import dataclass, replace

from printers.clients.base import (
    KINDS,
    AddressRefused,
    Credentials,
    Endpoint,
    KeyRefused,
    NotAPrinter,
    PrinterError,
    Seen,
    Unreachable,
)
from printers.clients.kinds import client_for
from printers.clients.octoprint import is_emulated_version
from printers.clients.reading import dig, text
from printers.clients.server import Server
from printers.clients.web import Answer, Web
from printers.states import State

KEY_LENGTHS = {"octoprint": "all 43 characters", "moonraker": "all 32 characters", "prusalink": "to its end"}


@dataclass(frozen=True)
class Found:
    """What answers. Without a kind, no printer's server does, and there is nothing to add."""

    sentence: str
    hint: str = ""
    kind: str = ""
    version: str = ""
    state: State = State.UNREACHABLE
    seen: Seen | None = None
    """What its printer does; None where it didn't say."""
    gives_keys: bool = False
    """Whether OctoPrint can be asked for a key: `appkeys`."""

    @property
    def title(self) -> str:
        """Such as OctoPrint 1.11.8."""
        return f"{KINDS[self.kind]} {self.version}".strip() if self.kind else ""

    @property
    def can_be_added(self) -> bool:
        return self.seen is not None


async def find_kind(web: Web, address: str, credentials: Credentials) -> Found:
    """Never raises for what answers or doesn't. With the credentials it also looks at the printer."""
    try:
        asker = Asker(web, Endpoint(address, credentials=credentials))
        kind, version = await asker.identify()
    except PrinterError as error:
        return Found(error.sentence, error.hint, state=error.state or State.ATTENTION)
    found = Found("", kind=kind, version=version, gives_keys=kind == "octoprint" and await asker.gives_keys())
    client = client_for(web, Endpoint(address, kind, credentials))
    try:
        seen = await client.look()
        # PrusaLink says nothing about itself before the login.
        found = replace(found, version=version or await client.version())
    except KeyRefused as error:
        return refused(found, asker.where, error, credentials)
    except PrinterError as error:
        return replace(found, sentence=error.sentence, hint=error.hint, state=error.state or State.ATTENTION)
    return taken(found, asker.where, seen)


def refused(found: Found, where: str, error: KeyRefused, credentials: Credentials) -> Found:
    if found.kind == "prusalink":
        return replace(found, sentence=error.sentence, hint=error.hint, state=State.REFUSED)
    if not credentials.key:
        hint = "Copy it from the server’s settings."
        sentence = f"{found.title} answers at {where}, and wants a key."
    else:
        hint = f"Copy the key again, {KEY_LENGTHS[found.kind]}."
        sentence = f"{found.title} answers at {where}, but refuses the key."
    if found.gives_keys:
        hint = f"{hint[:-1]}, or let OctoPrint make one: it asks on its own page and you say yes."
    return replace(found, sentence=sentence, hint=hint, state=State.REFUSED)


def taken(found: Found, where: str, seen: Seen) -> Found:
    takes = "takes user and password" if found.kind == "prusalink" else "takes the key"
    if seen.state == State.DISCONNECTED:
        return replace(
            found,
            sentence=f"{found.title} answers at {where} and {takes}, but its printer is disconnected.",
            hint="Most often the printer is switched off. You can add it now; it shows as disconnected until then.",
            state=seen.state,
            seen=seen,
        )
    if seen.state == State.READY:
        does = "Its printer is ready."
    elif seen.state.runs and seen.state != State.ATTENTION:
        does = f"Its printer is {seen.state.word.lower()}."
    else:
        does = f"Its printer says: {seen.state.word.lower()}."
    sentence = f"{found.title} answers at {where} and {takes}. {does}"
    return replace(found, sentence=sentence, hint=seen.message, state=seen.state, seen=seen)


class Asker(Server):
    """Asks what every kind of server answers, with or without a key that it takes."""

    async def identify(self) -> tuple[str, str]:
        """Kind and version, which is empty where the key is refused. Raises one of the clients' errors."""
        version = await self.peek("api", "version", with_key=True)
        if found := by_version(version):
            return found
        if is_digest(version):
            return "prusalink", ""
        if await self.is_moonraker():
            return "moonraker", await self.version_of_moonraker()
        if version.status in (401, 403) and await self.gives_keys():
            return "octoprint", ""
        if version.status in (502, 503, 504):
            raise Unreachable(
                f"Something answers at {self.where}, but not the printer's server behind it.",
                "It may be starting; try again.",
            )
        raise self.not_a_printer()

    async def peek(self, *path: str, with_key: bool = False) -> Answer:
        """Whatever the status is."""
        return await self.web.ask("GET", self.url.joinpath(*path), headers=self.headers if with_key else None)

    async def is_moonraker(self) -> bool:
        """It says how one logs in, if no wrong key goes along."""
        answer = await self.peek("access", "info")
        return answer.status == 200 and isinstance(dig(answer.json_or_none(), "result", "available_sources"), list)

    async def version_of_moonraker(self) -> str:
        return text(
            dig((await self.peek("server", "info", with_key=True)).json_or_none(), "result", "moonraker_version"), 40
        ).removeprefix("v")

    async def gives_keys(self) -> bool:
        """OctoPrint's application keys, which it tells of without a key."""
        try:
            return (await self.peek("plugin", "appkeys", "probe")).status == 204
        except (Unreachable, NotAPrinter, AddressRefused):
            return False


def by_version(answer: Answer) -> tuple[str, str] | None:
    """Kind and version, from an `/api/version` that was answered."""
    version = answer.json_or_none() if answer.status == 200 else None
    words = text(dig(version, "text"))
    if is_emulated_version(version):
        return None  # Moonraker, which is asked for its own version.
    if words.startswith("PrusaLink") or isinstance(dig(version, "capabilities"), dict):
        return "prusalink", text(dig(version, "version"), 40) or text(dig(version, "server"), 40)
    if words.startswith("OctoPrint"):
        return "octoprint", text(dig(version, "server"), 40)
    return None


def is_digest(answer: Answer) -> bool:
    return answer.status == 401 and answer.headers.get("WWW-Authenticate", "").lower().startswith("digest ")
