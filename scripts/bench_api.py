#!/usr/bin/env python
"""Measures lists of the API through gunicorn: printers, states and prints of a farm, page after page and unchanged.

One worker, a token for reading of one person who owns all printers and is no staff, one request after the other.
"""

import json
import logging
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, scratch  # noqa: E402, I001  The first sets Django up.
from scripts.bench_portal import FILL, Person, free_port, gunicorn, most_memory, percentile  # noqa: E402
from scripts.benching import Line, copied, run  # noqa: E402
from django.apps import apps  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from tests.database import url_of  # noqa: E402

LISTS = {
    "printers": [
        "printers/", "printers/?limit=100", "printers/?ordering=-name", "printers/?ordering=state",
        "printers/?state=printing&kind=octoprint", "printers/?q=machine+7", "printers/?place=Hall+3",
    ],
    "states": ["states/?limit=200", "states/?ordering=state", "states/?counts_under=attention"],
    "prints": ["prints/", "prints/?verdict=none", "prints/?ordering=started_at&limit=100"],
}  # fmt: skip
ROUNDS, PAGES = 40, 20

TABLE = (
    Line("API list of printers, p95 ms", "< 80", lambda of: of["printers"]),
    Line("API list of states, p95 ms", "< 80", lambda of: of["states"]),
    Line("API list of prints, p95 ms", "< 80", lambda of: of["prints"]),
    Line("API pages one after the other, by state, p95 ms", "< 80", lambda of: of["pages"]),
    Line("API list that has not changed (304), p95 ms", "< 80", lambda of: of["unchanged"]),
    Line("most memory of the API's worker, MB", "< 150", lambda of: of["memory"]),
)
PRINTS = """
INSERT INTO monitoring_print (printer_id, file, started_at, seen_running, ended_at, outcome, reason, found_by, verdict,
                              bad_reason)
SELECT id, 'part_' || id % 90 || '.gcode', now() - k * interval '5 hours', true, now() - k * interval '4 hours',
       'finished', '', 'polling', '', '' FROM printers_printer, generate_series(1, 5) AS k
"""


class Program(Person):
    """It has a token instead of a session."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(port, "")
        self.cookies.clear()
        self.token = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        status, _, body = self.ask("GET", path, headers=self.token | headers)
        return status, body


def measure_lists(program: Program, paths: list[str]) -> float:
    """p95 in milliseconds, after one round that is not counted."""
    seconds = []
    for number in range(ROUNDS + 1):
        for path in paths:
            began = time.perf_counter()
            program.get(f"/api/v1/{path}")
            if number:
                seconds.append(time.perf_counter() - began)
    return percentile(seconds, 0.95)


def measure_pages(program: Program) -> float:
    """By state, in which most rows are equal."""
    seconds, path = [], "/api/v1/printers/?ordering=state&limit=100"
    for _ in range(PAGES):
        began = time.perf_counter()
        _, body = program.get(path)
        seconds.append(time.perf_counter() - began)
        following = json.loads(body)["next"]
        if not following:
            break
        path = following[following.index("/api/") :]
    return percentile(seconds, 0.95)


def measure_unchanged(program: Program) -> float:
    seconds = []
    program.get("/api/v1/printers/")
    etag = program.answered["ETag"]
    for _ in range(ROUNDS * 3):
        began = time.perf_counter()
        status, _ = program.get("/api/v1/printers/", **{"If-None-Match": etag})
        seconds.append(time.perf_counter() - began)
        if status != 304:
            raise CommandError(f"A list that has not changed is answered with {status}, and not with 304.")
    return percentile(seconds, 0.95)


def measure(rows: int) -> dict[str, float]:
    os.environ["API_PER_MINUTE"] = "1000000"
    with scratch.made("bench_api_filled") as filled:
        scratch.use(filled)
        call_command("migrate", verbosity=0)
        User.objects.create_user("owner")
        run(*(statement.format(rows=rows) for statement in FILL), PRINTS, "ANALYZE")
        print("Measuring lists of the API", flush=True)
        with copied("bench_api", filled) as database:
            return measure_in(database)


def measure_in(database: str) -> dict[str, float]:
    owner, week = User.objects.get(username="owner"), timedelta(days=7)
    _, token = apps.get_model("api.Token").objects.create(owner, expiry=week, name="bench", writes=False)
    port = free_port()
    with gunicorn(port, url_of(database)) as server:
        program = Program(port, token)
        found = {name: measure_lists(program, paths) for name, paths in LISTS.items()}
        found |= {"pages": measure_pages(program), "unchanged": measure_unchanged(program)}
        found["memory"] = most_memory(server.pid)
    return found


def main() -> None:
    logging.getLogger("core.logs").setLevel(logging.ERROR)
    options = benching.parser(str(__doc__), {}, rows=10_000, of="printers").parse_args()
    with benching.one_sentence():
        benching.introduce(options.rows)
        benching.report(TABLE, measure(options.rows))


if __name__ == "__main__":
    main()
