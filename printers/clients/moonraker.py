"""Moonraker, which speaks for Klipper: one question about its objects says it all."""

from datetime import UTC, datetime
from typing import Any

from printers.clients import reading
from printers.clients.base import File, NotOperational, Refused, Seen, Temperatures
from printers.clients.reading import dig, items, number, percent, rows, text
from printers.clients.server import Server, newest_first
from printers.clients.web import LARGEST_LIST, Answer
from printers.states import State

TOOLS = ("extruder", "extruder1", "extruder2", "extruder3", "extruder4")
HEATERS = dict.fromkeys((*TOOLS, "heater_bed"), "temperature,target")
OBJECTS = {"webhooks": "", "print_stats": "", "virtual_sdcard": "progress", "display_status": "message", **HEATERS}
"""Those that a machine lacks are left out of the answer."""
OFF = ("unable to connect", "unable to open serial port", "unable to open port")
"""Klipper calls it an error when the machine is switched off. Nobody has to go there."""
ENOUGH = 1.0
"""Per cent of a print after which its end can be guessed from the time it took."""


class Moonraker(Server):
    kind = "moonraker"

    async def look(self) -> Seen:
        answer = await self.ask("GET", "printer", "objects", "query", query=OBJECTS)
        if answer.status == 200:
            return seen(dig(answer.json(), "result", "status"), datetime.now(UTC))
        # Klipper is away or in error: then this is all that Moonraker knows.
        info = await self.read("server", "info")
        if not isinstance(dig(info, "result"), dict):
            raise self.not_a_printer()
        # Where Klipper never was, its objects are not found; that says nothing about the machine.
        return seen_without_klipper(dig(info, "result"), self.said(answer) if answer.status != 404 else "")

    async def version(self) -> str:
        info = await self.read("server", "info")
        return text(dig(info, "result", "moonraker_version"), 40).removeprefix("v")

    async def files(self) -> list[File]:
        listed = await self.read("server", "files", "list", query={"root": "gcodes"}, largest=LARGEST_LIST)
        return newest_first(files_in(dig(listed, "result")))

    async def start(self, path: str) -> None:
        await self._print("start", {"filename": "/".join(self.segments(path))})

    async def pause(self) -> None:
        await self._print("pause")

    async def resume(self) -> None:
        await self._print("resume")

    async def cancel(self) -> None:
        await self._print("cancel")

    async def _print(self, what: str, data: dict[str, str] | None = None) -> None:
        await self.act("POST", "printer", "print", what, data=data or {})

    def refusal(self, answer: Answer) -> Refused | NotOperational:
        if answer.status == 503:
            return NotOperational(f"Moonraker answers at {self.where}, but its printer is disconnected.")
        return super().refusal(answer)

    def said(self, answer: Answer) -> str:
        return text(dig(answer.json_or_none(), "error", "message"), 200)


def seen(status: Any, now: datetime) -> Seen:
    """From the objects that Klipper has."""
    klippy, message = text(dig(status, "webhooks", "state")), text(dig(status, "webhooks", "state_message"))
    temperatures = temperatures_of(status)
    if klippy and klippy != "ready":
        return Seen(klippy_state(klippy, message), temperatures=temperatures, message=message)
    stats = dig(status, "print_stats")
    done = number(dig(status, "virtual_sdcard", "progress"))
    progress = None if done is None else percent(done * 100)
    state = state_of(text(dig(stats, "state")), temperatures, progress)
    at_work = state != State.READY
    return Seen(
        state,
        file=text(dig(stats, "filename")) if at_work else "",
        progress=progress if at_work else None,
        ends_at=reading.ends_at(now, time_left(dig(stats, "print_duration"), done))
        if state == State.PRINTING
        else None,
        temperatures=temperatures,
        message=text(dig(stats, "message")) or (text(dig(status, "display_status", "message")) if at_work else ""),
        took_s=reading.seconds(dig(stats, "print_duration")) if at_work else None,
        filament_mm=reading.filament(dig(stats, "filament_used")) if at_work else None,
    )


def seen_without_klipper(info: Any, message: str) -> Seen:
    """From `/server/info`, which works while Klipper is down."""
    warnings = dig(info, "warnings")
    warning = text(warnings[0]) if isinstance(warnings, list) and warnings else ""
    return Seen(klippy_state(text(dig(info, "klippy_state")), message), message=message or warning)


def klippy_state(klippy: str, message: str) -> State:
    if klippy not in ("error", "shutdown") or any(words in message.lower() for words in OFF):
        return State.DISCONNECTED
    return State.ERROR


def state_of(words: str, temperatures: Temperatures, progress: float | None) -> State:
    match words:
        case "printing":
            return State.HEATING if reading.is_heating(temperatures, progress) else State.PRINTING
        case "paused":
            return State.PAUSED
        case "complete":
            return State.FINISHED
        case "cancelled":
            return State.CANCELLED
        case "error":
            return State.FAILED
    return State.READY


def time_left(took: Any, done: float | None) -> float | None:
    """Klipper estimates nothing: what is left takes as long, in proportion, as what is done."""
    seconds = number(took)
    if not seconds or done is None or done * 100 < ENOUGH:
        return None
    return seconds / done - seconds


def temperatures_of(status: Any) -> Temperatures:
    names = {f"tool{count}": name for count, name in enumerate(TOOLS)} | {"bed": "heater_bed"}
    heaters = {part: items(dig(status, name)) for part, name in names.items()}
    return {
        part: reading.temperature(heater.get("temperature"), heater.get("target"))
        for part, heater in heaters.items()
        if number(heater.get("temperature")) is not None
    }


def files_in(listed: Any) -> list[File]:
    found = []
    for row in rows(listed):
        if path := text(row.get("path")):
            found.append(File(path, path, reading.size(row.get("size")), reading.moment(row.get("modified"))))
    return found
