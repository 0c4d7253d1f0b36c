"""A sample that speaks as PrusaLink does by its OpenAPI file, with HTTP Digest."""

import hashlib
import re
import secrets
from typing import Any

from aiohttp import web

from printers.samples.picture import snapshot
from printers.samples.simulation import Conflict, Sample

REALM = "Printer API"
QOP = ""
"""Printers of the Buddy family send none."""
STATES = {
    "ready": "IDLE",
    "heating": "PRINTING",
    "printing": "PRINTING",
    "paused": "PAUSED",
    "finished": "FINISHED",
    "cancelled": "STOPPED",
    "error": "ERROR",
    "attention": "ATTENTION",
    "disconnected": "ERROR",
}


def application(sample: Sample) -> web.Application:
    server = PrusaLinkSample(sample)
    app = web.Application(middlewares=[server.check_digest])
    app.add_routes(
        [
            web.get("/api/version", server.version),
            web.get("/api/v1/info", server.info),
            web.get("/api/v1/status", server.status),
            web.get("/api/v1/job", server.job),
            web.put("/api/v1/job/{id}/{what:pause|resume}", server.act),
            web.delete("/api/v1/job/{id}", server.act),
            web.get("/api/v1/storage", server.storage),
            web.get("/api/v1/files/usb", server.files),
            web.post("/api/v1/files/usb/{path:.+}", server.start),
            web.get("/api/v1/cameras/snap", server.snap),
        ]
    )
    return app


def digest(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


def problem(status: int, title: str, text: str) -> web.Response:
    return web.json_response({"title": title, "text": text}, status=status)


class PrusaLinkSample:
    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.nonces: set[str] = set()

    @web.middleware
    async def check_digest(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not self._knows(request):
            self.nonces.add(nonce := secrets.token_hex(8))
            answer = problem(401, "Unauthorized", "Give user and password.")
            qop = f', qop="{QOP}"' if QOP else ""
            answer.headers["WWW-Authenticate"] = f'Digest realm="{REALM}", nonce="{nonce}"{qop}, stale=false'
            return answer
        return await handler(request)

    def _knows(self, request: web.Request) -> bool:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        fields = {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]*))', rest)}
        if scheme != "Digest" or fields.get("nonce") not in self.nonces or fields.get("uri") != request.raw_path:
            return False
        first = digest(self.sample.user, REALM, self.sample.password)
        second = digest(request.method, request.raw_path)
        counted = [fields.get("nc", ""), fields.get("cnonce", ""), QOP] if QOP else []
        expected = digest(first, fields["nonce"], *counted, second)
        return fields.get("response") == expected

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "api": "2.0.0",
                "version": "0.8.1",
                "printer": "1.3.1",
                "text": "PrusaLink 0.8.1",
                "firmware": "6.2.2",
                "server": "0.8.1",
                "hostname": self.sample.name,
                "capabilities": {"upload-by-put": True},
            }
        )

    async def info(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"nozzle_diameter": 0.4, "hostname": self.sample.name, "serial": "CZPX0000X000XC00000"}
        )

    async def status(self, _: web.Request) -> web.Response:
        sample = self.sample.now()
        (nozzle, bed), (nozzle_target, bed_target) = sample.temperatures, sample.targets
        printer = {
            "state": STATES[sample.state],
            "temp_nozzle": nozzle,
            "target_nozzle": nozzle_target,
            "temp_bed": bed,
            "target_bed": bed_target,
            "axis_z": 0.5,
            "flow": 100,
            "speed": 100,
            "fan_hotend": 0,
            "fan_print": 0,
            "status_printer": {"ok": not sample.message, "message": sample.message or "OK"},
        }
        job = {
            "id": sample.job,
            "progress": round(sample.progress * 100, 1),
            "time_printing": int(sample.elapsed_s),
            "time_remaining": int(sample.left_s),
        }
        has = sample.has_job or sample.state in ("finished", "cancelled")
        return web.json_response({"printer": printer} | ({"job": job} if has else {}))

    async def job(self, _: web.Request) -> web.Response:
        sample = self.sample.now()
        if not (sample.has_job or sample.state in ("finished", "cancelled")):
            return web.Response(status=204)
        return web.json_response(
            {
                "id": sample.job,
                "state": STATES[sample.state],
                "progress": round(sample.progress * 100, 1),
                "time_printing": int(sample.elapsed_s),
                "time_remaining": int(sample.left_s),
                "file": {
                    "name": sample.file.rpartition("/")[2].upper()[:12],
                    "display_name": sample.file,
                    "path": "/usb",
                    "size": 100_000,
                    "m_timestamp": 1_760_000_000,
                    "refs": {},
                },
            }
        )

    async def act(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != str(self.sample.job):
            return problem(404, "Not Found", "There is no such job.")
        what = request.match_info.get("what", "cancel")
        try:
            getattr(self.sample, what)()
        except Conflict as conflict:
            return problem(409, "Conflict", str(conflict))
        return web.Response(status=204)

    async def storage(self, _: web.Request) -> web.Response:
        usb = {"type": "USB", "path": "/usb", "name": "USB", "available": True, "read_only": False}
        return web.json_response({"storage_list": [usb]})

    async def files(self, _: web.Request) -> web.Response:
        children = [
            {
                "name": path,
                "display_name": path,
                "type": "PRINT_FILE",
                "size": 100_000 * (count + 1),
                "m_timestamp": 1_760_000_000 + count,
                "read_only": False,
                "refs": {},
            }
            for count, path in enumerate(self.sample.files)
            if "/" not in path
        ]
        return web.json_response(
            {"name": "usb", "type": "FOLDER", "m_timestamp": 0, "read_only": False, "children": children}
        )

    async def start(self, request: web.Request) -> web.Response:
        try:
            self.sample.start(request.match_info["path"])
        except LookupError:
            return problem(404, "Not Found", "There is no such file.")
        except Conflict as conflict:
            return problem(409, "Conflict", str(conflict))
        return web.Response(status=204)

    async def snap(self, _: web.Request) -> web.Response:
        return web.Response(body=snapshot(self.sample.now().progress), content_type="image/png")
