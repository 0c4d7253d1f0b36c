"""A printer that isn't there: it heats, prints and ends by the clock, and does what it is told where it can."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

HEATING_S = 40.0
ROOM, NOZZLE, BED = 23.0, 215.0, 60.0
IDLE = ("ready", "finished", "cancelled")
FILES = ("bracket-left_x4.gcode", "gear_m2_z40.gcode", "vase-spiral.gcode", "enclosure/lid-v3.gcode")


class Conflict(Exception):
    """What the printer can't do in the state that it is in."""


@dataclass
class Sample:
    """One printer; its state is one of the portal's that a server can be in, by their values."""

    name: str
    kind: str
    state: str = "ready"
    key: str = field(default="", repr=False)
    user: str = "maker"
    password: str = field(default="", repr=False)
    file: str = ""
    duration_s: float = 3 * 3600.0
    done_s: float = 0.0
    message: str = ""
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    since: float = field(init=False, repr=False)
    files: tuple[str, ...] = FILES
    job: int = 1

    def __post_init__(self) -> None:
        self.since = self.clock()
        if self.state == "finished":
            self.done_s = self.duration_s

    def now(self) -> "Sample":
        """Itself, after whatever has ended by itself until now."""
        if self.state == "heating" and self.clock() - self.since >= HEATING_S:
            self._become("printing", self.since + HEATING_S)
        if self.state == "printing" and self.elapsed_s >= self.duration_s:
            self._become("finished")
            self.done_s = self.duration_s
        return self

    def _become(self, state: str, since: float | None = None) -> None:
        self.done_s = self.elapsed_s
        self.state, self.since = state, self.clock() if since is None else since

    @property
    def elapsed_s(self) -> float:
        return self.done_s + (self.clock() - self.since if self.state == "printing" else 0.0)

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return min(self.elapsed_s / self.duration_s, 1.0)

    @property
    def left_s(self) -> float:
        return max(self.duration_s - self.elapsed_s, 0.0)

    @property
    def has_job(self) -> bool:
        return self.state in ("heating", "printing", "paused", "attention")

    @property
    def targets(self) -> tuple[float, float]:
        """Of nozzle and bed."""
        return (NOZZLE, BED) if self.has_job else (0.0, 0.0)

    @property
    def temperatures(self) -> tuple[float, float]:
        if self.state == "heating":
            share = (self.clock() - self.since) / HEATING_S
            return round(ROOM + (NOZZLE - ROOM) * share, 1), round(ROOM + (BED - ROOM) * share, 1)
        return (NOZZLE - 0.3, BED + 0.1) if self.has_job else (ROOM, ROOM)

    def start(self, file: str) -> None:
        """Raises Conflict, or LookupError for a file that it doesn't have."""
        if self.now().state not in IDLE:
            raise Conflict("Printer is already printing" if self.has_job else "Printer is not operational")
        if file not in self.files:
            raise LookupError(file)
        self._become("heating")
        self.file, self.done_s, self.job = file, 0.0, self.job + 1

    def pause(self) -> None:
        self._from(("printing", "heating"), "paused")

    def resume(self) -> None:
        self._from(("paused", "attention"), "printing")

    def cancel(self) -> None:
        self._from(("printing", "heating", "paused", "attention"), "cancelled")

    def _from(self, states: tuple[str, ...], state: str) -> None:
        if self.now().state not in states:
            raise Conflict("Printer is not printing")
        self._become(state)
