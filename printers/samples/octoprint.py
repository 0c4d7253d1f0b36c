"""A sample that speaks as OctoPrint 1.11 does."""

import secrets
from typing import Any

from aiohttp import web

from printers.samples.picture import snapshot
from printers.samples.simulation import Conflict, Sample

VERSION = "1.11.8"
FORBIDDEN = {"error": "You don't have the permission to access the requested resource."}
WORDS = {
    "ready": "Operational",
    "finished": "Operational",
    "cancelled": "Operational",
    "heating": "Printing",
    "printing": "Printing",
    "paused": "Paused",
    "attention": "Paused",
    "disconnected": "Offline",
    "error": "Offline after error",
}
PAGE = """<!doctype html><title>OctoPrint</title><h1>An application asks for a key</h1>
<form method=post><button name=yes value=1>Allow</button> <button name=yes value=>Deny</button></form>"""


def application(sample: Sample) -> web.Application:
    server = OctoPrintSample(sample)
    app = web.Application(middlewares=[server.check_key])
    app.add_routes(
        [
            web.get("/api/version", server.version),
            web.get("/api/printer", server.printer),
            web.get("/api/job", server.job),
            web.post("/api/job", server.command),
            web.get("/api/files", server.files),
            web.post("/api/files/local/{path:.+}", server.select),
            web.get("/webcam/", server.webcam),
            web.get("/plugin/appkeys/probe", server.probe),
            web.post("/plugin/appkeys/request", server.request_key),
            web.get("/plugin/appkeys/request/{token}", server.poll_key),
            web.get("/plugin/appkeys/auth/{token}", server.dialog),
            web.post("/plugin/appkeys/auth/{token}", server.decide),
        ]
    )
    return app


class OctoPrintSample:
    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.keys = {sample.key}
        self.asked: set[str] = set()
        self.decided: dict[str, str] = {}

    @web.middleware
    async def check_key(self, request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get("X-Api-Key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.path.startswith("/api/") and given not in self.keys:
            return web.json_response(FORBIDDEN, status=403)
        return await handler(request)

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({"api": "0.1", "server": VERSION, "text": f"OctoPrint {VERSION}"})

    async def printer(self, _: web.Request) -> web.Response:
        sample = self.sample.now()
        if sample.state in ("disconnected", "error"):
            return web.json_response({"error": "Printer is not operational"}, status=409)
        (nozzle, bed), (nozzle_target, bed_target) = sample.temperatures, sample.targets
        flags = {
            "operational": True,
            "paused": WORDS[sample.state] == "Paused",
            "printing": WORDS[sample.state] == "Printing",
            "cancelling": False,
            "pausing": False,
            "resuming": False,
            "finishing": False,
            "sdReady": False,
            "error": False,
            "ready": WORDS[sample.state] == "Operational",
            "closedOrError": False,
        }
        temperature = {
            "tool0": {"actual": nozzle, "target": nozzle_target, "offset": 0},
            "bed": {"actual": bed, "target": bed_target, "offset": 0},
        }
        return web.json_response({"temperature": temperature, "state": {"text": WORDS[sample.state], "flags": flags}})

    async def job(self, _: web.Request) -> web.Response:
        sample = self.sample.now()
        has = sample.has_job or sample.state == "finished"
        name = sample.file if has else None
        answer: dict[str, Any] = {
            "job": {
                "file": {"name": name, "path": name, "display": name, "origin": "local" if has else None},
                "estimatedPrintTime": sample.duration_s if has else None,
                "filament": None,
                "user": "farm" if has else None,
            },
            "progress": {
                "completion": sample.progress * 100 if has else None,
                "printTime": int(sample.elapsed_s) if has else None,
                "printTimeLeft": int(sample.left_s) if has else None,
                "printTimeLeftOrigin": "estimate" if has else None,
            },
            "state": WORDS[sample.state],
        }
        return web.json_response(answer | ({"error": sample.message} if sample.state == "error" else {}))

    async def command(self, request: web.Request) -> web.Response:
        sent = await request.json()
        what = sent.get("action") if sent.get("command") == "pause" else sent.get("command")
        if what not in ("pause", "resume", "cancel"):
            return web.json_response({"error": "Unknown command"}, status=400)
        return self._try(lambda: getattr(self.sample, what)())

    async def select(self, request: web.Request) -> web.Response:
        return self._try(lambda: self.sample.start(request.match_info["path"]))

    def _try(self, act: Any) -> web.Response:
        try:
            act()
        except LookupError:
            return web.json_response({"error": "File not found"}, status=404)
        except Conflict as error:
            return web.json_response({"error": str(error)}, status=409)
        return web.Response(status=204)

    async def files(self, _: web.Request) -> web.Response:
        listed = [
            {
                "name": path.rpartition("/")[2],
                "path": path,
                "display": path.rpartition("/")[2],
                "type": "machinecode",
                "typePath": ["machinecode", "gcode"],
                "origin": "local",
                "size": 100_000 * (count + 1),
                "date": 1_760_000_000 + count,
            }
            for count, path in enumerate(self.sample.files)
        ]
        return web.json_response({"files": listed, "free": 10**9, "total": 10**10})

    async def webcam(self, _: web.Request) -> web.Response:
        return web.Response(body=snapshot(self.sample.now().progress), content_type="image/png")

    async def probe(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def request_key(self, request: web.Request) -> web.Response:
        token = secrets.token_hex(16).upper()
        self.asked.add(token)
        return web.json_response({"app_token": token}, status=201)

    async def poll_key(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        if token in self.asked:
            return web.json_response({"message": "Awaiting decision"}, status=202)
        key = self.decided.pop(token, "")
        return web.json_response({"api_key": key}) if key else web.Response(status=404)

    async def dialog(self, request: web.Request) -> web.Response:
        if request.match_info["token"] not in self.asked:
            return web.Response(status=404)
        return web.Response(text=PAGE, content_type="text/html")

    async def decide(self, request: web.Request) -> web.Response:
        """Stands for the click on OctoPrint's own page."""
        token = request.match_info["token"]
        if token not in self.asked:
            return web.Response(status=404)
        self.asked.remove(token)
        if (await request.post()).get("yes"):
            self.decided[token] = key = secrets.token_urlsafe(32)
            self.keys.add(key)
        return web.Response(text="Done. Back to the farm.")
