#!/usr/bin/env python
"""Measures the page of the farm through gunicorn: the page, its updates, the wall, and an update of an unchanged farm.

One worker, one person who owns all printers and is no staff, one request after the other.
"""

import json
import logging
import re
import sys
import time
from html import unescape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import benching, scratch  # noqa: E402, I001  The first sets Django up.
from scripts.bench_portal import FILL, Person, free_port, gunicorn, most_memory, percentile  # noqa: E402
from scripts.benching import Line, copied, run  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.test import Client  # noqa: E402
from tests.database import url_of  # noqa: E402

PAGES = {
    "page": ["/", "/?state=waiting", "/?state=printing"],
    "grouped": ["/?by=place", "/?by=kind", "/?by=tag"],
    "update": ["/live/"],
    "wall": ["/wall/", "/wall/live/"],
}
ROUNDS = 60

TABLE = (
    Line("page of the farm, p95 ms", "< 150", lambda of: of["page"]),
    Line("grouped by place, kind or tag, p95 ms", "< 150", lambda of: of["grouped"]),
    Line("update of a farm that has changed, p95 ms", "< 150", lambda of: of["update"]),
    Line("wall, p95 ms", "< 150", lambda of: of["wall"]),
    Line("update of an unchanged farm (304), p95 ms", "< 10", lambda of: of["unchanged"]),
    Line("the same beside 1,000 changes that are not folded, p95 ms", "< 10", lambda of: of["unfolded"]),
    Line("most memory of the web's worker, MB", "< 150", lambda of: of["web_memory"]),
)


def measure(rows: int) -> dict[str, float]:
    with scratch.made("bench_farm_filled") as filled:
        scratch.use(filled)
        call_command("migrate", verbosity=0)
        User.objects.create_user("owner")
        run(*(statement.format(rows=rows) for statement in FILL))
        print("Measuring the page of the farm", flush=True)
        with copied("bench_farm", filled) as database:
            return measure_in(database)


def measure_in(database: str) -> dict[str, float]:
    client = Client()
    client.force_login(User.objects.get(username="owner"))
    port = free_port()
    with gunicorn(port, url_of(database)) as server:
        person = Person(port, client.cookies[settings.SESSION_COOKIE_NAME].value)
        found = {name: measure_pages(person, paths) for name, paths in PAGES.items()}
        found["unchanged"] = measure_unchanged(person)
        run("INSERT INTO monitoring_fleetchange (number) SELECT 1 FROM generate_series(1, 999)")
        found["unfolded"] = measure_unchanged(person)
        found["web_memory"] = most_memory(server.pid)
    return found


def measure_pages(person: Person, paths: list[str]) -> float:
    """p95 in milliseconds, after one round that is not counted."""
    seconds = []
    for number in range(ROUNDS + 1):
        for path in paths:
            began = time.perf_counter()
            person.ask("GET", path)
            if number:
                seconds.append(time.perf_counter() - began)
    return percentile(seconds, 0.95)


def measure_unchanged(person: Person) -> float:
    """What an open page asks every five seconds; one whose minute has just ended is asked again with its new tag."""
    seconds: list[float] = []
    while len(seconds) < ROUNDS * 5:
        _, _, page = person.ask("GET", "/")
        [written] = re.findall(r'id="farm"[^>]* hx-headers="(.*?)"', page)
        etag = json.loads(unescape(written))["If-None-Match"]
        for _ in range(ROUNDS):
            began = time.perf_counter()
            status, _, _ = person.ask("GET", "/live/", headers={"If-None-Match": etag, "HX-Request": "true"})
            if status != 304:
                break
            seconds.append(time.perf_counter() - began)
        else:
            continue
        if not seconds and time.localtime().tm_sec > 5:
            raise CommandError(f"An unchanged farm is answered with {status}, and not with 304.")
    return percentile(seconds, 0.95)


def main() -> None:
    logging.getLogger("core.logs").setLevel(logging.ERROR)
    options = benching.parser(str(__doc__), {}, rows=10_000, of="printers").parse_args()
    with benching.one_sentence():
        benching.introduce(options.rows)
        benching.report(TABLE, measure(options.rows))


if __name__ == "__main__":
    main()
