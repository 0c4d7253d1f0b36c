"""A sample that speaks as Moonraker 0.11 does, with a login that is forced."""

from typing import Any

from aiohttp import web

from printers.samples.simulation import Conflict, Sample

VERSION = "v0.11.0"
WORDS = {"ready": "standby", "heating": "printing", "finished": "complete", "attention": "paused"}
EMULATED = {"standby": "Operational", "complete": "Operational", "printing": "Printing", "paused": "Paused"}


def application(sample: Sample) -> web.Application:
    server = MoonrakerSample(sample)
    app = web.Application(middlewares=[server.check_key])
    app.add_routes(
        [
            web.get("/access/info", server.access),
            web.get("/server/info", server.info),
            web.get("/api/version", server.emulated_version),
            web.get("/api/printer", server.emulated_printer),
            web.get("/api/job", server.emulated_job),
            web.get("/server/files/list", server.files),
            web.get("/printer/objects/query", server.query),
            web.post("/printer/print/{what}", server.act),
        ]
    )
    return app


def result(data: Any) -> web.Response:
    return web.json_response({"result": data})


def error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message}}, status=status)


def klippy_state(sample: Sample) -> str:
    return {"disconnected": "disconnected", "error": "shutdown"}.get(sample.now().state, "ready")


def objects_of(sample: Sample) -> dict[str, Any]:
    """Klipper's objects."""
    sample = sample.now()
    (nozzle, bed), (nozzle_target, bed_target) = sample.temperatures, sample.targets
    return {
        "webhooks": {"state": klippy_state(sample), "state_message": sample.message or "Printer is ready"},
        "print_stats": {
            "state": WORDS.get(sample.state, sample.state if sample.state != "error" else "standby"),
            "filename": sample.file,
            "print_duration": sample.elapsed_s,
            "total_duration": sample.elapsed_s,
            "filament_used": sample.elapsed_s * 3,
            "message": "",
        },
        "virtual_sdcard": {"progress": sample.progress if sample.file else 0.0},
        "display_status": {"message": None, "progress": 0.0},
        "extruder": {"temperature": nozzle, "target": nozzle_target},
        "heater_bed": {"temperature": bed, "target": bed_target},
    }


class MoonrakerSample:
    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    @web.middleware
    async def check_key(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path != "/access/info" and request.headers.get("X-Api-Key") != self.sample.key:
            return error(401, "Unauthorized")
        return await handler(request)

    async def access(self, _: web.Request) -> web.Response:
        return result({"default_source": "moonraker", "available_sources": ["moonraker"], "login_required": True})

    @property
    def klippy(self) -> str:
        return klippy_state(self.sample)

    async def info(self, _: web.Request) -> web.Response:
        return result(
            {
                "klippy_connected": self.klippy != "disconnected",
                "klippy_state": self.klippy,
                "components": ["klippy_connection", "file_manager"],
                "warnings": [],
                "moonraker_version": VERSION,
                "api_version": [1, 5, 0],
            }
        )

    async def emulated_version(self, _: web.Request) -> web.Response:
        """Of OctoPrint's, the little that octoprint_compat has."""
        return web.json_response({"server": "1.5.0", "api": "0.1", "text": f"OctoPrint (Moonraker {VERSION})"})

    async def emulated_printer(self, _: web.Request) -> web.Response:
        words = EMULATED.get(WORDS.get(self.sample.state, self.sample.state), "Error")
        flags = {"operational": words != "Error", "printing": words == "Printing", "error": words == "Error"}
        return web.json_response({"temperature": {}, "state": {"text": words, "flags": flags}})

    async def emulated_job(self, _: web.Request) -> web.Response:
        job = {"file": {"name": None}, "estimatedPrintTime": None, "filament": {"length": None}, "user": None}
        return web.json_response({"job": job, "progress": {"completion": None}, "state": "Operational"})

    async def query(self, request: web.Request) -> web.Response:
        if self.klippy == "disconnected":
            return error(503, "Klippy Host not connected")
        objects = objects_of(self.sample)
        return result({"eventtime": 1.0, "status": {name: objects[name] for name in request.query if name in objects}})

    async def act(self, request: web.Request) -> web.Response:
        if self.klippy == "disconnected":
            return error(503, "Klippy Host not connected")
        what = request.match_info["what"]
        try:
            if what == "start":
                self.sample.start(str((await request.json()).get("filename")))
            elif what in ("pause", "resume", "cancel"):
                getattr(self.sample, what)()
            else:
                return error(404, "Not Found")
        except LookupError:
            return error(400, "Unable to open file")
        except Conflict as conflict:
            return error(400, str(conflict))
        return result("ok")

    async def files(self, _: web.Request) -> web.Response:
        return result(
            [
                {"path": path, "modified": 1_760_000_000.5 + count, "size": 100_000 * (count + 1), "permissions": "rw"}
                for count, path in enumerate(self.sample.files)
            ]
        )
