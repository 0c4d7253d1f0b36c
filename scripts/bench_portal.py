#!/usr/bin/env python
"""Measures the portal through gunicorn: the list and the tiles of many printers, and an import with its preview.

One worker, one person who owns all printers and is no staff, pages one after the other. For the import, every address
is answered by a server of this script's, as OctoPrint answers.
"""

import asyncio
import http.client
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, scratch  # noqa: E402, I001  The first sets Django up.
from scripts.benching import Line, copied  # noqa: E402
import psutil  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from tests.database import url_of  # noqa: E402

HOST = "127.0.0.1"
PAGES = {
    "list": ["", "?page=2", "?sort=name", "?state=printing", "?q=machine+7", "?place=Hall+3", "?sort=-ends&page=9"],
    "tiles": ["?view=tiles", "?view=tiles&page=3", "?view=tiles&state=ready"],
}
ROUNDS, IMPORTED = 30, 1000
START_S = 60

TABLE = (
    Line("list, p95 ms", "< 150", lambda of: of["list"]),
    Line("tiles, p95 ms", "< 150", lambda of: of["tiles"]),
    Line("most statements of a page", "<= 8", lambda of: of["statements"]),
    Line("1,000 rows of CSV, asked, previewed and saved, s", "< 10", lambda of: of["import"]),
    Line("most memory of a worker, MB", "< 150", lambda of: of["memory"]),
)

FILL = [
    "INSERT INTO accounts_profile (user_id, name) SELECT id, 'Owner' FROM auth_user WHERE username = 'owner'"
    " ON CONFLICT DO NOTHING",
    """
    INSERT INTO printers_printer (profile_id, ip_address, api_key, ping, printing)
    SELECT p.id, 'http://10.' || k / 65536 || '.' || k / 256 % 256 || '.' || k % 256, md5(k::text), true, k % 3 = 0
      FROM generate_series(1, {rows}) AS k, accounts_profile p
    """,
    """
    INSERT INTO fleet_machine (printer_id, name, kind, place, tags, notes, model, "user", password, camera,
                               out_of_order_why)
    SELECT id, 'Machine ' || id, (ARRAY['octoprint', 'moonraker', 'prusalink'])[1 + id % 3], 'Hall ' || id % 40,
           ARRAY['PETG', 'tag ' || id % 20], '', 'MK4S', '', '', '', '' FROM printers_printer
    """,
    """
    INSERT INTO fleet_lastseen (printer_id, state, since, seen_at, asked_at, file, progress, ends_at, temperatures,
                                message, waits)
    SELECT id, (ARRAY['finished', 'error', 'attention', 'printing', 'printing', 'printing', 'heating', 'paused',
                      'ready', 'ready', 'disconnected', 'unreachable'])[1 + id % 12], now(), now(), now(),
           'part_' || id || '.gcode', CASE WHEN id % 12 BETWEEN 3 AND 7 THEN id % 100 END,
           now() + id * interval '1 minute', '{{}}', '', CASE id % 12 WHEN 0 THEN 'finished' ELSE '' END
    FROM printers_printer
    """,
    "ANALYZE",
]
ANSWERS = {
    "/api/version": {"api": "0.1", "server": "1.11.8", "text": "OctoPrint 1.11.8"},
    "/api/printer": {
        "temperature": {},
        "state": {"text": "Operational", "flags": {"operational": True, "ready": True}},
    },
    "/api/job": {
        "job": {"file": {"name": None, "path": None}},
        "progress": {"completion": None},
        "state": "Operational",
    },
}


# ----- what is measured


class Person:
    """Somebody with a browser, whose session is in the database."""

    def __init__(self, port: int, session: str) -> None:
        self.connection = http.client.HTTPConnection(HOST, port, timeout=START_S)
        self.cookies = {settings.SESSION_COOKIE_NAME: session}
        self.answered: Mapping[str, str] = {}

    def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """(status, address that it leads to, page)"""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} | (headers or {})
        self.connection.request(method, path, body, sent | ({"Content-Type": kind} if kind else {}))
        answer = self.connection.getresponse()
        page, self.answered = answer.read().decode(), answer.headers
        for given in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = given.partition(";")[0].partition("=")
            self.cookies[name] = value
        if answer.status >= 400:
            raise CommandError(f"{method} {path} was answered with {answer.status}.")
        return answer.status, answer.headers.get("Location", ""), page


def percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)] * 1000


def measure_pages(person: Person, queries: list[str]) -> float:
    """p95 in milliseconds, after one round that is not counted."""
    seconds = []
    for number in range(ROUNDS + 1):
        for query in queries:
            began = time.perf_counter()
            person.ask("GET", f"/printers/{query}")
            if number:
                seconds.append(time.perf_counter() - began)
    return percentile(seconds, 0.95)


def count_statements(client: Client) -> int:
    """Once the process is warm: what it reads of the moves stays for some seconds."""
    client.get("/printers/", headers={"Host": HOST})
    counts = []
    for query in (query for queries in PAGES.values() for query in queries):
        with CaptureQueriesContext(connection) as captured:
            client.get(f"/printers/{query}", headers={"Host": HOST})
        counts.append(len(captured))
    return max(counts)


def measure_import(person: Person, rows: int, port: int) -> float:
    """From the click on a file to the list with the printers in it."""
    lines = [f"127.1.{n // 250}.{1 + n % 250}:{port},{uuid.uuid4().hex},New {n},Hall 1" for n in range(rows)]
    file = "\n".join(["address,key,name,place", *lines]).encode()
    _, _, form = person.ask("GET", "/printers/import/")
    began = time.perf_counter()
    _, preview, _ = person.ask("POST", "/printers/import/", *multipart(token_of(form), file))
    _, _, page = person.ask("GET", preview)
    if f"{rows:,} new" not in page:
        raise CommandError(f"The preview says: {' '.join(re.findall('<h1>(.*?)</h1>', page))}")
    _, after, _ = person.ask("POST", preview, f"csrfmiddlewaretoken={token_of(page)}".encode(), FORM)
    person.ask("GET", after)
    return time.perf_counter() - began


FORM = "application/x-www-form-urlencoded"


def token_of(page: str) -> str:
    [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    return str(token)


def multipart(token: str, file: bytes) -> tuple[bytes, str]:
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{token}\r\n--{edge}\r\n'
    head += 'Content-Disposition: form-data; name="file"; filename="farm.csv"\r\n\r\n'
    return head.encode() + file + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


def most_memory(master: int) -> float:
    workers = psutil.Process(master).children()
    status = [Path(f"/proc/{worker.pid}/status").read_text() for worker in workers]
    return max(int(re.findall(r"VmHWM:\s+(\d+)", one)[0]) for one in status) / 1024


# ----- what runs beside


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(*command: str, port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens, and is ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, *command], env=os.environ | environment, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(process, port)
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)  # Its answer alone says that it is ready.
        else:
            return
    raise CommandError(f"{' '.join(map(str, process.args[1:3]))} did not start.")


def gunicorn(port: int, database: str) -> Any:
    arguments = ("-m", "gunicorn", "core.wsgi", "--workers", "1", "--bind", f"{HOST}:{port}", "--timeout", "60")
    given = {"DATABASE_URL": database, "ALLOWED_HOSTS": HOST, "CUTOVER_PERCENT": "100", "DJANGO_ENV": "development"}
    return serving(*arguments, port=port, DEBUG="false", **given)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As an idle OctoPrint does."""
    while request := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
        path = request.split()[1].decode().partition("?")[0]
        body = json.dumps(ANSWERS.get(path, {})).encode()
        status = "200 OK" if path in ANSWERS else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()


async def answer_all(port: int) -> None:
    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(quietly, "0.0.0.0", port) as server:  # noqa: S104  Every 127.x.y.z.
        await server.serve_forever()


# ----- the whole


def main() -> None:
    logging.getLogger("core.logs").setLevel(logging.ERROR)
    made = benching.parser(str(__doc__), {"answer": lambda: None}, rows=10_000, of="printers in the list")
    made.add_argument("--port", type=int, help="for the process that answers")
    options = made.parse_args()
    if options.child:
        asyncio.run(answer_all(options.port))
        return
    with benching.one_sentence():
        benching.introduce(options.rows)
        benching.report(TABLE, measure(options.rows))


def measure(rows: int) -> dict[str, float]:
    with scratch.made("bench_portal_filled") as filled:
        scratch.use(filled)
        call_command("migrate", verbosity=0)
        User.objects.create_user("owner")
        benching.run(*(statement.format(rows=rows) for statement in FILL))
        print("Measuring pages, then an import", flush=True)
        with copied("bench_portal", filled) as database:
            return measure_in(database, rows)


def measure_in(database: str, rows: int) -> dict[str, float]:
    client = Client()
    client.force_login(User.objects.get(username="owner"))
    settings.CUTOVER_PERCENT = 100
    settings.ALLOWED_HOSTS = [HOST]
    port, other = free_port(), free_port()
    with (
        gunicorn(port, url_of(database)) as server,
        serving(__file__, "--child", "answer", "--port", str(other), port=other),
    ):
        person = Person(port, client.cookies[settings.SESSION_COOKIE_NAME].value)
        found = {name: measure_pages(person, queries) for name, queries in PAGES.items()}
        found["import"] = measure_import(person, min(IMPORTED, rows), other)
        found["memory"] = most_memory(server.pid)
    return found | {"statements": count_statements(client)}


if __name__ == "__main__":
    main()
