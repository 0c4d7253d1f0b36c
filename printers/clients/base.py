"""What every client takes and returns, and the errors that all of them raise."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from printers.states import State

KINDS = {"octoprint": "OctoPrint", "moonraker": "Moonraker", "prusalink": "PrusaLink"}
"""Which server answers, as `fleet.models.Kind` keeps it, and what people call it."""


@dataclass(frozen=True)
class Credentials:
    """What opens a server. Never in a `repr`, so in no log, traceback or error either."""

    key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Endpoint:
    """A printer's server, without the database: what it is, where it is, and what opens it."""

    # Neither is in a `repr`: people write passwords into addresses, above all into those of cameras.
    address: str = field(repr=False)
    kind: str = "octoprint"
    credentials: Credentials = field(default_factory=Credentials)
    camera: str = field(default="", repr=False)


Temperatures = dict[str, dict[str, float | None]]
"""By part, `tool0`, `tool1`, `bed` or `chamber`: `actual` and `target`, in degrees Celsius."""


@dataclass(frozen=True)
class Seen:
    """What a look at a printer found. Progress is in per cent."""

    state: State
    file: str = ""
    progress: float | None = None
    ends_at: datetime | None = None
    temperatures: Temperatures = field(default_factory=dict)
    message: str = ""
    answered: bool = True
    took_s: float | None = None
    """How long the print on the machine has taken or took, where the server says so."""
    filament_mm: float | None = None


@dataclass(frozen=True)
class File:
    """A file on the machine: `path` is what `start` takes, `name` what people read."""

    path: str
    name: str
    size: int | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True)
class Picture:
    content_type: str
    content: bytes = field(repr=False)


class Client(Protocol):
    """One printer's server. Every method raises one of the errors below, and no other."""

    async def look(self) -> Seen: ...
    async def version(self) -> str:
        """The server's own."""

    async def files(self) -> list[File]:
        """Newest first."""

    async def start(self, path: str) -> None:
        """Print a file that is on the machine."""

    async def pause(self) -> None: ...
    async def resume(self) -> None: ...
    async def cancel(self) -> None: ...
    async def camera(self) -> Picture: ...


class PrinterError(Exception):
    """Base of what can go wrong. Its text is a sentence for people, without keys, and `hint` says what helps."""

    state: State | None = None
    """What the printer's state is then, where the error says that."""
    answered = True

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence, self.hint = sentence, hint

    def seen(self) -> Seen | None:
        """The same as a look: None where it says nothing about the printer."""
        return self.state and Seen(self.state, message=self.sentence, answered=self.answered)


class Unreachable(PrinterError):
    """Nobody answers, or not in time."""

    state, answered = State.UNREACHABLE, False


class AddressRefused(PrinterError):
    """The portal may not call there."""

    state, answered = State.UNREACHABLE, False


class NotAPrinter(PrinterError):
    """Something answers that is not the server which was expected."""

    state = State.ATTENTION


class KeyRefused(PrinterError):
    """The server says no to key, user or password."""

    state = State.REFUSED


class NotOperational(PrinterError):
    """The server is up, and its printer is not connected."""

    state = State.DISCONNECTED


class Refused(PrinterError):
    """The server says no to this one request, and why."""


class OtherKind(NotAPrinter):
    """A known server, but not of the kind that was asked for."""

    def __init__(self, address: str, kind: str) -> None:
        super().__init__(f"{KINDS[kind]} answers at {address}.", f"Change the printer's kind to {KINDS[kind]}.")
        self.kind = kind
