"""Report: what a run of the migrations took, on a copy or for real; frozen dataclasses, to JSON and back."""

import dataclasses
import json
import math
from typing import Any, Literal

from rehome.errors import Refused
from rehome.plan.facts import decode, encode

FORMAT = 1
"""Of the JSON; a later version that can't read it says so."""
MARGIN = 1.2
"""What is announced is the measured time and a fifth of it, in whole minutes."""
Kind = Literal["rehearsal", "move"]


@dataclasses.dataclass(frozen=True)
class Lock:
    """The longest that others had to keep away from one table."""

    table: str
    keeps_out: Literal["writers", "everybody"]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a move, or a migration that is no move."""

    migration: str
    name: str
    seconds: float
    waited: float = 0.0
    """For locks of others, of those seconds."""
    locks: tuple[Lock, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.migration, self.name


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a rehearsal: forward, verify, writes, back, ..."""

    name: str
    seconds: float
    problem: str = ""
    """Why it failed, in a sentence with the cure; empty where it did not."""
    rows: int | None = None
    disk: int = 0
    """Bytes by which the database has grown at most while it ran."""
    wal: int = 0
    """Bytes of log that the server wrote meanwhile."""
    waited: float = 0.0
    """The longest wait for a lock of somebody else's."""
    locks: tuple[Lock, ...] = ()
    steps: tuple[Step, ...] = ()
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Server:
    """A database and its server, as people are shown them and as two are compared."""

    host: str
    port: str
    database: str
    system_identifier: str
    version: int
    """Such as 170004."""
    size: int
    rows: int
    """Of the tables that move."""
    settings: dict[str, str]

    def __str__(self) -> str:
        major, minor = divmod(self.version, 10000)
        return f"{self.database} on {self.host}:{self.port}, PostgreSQL {major}.{minor}"


@dataclasses.dataclass(frozen=True)
class Program:
    """Sessions of one program, role and host that had written, or held a lock of a writer, when they were looked at."""

    application: str
    role: str
    host: str
    tables: tuple[str, ...]
    """Of those that move, as far as they were seen; empty for one that wrote elsewhere."""
    looks: int
    """How often it was seen."""


@dataclasses.dataclass(frozen=True)
class Blocker:
    """A session that a move would have to wait for, or that would wait for it."""

    kind: Literal["long transaction", "dump", "prepared transaction", "maintenance"]
    who: str
    seconds: float
    """Since its transaction began."""


@dataclasses.dataclass(frozen=True)
class Follower:
    """A replica, or a slot without a consumer, that needs log of the source."""

    kind: Literal["replica", "slot"]
    name: str
    behind: int
    """Bytes."""
    active: bool


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was seen on the source, where nothing was written."""

    looks: int = 0
    seconds: float = 0.0
    programs: tuple[Program, ...] = ()
    unseen: int = 0
    """Rows that were written to the tables that move while nobody was seen writing to them."""
    written: int = 0
    """Rows that were written to them at all."""
    hidden: int = 0
    """Sessions of which this role may not see what they do."""
    problem: str = ""
    """Why looking ended early."""
    blockers: tuple[Blocker, ...] = ()
    followers: tuple[Follower, ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    kind: Kind
    began: str
    """In UTC, in ISO 8601."""
    source: Server
    copy: Server | None
    """None of a real move."""
    origin: str
    """What the copy was made from: the name of a backup, or that it was a fresh one."""
    migrations: tuple[str, ...]
    """That were applied, in order."""
    moves: tuple[str, ...]
    online: bool
    stages: tuple[Stage, ...]
    seen: Seen = Seen()
    format: int = FORMAT

    @property
    def ok(self) -> bool:
        return bool(self.stages) and not any(stage.problem for stage in self.stages)

    def stage(self, name: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    @property
    def seconds(self) -> float:
        """Of the way forward and of its verification: what a window has to hold."""
        return sum(stage.seconds for stage in self.stages if stage.name in {"forward", "verify"})

    @property
    def window(self) -> int:
        """Minutes to announce."""
        return minutes(self.seconds)

    @property
    def way_back(self) -> int | None:
        """Minutes that the way back needs; None where there is none."""
        back = self.stage("back")
        return None if back is None or back.problem or back.note else minutes(back.seconds)

    @property
    def locks(self) -> tuple[Lock, ...]:
        """Of the way forward, the longest first."""
        forward = self.stage("forward")
        return forward.locks if forward else ()

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = encode(self)
        return found | {"ok": self.ok, "window_minutes": self.window, "way_back_minutes": self.way_back}


def minutes(seconds: float) -> int:
    return max(1, math.ceil(seconds * MARGIN / 60))


def write(report: Report) -> str:
    return json.dumps(report.as_json(), indent=1, ensure_ascii=False)


def read(text: str | bytes, name: str) -> Report:
    """Raises Refused for what is no report, or one of a later version."""
    try:
        found: Report = decode(Report, json.loads(text))
    except (TypeError, ValueError) as error:
        raise Refused(f"{name} is no report of a rehearsal: {error}.", "Remove it, and rehearse again.") from error
    if found.format > FORMAT:
        raise Refused(f"{name} was written by a later version of rehome.", "Install that version, or rehearse again.")
    return found
