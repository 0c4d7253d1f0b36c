"""PrusaLink: HTTP Digest with user and password, or with a key alone the older X-Api-Key."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import DigestAuthMiddleware

from printers.clients import reading
from printers.clients.base import Endpoint, File, KeyRefused, Picture, Refused, Seen, Temperatures
from printers.clients.reading import dig, number, percent, rows, text
from printers.clients.server import Server, newest_first, picture
from printers.clients.web import LARGEST_LIST, LARGEST_PICTURE, Answer, Web
from printers.states import State

STATES = {
    "IDLE": State.READY,
    "READY": State.READY,
    "BUSY": State.READY,
    "PRINTING": State.PRINTING,
    "PAUSED": State.PAUSED,
    "FINISHED": State.FINISHED,
    "STOPPED": State.CANCELLED,
    "ERROR": State.ERROR,
    "ATTENTION": State.ATTENTION,
    "ATTTENTION": State.ATTENTION,  # As its OpenAPI file has it.
}
FOLDERS_AT_MOST = 50
"""A card may be full of folders, each of which is one request."""
DEFAULT_USER = "maker"


class PrusaLink(Server):
    kind = "prusalink"

    def __init__(self, web: Web, endpoint: Endpoint) -> None:
        super().__init__(web, endpoint)
        credentials = endpoint.credentials
        if credentials.password and ":" not in credentials.user:
            self.middlewares = (DigestAuthMiddleware(credentials.user or DEFAULT_USER, credentials.password),)

    async def look(self) -> Seen:
        status = await self.read("api", "v1", "status")
        if not isinstance(dig(status, "printer", "state"), str):
            raise self.not_a_printer()
        # The status has no name of the file.
        job = await self._job() if isinstance(dig(status, "job"), dict) else None
        return seen(status, job, datetime.now(UTC))

    async def _job(self) -> Any:
        """None where the machine has nothing to do."""
        answer = await self.ask("GET", "api", "v1", "job")
        return answer.json() if answer.status == 200 else None

    async def files(self) -> list[File]:
        storages = await self.read("api", "v1", "storage")
        found: list[File] = []
        folders = [text(row.get("path")) for row in rows(dig(storages, "storage_list")) if row.get("available")]
        for count, folder in enumerate(folders):
            if count == FOLDERS_AT_MOST:
                break
            answer = await self.ask("GET", "api", "v1", "files", *self.segments(folder), largest=LARGEST_LIST)
            if answer.status == 200:
                listed = dig(answer.json(), "children")
                found += files_in(folder, listed)
                folders += folders_in(folder, listed)
        return newest_first(found)

    async def start(self, path: str) -> None:
        await self.act("POST", "api", "v1", "files", *self.segments(path))

    async def pause(self) -> None:
        await self.act("PUT", "api", "v1", "job", await self._job_id(), "pause")

    async def resume(self) -> None:
        await self.act("PUT", "api", "v1", "job", await self._job_id(), "resume")

    async def cancel(self) -> None:
        await self.act("DELETE", "api", "v1", "job", await self._job_id())

    async def _job_id(self) -> str:
        found = number(dig(await self._job(), "id"))
        if found is None:
            raise Refused("PrusaLink refused: nothing is being printed.")
        return str(int(found))

    async def camera(self) -> Picture:
        if self.endpoint.camera:
            return await super().camera()
        return picture(await self.ask("GET", "api", "v1", "cameras", "snap", largest=LARGEST_PICTURE))

    def key_refused(self) -> KeyRefused:
        if self.middlewares or self.headers:
            return KeyRefused(
                f"PrusaLink answers at {self.where}, but refuses user and password.",
                "Both stand on the printer’s own screen, under network settings.",
            )
        return KeyRefused(
            f"PrusaLink answers at {self.where}, and wants a user and a password.",
            "Both stand on the printer’s own screen, under network settings.",
        )

    def said(self, answer: Answer) -> str:
        error = answer.json_or_none()
        return text(dig(error, "text"), 200) or text(dig(error, "title"), 200)


def seen(status: Any, job: Any, now: datetime) -> Seen:
    """From `/api/v1/status` and `/api/v1/job`, None where there is no job."""
    words = text(dig(status, "printer", "state")).upper()
    temperatures = temperatures_of(dig(status, "printer"))
    progress = percent(dig(status, "job", "progress"))
    state = state_of(words, progress, temperatures, has_job=isinstance(dig(status, "job"), dict))
    at_work = state != State.READY
    file = dig(job, "file")
    return Seen(
        state,
        file=(text(dig(file, "display_name")) or text(dig(file, "name"))) if at_work else "",
        progress=progress if at_work else None,
        ends_at=reading.ends_at(now, dig(status, "job", "time_remaining")) if state == State.PRINTING else None,
        temperatures=temperatures,
        message=_message(words, dig(status, "printer", "status_printer")),
        took_s=reading.seconds(dig(status, "job", "time_printing")) if at_work else None,
    )


def state_of(words: str, progress: float | None, temperatures: Temperatures, *, has_job: bool) -> State:
    state = STATES.get(words, State.ATTENTION)
    if words == "BUSY" and has_job:
        state = State.PRINTING
    if state == State.PRINTING and reading.is_heating(temperatures, progress):
        return State.HEATING
    return state


def _message(words: str, status: Any) -> str:
    if words == "BUSY":
        return "Busy"
    if words not in STATES:
        return text(f"PrusaLink reports the state {words}, which is not known.", 200)
    return text(dig(status, "message")) if dig(status, "ok") is False else ""


def temperatures_of(printer: Any) -> Temperatures:
    parts = {"tool0": ("temp_nozzle", "target_nozzle"), "bed": ("temp_bed", "target_bed")}
    return {
        part: reading.temperature(dig(printer, actual), dig(printer, target))
        for part, (actual, target) in parts.items()
        if number(dig(printer, actual)) is not None
    }


def files_in(folder: str, listed: Any) -> list[File]:
    found = []
    for row in rows(listed):
        name = text(row.get("name"))
        if row.get("type") == "PRINT_FILE" and name:
            size, changed_at = reading.size(row.get("size")), reading.moment(row.get("m_timestamp"))
            path, shown = f"{folder.strip('/')}/{name}", text(row.get("display_name")) or name
            found.append(File(path, shown, size, changed_at))
    return found


def folders_in(folder: str, listed: Any) -> list[str]:
    return [
        f"{folder.strip('/')}/{name}"
        for row in rows(listed)
        if row.get("type") == "FOLDER" and (name := text(row.get("name")))
    ]
