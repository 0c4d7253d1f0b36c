"""OctoPrint: `/api/printer` says what the machine does, `/api/job` which file."""

from datetime import UTC, datetime
from typing import Any

from printers.clients import reading
from printers.clients.base import File, NotAPrinter, NotOperational, OtherKind, Refused, Seen, Temperatures
from printers.clients.reading import dig, items, number, percent, rows, text
from printers.clients.server import Server, newest_first
from printers.clients.web import LARGEST_LIST, Answer
from printers.states import State

FAULTS = ("error", "offline after error")
PASSING = ("offline", "opening", "detecting", "connecting", "pausing", "resuming", "cancelling", "finishing")
"""Words for a state that say more than ours."""
ORIGINS = ("local", "sdcard")
EMULATION = "octoprint (moonraker"


class OctoPrint(Server):
    """1.8 and later. An answer of Moonraker's emulation raises OtherKind, for the emulation can't say much."""

    kind = "octoprint"

    async def look(self) -> Seen:
        # One after the other: OctoPrint resets connections under quick requests.
        printer = await self.ask("GET", "api", "printer", query={"exclude": "sd"})
        if printer.status not in (200, 409):
            raise self.not_a_printer()
        job = await self.read("api", "job")
        if is_emulated(job):
            raise OtherKind(self.where, "moonraker")
        return seen(printer.json() if printer.status == 200 else None, job, datetime.now(UTC))

    async def files(self) -> list[File]:
        try:
            listed = await self.read("api", "files", query={"recursive": "true"}, largest=LARGEST_LIST)
        except NotAPrinter as error:
            raise await self._other_kind() or error from None
        return newest_first(files_in(dig(listed, "files")))

    async def start(self, path: str) -> None:
        origin, *segments = self.segments(path)
        if origin not in ORIGINS or not segments:
            raise await self._other_kind() or Refused("There is no such file on the machine.")
        await self.act("POST", "api", "files", origin, *segments, data={"command": "select", "print": True})

    async def pause(self) -> None:
        await self._job({"command": "pause", "action": "pause"})

    async def resume(self) -> None:
        await self._job({"command": "pause", "action": "resume"})

    async def cancel(self) -> None:
        await self._job({"command": "cancel"})

    async def _job(self, command: dict[str, str]) -> None:
        await self.act("POST", "api", "job", data=command)

    async def act(self, method: str, *path: str, data: Any = None) -> None:
        try:
            await super().act(method, *path, data=data)
        except Refused as error:
            raise await self._other_kind() or error from None

    async def _other_kind(self) -> OtherKind | None:
        """Moonraker's emulation knows neither files nor commands, and answers with 404."""
        answer = await self.ask("GET", "api", "version")
        is_moonraker = answer.status == 200 and is_emulated_version(answer.json_or_none())
        return OtherKind(self.where, "moonraker") if is_moonraker else None

    def refusal(self, answer: Answer) -> Refused | NotOperational:
        said = self.said(answer)
        if answer.status == 409 and "not operational" in said.lower():
            return NotOperational(f"OctoPrint answers at {self.where}, but its printer is disconnected.")
        return Refused("There is no such file on the machine.") if answer.status == 404 else super().refusal(answer)

    def said(self, answer: Answer) -> str:
        return text(dig(answer.json_or_none(), "error"), 200)


def is_emulated_version(version: Any) -> bool:
    return text(dig(version, "text")).lower().startswith(EMULATION)


def is_emulated(job: Any) -> bool:
    """Moonraker's file has a name alone, which is always null; OctoPrint's has a path and more."""
    file = items(dig(job, "job", "file"))
    return bool(file) and "path" not in file


def seen(printer: Any, job: Any, now: datetime) -> Seen:
    """From `/api/printer`, None where it says that the printer is not operational, and `/api/job`."""
    temperatures = temperatures_of(dig(printer, "temperature"))
    progress = percent(dig(job, "progress", "completion"))
    state = state_of(items(dig(printer, "state", "flags")), text(dig(job, "state")), temperatures, progress)
    file = dig(job, "job", "file")
    left = dig(job, "progress", "printTimeLeft")
    at_work = state.runs or state == State.FINISHED
    return Seen(
        state,
        file=(text(dig(file, "display")) or text(dig(file, "name"))) if at_work else "",
        progress=progress if at_work else None,
        ends_at=reading.ends_at(now, left) if state == State.PRINTING else None,
        temperatures=temperatures,
        message=_message(state, job),
        took_s=reading.seconds(dig(job, "progress", "printTime")) if at_work else None,
        # An estimate for the whole file, which is true of a print that has ended well alone.
        filament_mm=filament_of(job) if state == State.FINISHED else None,
    )


def filament_of(job: Any) -> float | None:
    lengths = [number(dig(tool, "length")) for tool in items(dig(job, "job", "filament")).values()]
    known = [length for length in lengths if length is not None]
    return reading.filament(sum(known)) if known else None


def _message(state: State, job: Any) -> str:
    words = text(dig(job, "state"))
    if state == State.ERROR:
        return text(dig(job, "error")) or words
    return words if words.lower().startswith(PASSING) else ""


def state_of(flags: dict[str, Any], words: str, temperatures: Temperatures, progress: float | None) -> State:
    """By the flags; by OctoPrint's words for its state only where there are no flags."""
    if flags.get("error") or words.lower().startswith(FAULTS):
        return State.ERROR
    # Before printing: in some versions a paused print is one that prints, too.
    if flags.get("paused"):
        return State.PAUSED
    # While it is pausing, OctoPrint takes no resume, and says that it did.
    if any(flags.get(flag) for flag in ("printing", "pausing", "resuming", "cancelling", "finishing")):
        return State.HEATING if reading.is_heating(temperatures, progress) else State.PRINTING
    if flags.get("operational") or flags.get("ready"):
        return State.FINISHED if progress is not None and progress >= 100 else State.READY
    return State.DISCONNECTED


def temperatures_of(data: Any) -> Temperatures:
    found = {}
    for name, part in items(data).items():
        if name.startswith(("tool", "bed", "chamber")) and number(dig(part, "actual")) is not None:
            found[text(name, 20)] = reading.temperature(dig(part, "actual"), dig(part, "target"))
    return found


def files_in(listed: Any, deep: int = 20) -> list[File]:
    """What can be printed, with the files of folders."""
    found = []
    for row in rows(listed):
        if row.get("type") == "folder" and deep:
            found += files_in(row.get("children"), deep - 1)
        elif row.get("type", "machinecode") == "machinecode" and (path := text(row.get("path"))):
            # 2.0 can call the card by another name.
            origin = "local" if row.get("origin", "local") == "local" else "sdcard"
            size, changed_at = reading.size(row.get("size")), reading.moment(row.get("date"))
            found.append(File(f"{origin}/{path}", path, size, changed_at))
    return found
